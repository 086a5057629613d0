"""Whatever becomes of a segment, reading it raises nothing and gives no span that was not written.

`make soak` does the same with a hundred times as many cases.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest
from support.fuzz import victim

if TYPE_CHECKING:
    from pathlib import Path

CASES = 500


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
def test_damage_invents_no_span_and_raises_nothing(tmp_path: Path, *, packed: bool) -> None:
    journal = victim(tmp_path, packed=packed)
    assert len(journal.written) == 14
    rng = Random(20_261_121)
    counts = [journal.damage(rng) for _ in range(CASES)]
    assert sum(count > 1 for count in counts) > CASES / 2  # what the damage did not touch is read
