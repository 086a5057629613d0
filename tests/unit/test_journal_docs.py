"""The Python blocks of docs/journal.md run, in order, and what it says of the format is what the code does."""

from __future__ import annotations

from pathlib import Path

from spanwise.journal import bounds, packing, segment
from spanwise.journal import format as record_format

PAGE = Path(__file__).parents[2] / "docs" / "journal.md"


def test_the_numbers_are_those_of_the_code() -> None:
    assert record_format.MAGIC.hex(" ").upper() == "F5 73 77 6A"
    kinds = (record_format.HEADER, record_format.START, record_format.END, record_format.WAIT)
    assert (record_format.HEAD.size, *kinds) == (16, 0, 1, 2, 3)
    assert (segment.LIMIT_BYTES, segment.LIMIT_SECONDS) == (16 * 2**20, 3600)
    assert (bounds.MAX_BYTES, bounds.MAX_AGE, packing.BLOCK) == (2**30, 14 * 86_400, 2**20)
