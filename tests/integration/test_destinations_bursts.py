"""A burst at a receiver that takes a second a request, and at a real one: nothing is lost, all is delivered in the end.

The long form of it is in `tests/soak`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support import journal_files
from support.otlp_receiver import receiving
from support.receiver_bursts import burst_at, slow_receiver
from support.servers import start_stack
from typer.testing import CliRunner

from spanwise.journal import ledger as ledgers
from spanwise_cli.main import build_app

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("isolated_provider"), pytest.mark.alone]
SPANS = 20_000


def test_a_burst_at_a_slow_receiver_is_journaled_and_delivered_afterwards(
    tmp_path: Path, figure: Callable[[str], None]
) -> None:
    with slow_receiver() as endpoint:
        told = burst_at("spanwise", SPANS, tmp_path, endpoint)
        alone = burst_at("spanwise", SPANS, tmp_path / "alone")
        sdk = burst_at("sdk", SPANS, tmp_path, endpoint)
    figure(
        f"{SPANS:,} spans at 1 s a request: {told['seconds']:.2f} s, with the journal only {alone['seconds']:.2f} s, "
        f"memory grows by {told['growth_mib']:.0f} MiB; the SDK loses {1 - sdk['delivered'] / SPANS:.0%} of them"
    )
    assert (told["started"], told["journaled"], told["dropped"]) == (SPANS + 1, SPANS + 1, {})
    assert told["growth_mib"] <= 128
    assert told["destinations"]["otlp"]["pending"] > 0
    with receiving() as receiver:
        words = ["export", "--all", "--to", receiver.address, "--journal", str(tmp_path)]
        result = CliRunner().invoke(build_app(), words)
        assert (result.exit_code, receiver.spans.count("step s")) == (0, told["destinations"]["otlp"]["pending"])
    fates = ledgers.read(tmp_path).destinations["otlp"]
    assert {name: number for name, number in fates.items() if number} == {"delivered": SPANS + 1}


def test_a_burst_from_the_thread_of_a_loop_is_journaled_or_counted(tmp_path: Path) -> None:
    with slow_receiver() as endpoint:
        told = burst_at("loop", SPANS, tmp_path, endpoint, buffer="1 MiB")  # so that it does not keep up
    dropped = told["dropped"]["buffer_full"]
    assert told["dropped"].keys() == {"buffer_full"}
    assert told["started"] == told["journaled"] + dropped == SPANS + 1
    counts = ledgers.read(tmp_path)
    assert (counts.started, counts.journaled, counts.dropped) == (SPANS + 1, told["journaled"], told["dropped"])
    assert sum(counts.destinations["otlp"].values()) == told["journaled"] == len(journal_files.spans(tmp_path))


@pytest.mark.servers
def test_a_burst_at_the_real_collector_loses_nothing(tmp_path: Path, figure: Callable[[str], None]) -> None:
    with start_stack(tmp_path / "stack") as stack:
        told = burst_at("spanwise", SPANS, tmp_path / "j", stack.otlp_http)
        words = ["export", "--all", "--to", stack.otlp_http, "--journal", str(tmp_path / "j")]
        assert CliRunner().invoke(build_app(), words).exit_code == 0
    figure(f"{SPANS:,} spans at the real collector: {told['seconds']:.2f} s, grows by {told['growth_mib']:.0f} MiB")
    assert (told["started"], told["journaled"], told["dropped"]) == (SPANS + 1, SPANS + 1, {})
    assert told["growth_mib"] <= 128
    fates = ledgers.read(tmp_path / "j").destinations["otlp"]
    assert {name: number for name, number in fates.items() if number} == {"delivered": SPANS + 1}
