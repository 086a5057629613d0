"""Blocks of a compressed segment: whole records, whatever their lengths, and together the segment byte for byte."""

from __future__ import annotations

import io
import random

import pytest

from spanwise.journal import packing
from spanwise.journal.format import MAGIC

BLOCK = 100


def packed(segment: bytes) -> io.BytesIO:
    file = io.BytesIO()
    packing.compress(io.BytesIO(segment), file)
    return file


@pytest.mark.parametrize("seed", range(40))
def test_blocks_are_whole_records_and_give_the_segment_back(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "BLOCK", BLOCK)
    draw = random.Random(seed)
    lengths = [
        draw.choice((1, 30, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 7 * BLOCK)) for _ in range(draw.randrange(12))
    ]
    records = [MAGIC + bytes(draw.choices(range(100), k=length)) for length in lengths]
    segment = b"".join(records)

    file = packed(segment)
    pieces = list(packing.pieces(file, 0))
    assert b"".join(content for _, content in pieces) == segment
    assert [offset for offset, _ in pieces] == [sum(len(c) for _, c in pieces[:at]) for at in range(len(pieces))]
    assert packing.length_of(file) == len(segment)
    beginnings = {sum(map(len, records[:at])) for at in range(len(records))}
    assert {offset for offset, _ in pieces} <= beginnings
    for _, content in pieces:
        assert len(content) - max(map(len, content.split(MAGIC))) < 2 * BLOCK
