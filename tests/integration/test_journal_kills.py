"""`kill -9` at random moments: nothing torn is read, no more than an interval is lost, and the ledger is exact.

The long form of it is in `tests/soak`.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from support import journal_files
from support.kills import INTERVAL, kill_one
from support.otlp_receiver import receiving
from typer.testing import CliRunner

from spanwise.journal import ledger
from spanwise.journal.format import COUNTED
from spanwise_cli.main import build_app

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.alone]
KILLS = 4
_BUSY = 0.3
"""Seconds that a machine with other work may take to let the writing thread run."""


def test_a_kill_loses_at_most_an_interval_and_the_ledger_says_what(
    tmp_path: Path, figure: Callable[[str], None]
) -> None:
    chance = random.Random(1)
    for number in range(KILLS):
        killed = kill_one(tmp_path / str(number), chance)
        figure(f"interval: {killed.lost} of {killed.ended} lost, the oldest {killed.oldest_lost:.3f} s before the end")
        assert killed.adds_up, killed
        assert killed.oldest_lost <= INTERVAL + _BUSY
        # beside those that were noted: the outer spans, and one a thread that was being ended
        assert killed.lost <= killed.counts.dropped["crash"] <= killed.lost + 4


def test_a_kill_loses_nothing_where_each_span_is_written_before_its_end_returns(
    tmp_path: Path, figure: Callable[[str], None]
) -> None:
    chance = random.Random(2)
    for number in range(KILLS):
        killed = kill_one(tmp_path / str(number), chance, durability="sync")
        figure(f"sync: {killed.lost} of {killed.ended} lost")
        assert (killed.lost, killed.adds_up) == (0, True), killed


@pytest.mark.usefixtures("isolated_provider")
def test_a_kill_amid_sending_leaves_both_sums_whole_and_the_rest_to_be_sent(tmp_path: Path) -> None:
    chance = random.Random(3)
    with receiving() as receiver:
        for number in range(KILLS):
            killed = kill_one(tmp_path / str(number), chance, endpoint=receiver.address)
            assert killed.adds_up, killed
            fates, folder = killed.counts.destinations["otlp"], tmp_path / str(number) / "journal"
            assert fates["delivered"] + fates["pending"] == killed.counts.journaled
            assert len(set(receiver.spans)) >= fates["delivered"]
            words = ["export", "--all", "--to", receiver.address, "--journal", str(folder)]
            assert CliRunner().invoke(build_app(), words).exit_code == 0
            recorded = {name for kind in COUNTED for name in journal_files.names(folder, kind, may_be_torn=True)}
            assert set(receiver.spans) == recorded
            assert ledger.read(folder).destinations["otlp"]["delivered"] == killed.counts.journaled
            receiver.spans.clear()
