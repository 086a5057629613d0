"""The long form of tests/unit/test_sources_fuzz.py: 100,000 damaged files."""

from __future__ import annotations

import random
import sys
import time
from typing import TYPE_CHECKING

import pytest
from support import fuzzing

if TYPE_CHECKING:
    from pathlib import Path

CASES = 100_000


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_no_damage_makes_a_loader_crash(tmp_path: Path) -> None:
    begin = time.monotonic()
    for seed in range(CASES):
        fuzzing.survive(fuzzing.case(random.Random(seed)), tmp_path / "case")
    sys.stdout.write(f"{CASES:,} damaged files, no crash, in {time.monotonic() - begin:.0f} s\n")
