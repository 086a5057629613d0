"""A reader beside processes that write, compress and are killed: every span once, in order, none invented."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from support.traces import span

from spanwise.journal import bounds
from spanwise.journal.reader import ReadReport, follow, read

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

RECORDS = 600

WRITER = """
import sys
from pathlib import Path  # noqa: TC003 - typer reads it
from support.segments import begin, payload_of
from support.traces import span
from spanwise.journal.stream import Stream  # noqa: PLC0415 - likewise
folder, trace, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
stream = Stream(folder)
for number in range(1, count + 1):
    stream.add(payload_of(span(number, trace=trace)), 1)
    if number % 20 == 0:
        stream.segments.rotate()
begin(stream.segments, span(count + 1, trace=trace))
print("written", flush=True)
sys.stdin.read()
"""


def start(folder: Path, trace: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder), str(trace), str(RECORDS)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )  # fmt: skip


def test_two_writers_are_followed_while_their_segments_are_compressed(tmp_path: Path) -> None:
    writers = [start(tmp_path, trace) for trace in (1, 2)]
    seen: dict[str, list[tuple[str, str]]] = {}
    report, packed = ReadReport(), 0

    def wait(seconds: float) -> bool:
        nonlocal packed
        packed += bounds.keep(tmp_path, now=time.time()).packed
        if sum(map(len, seen.values())) == 2 * RECORDS + 2:
            for writer in writers:
                writer.kill()
                writer.wait()
        return sum(map(len, seen.values())) == 2 * RECORDS + 4

    try:
        for found in follow(tmp_path, wait=wait, report=report):
            seen.setdefault(found.trace_id, []).append((found.span_id, found.state))
    finally:
        for writer in writers:
            writer.kill()
            writer.communicate()
    for trace, states in zip((1, 2), sorted(seen), strict=True):
        expected = [(span(number, trace=trace).span_id, "ended") for number in range(1, RECORDS + 1)]
        last = span(RECORDS + 1, trace=trace).span_id
        assert seen[states] == [*expected, (last, "open"), (last, "interrupted")]
    assert (report.skipped, report.unknown) == ([], 0)
    assert packed > 0
    assert len(list(read(tmp_path))) == 2 * RECORDS + 2
