"""The long form of `tests/integration/test_journal_kills.py`: a hundred `kill -9` at random moments under load."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

import pytest
from support.kills import INTERVAL, kill_one

if TYPE_CHECKING:
    from pathlib import Path

    from support.kills import Killed

KILLS = int(os.environ.get("SPANWISE_SOAK_KILLS", "100"))
_BUSY = 0.3
"""Seconds that a machine with other work may take to let the writing thread run."""


def killed(folder: Path, durability: str, threads: int, seed: int) -> list[Killed]:
    chance = random.Random(seed)
    return [kill_one(folder / f"{number}", chance, durability=durability, threads=threads) for number in range(KILLS)]


@pytest.mark.timeout(3600)
def test_a_hundred_kills_lose_at_most_an_interval_each_and_the_ledger_is_exact(tmp_path: Path) -> None:
    found = killed(tmp_path, "interval", 2, 20_261_121)
    oldest, lost = sorted(one.oldest_lost for one in found), [one.lost for one in found]
    print(
        f"{KILLS} kills at an interval of {INTERVAL} s: no torn record read, {sum(lost):,} of "
        f"{sum(one.ended for one in found):,} ended spans lost, the oldest {oldest[-1]:.3f} s before the last end "
        f"(median over the kills {oldest[len(oldest) // 2]:.3f} s)"
    )
    assert all(one.adds_up for one in found)
    assert oldest[-1] <= INTERVAL + _BUSY


@pytest.mark.timeout(3600)
def test_a_hundred_kills_lose_nothing_in_sync(tmp_path: Path) -> None:
    found = killed(tmp_path, "sync", 3, 20_261_122)
    print(f"{KILLS} kills in sync: {sum(one.lost for one in found)} of {sum(one.ended for one in found):,} lost")
    assert [one.lost for one in found] == [0] * KILLS
    assert all(one.adds_up for one in found)
