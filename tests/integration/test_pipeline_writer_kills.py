"""Nothing that the writer reported as done is lost under `kill -9`; a hundred kills are in tests/soak."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from support.writer_kills import kill_one

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.slow
def test_five_kills_lose_nothing_that_was_reported_as_done(tmp_path: Path) -> None:
    chance = random.Random(20_261_130)

    assert all(kill_one(tmp_path / str(number), chance) > 0 for number in range(5))
