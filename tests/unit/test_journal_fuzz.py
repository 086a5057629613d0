"""Whatever becomes of a segment, reading it raises nothing and gives no span that was not written.

`make soak` does the same with a hundred times as many cases.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest
from support.fuzz import check
from support.segments import OTHER_STREAM, STREAM, begin, write_segments
from support.traces import agent, chat, tool, workflow

from spanwise.journal.reader import read
from spanwise.journal.segment import SegmentWriter

if TYPE_CHECKING:
    from pathlib import Path

CASES = 500


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
def test_damage_invents_no_span_and_raises_nothing(tmp_path: Path, *, packed: bool) -> None:
    writer = SegmentWriter(tmp_path, OTHER_STREAM)
    begin(writer, workflow(1, 0, 9))
    writer.close()
    calls = [[chat(n, n, n + 1, parent=2), tool(n + 1, n, n + 2, parent=2)] for n in range(3, 13, 2)]
    (path,) = write_segments(tmp_path, [*calls, [agent(2, 1, 8, parent=1)]], stream=STREAM, packed=packed)
    data, written = path.read_bytes(), {repr(span) for span in read(tmp_path)}
    rng = Random(20_261_121)
    counts = [check(tmp_path, path, data, written, rng) for _ in range(CASES)]
    assert len(written) == 12
    if not packed:  # of a packed one, whose records share a block, most damage takes all
        assert sum(count > 1 for count in counts) > CASES / 2
