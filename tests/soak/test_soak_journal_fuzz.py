"""The long form of `tests/unit/test_journal_fuzz.py`: 10^5 damaged segments, plain and compressed."""

from __future__ import annotations

import os
from collections import Counter
from random import Random
from typing import TYPE_CHECKING

import pytest
from support.fuzz import victim

if TYPE_CHECKING:
    from pathlib import Path

CASES = int(os.environ.get("SPANWISE_SOAK_CASES", "50_000"))


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
def test_a_hundred_thousand_damaged_segments_invent_no_span(tmp_path: Path, *, packed: bool) -> None:
    journal, rng = victim(tmp_path, packed=packed), Random(20_261_122)
    found = Counter(journal.damage(rng) for _ in range(CASES))
    print(f"{CASES:,} damaged segments: no exception, no invented span; spans that were left: {sorted(found.items())}")
