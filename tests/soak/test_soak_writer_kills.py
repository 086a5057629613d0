"""The long form of `tests/integration/test_pipeline_writer_kills.py`: a hundred `kill -9` at random moments."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from support.writer_kills import kill_one

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.timeout(3600)
def test_a_hundred_kills_lose_nothing_that_was_reported_as_done(tmp_path: Path) -> None:
    chance = random.Random(20_261_131)
    done = [kill_one(tmp_path / str(number), chance) for number in range(100)]
    print(f"100 kills: {sum(done):,} numbers were reported as done, none is lost")
    assert len(done) == 100
