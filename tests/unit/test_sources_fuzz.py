from __future__ import annotations

import random
from typing import TYPE_CHECKING

from support import fuzzing

if TYPE_CHECKING:
    from pathlib import Path


def test_no_damage_makes_a_loader_crash(tmp_path: Path) -> None:
    for seed in range(600):
        fuzzing.survive(fuzzing.case(random.Random(seed)), tmp_path / "case")
