"""A burst at a receiver that takes a second a request: nothing is lost, and what is pending is delivered afterwards."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from support.otlp_receiver import receiving
from support.receiver_bursts import burst_at, slow_receiver
from typer.testing import CliRunner

from spanwise.journal import ledger as ledgers
from spanwise_cli.main import build_app

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("isolated_provider")]
SPANS = 20_000


def test_a_burst_at_a_slow_receiver_is_journaled_and_delivered_afterwards(tmp_path: Path) -> None:
    with slow_receiver() as endpoint:
        told = burst_at("spanwise", SPANS, tmp_path, endpoint)
        alone = burst_at("spanwise", SPANS, tmp_path / "alone")
        sdk = burst_at("sdk", SPANS, tmp_path, endpoint)
    sys.stdout.write(
        f"{SPANS:,} spans at 1 s a request: {told['seconds']:.2f} s, with the journal only {alone['seconds']:.2f} s, "
        f"memory grows by {told['growth_mib']:.0f} MiB; the SDK loses {1 - sdk['delivered'] / SPANS:.0%} of them\n"
    )
    assert (told["started"], told["journaled"]) == (SPANS + 1, SPANS + 1)
    assert told["growth_mib"] <= 128
    assert told["destinations"]["otlp"]["pending"] > 0
    with receiving() as receiver:
        words = ["export", "--all", "--to", receiver.address, "--journal", str(tmp_path)]
        result = CliRunner().invoke(build_app(), words)
        assert (result.exit_code, receiver.spans.count("step s")) == (0, told["destinations"]["otlp"]["pending"])
    fates = ledgers.read(tmp_path).destinations["otlp"]
    assert {name: number for name, number in fates.items() if number} == {"delivered": SPANS + 1}
