"""The newest run of a big file of OTLP/JSON lines, without a record for each span of all its runs.

Columns say which trace has the newest run; only the lines of that trace are then read in full. Where the columns could
mean another run than the records would (a run resumed in another trace, ids written in several ways), there is no
answer here, and the file is read record by record.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import numpy as np

from spanwise import conventions as c
from spanwise.journal.reader import ReadReport, SpanRecord
from spanwise_profiling.sources import fast, recognise, streams

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from spanwise_profiling.columns import Columns

LEAST: Final = 32 << 20
"""Bytes of a file from which looking at it twice is quicker, and takes a tenth of the memory."""
_RUN_ID: Final = f'"{c.RUN_ID}"'.encode()
_VALUE: Final = re.compile(rb'\s*,\s*"value"\s*:\s*\{\s*"stringValue"\s*:\s*"([^"\\]*)"')


def newest_run(
    path: Path, report: ReadReport, progress: Callable[[int], None] | None = None
) -> list[SpanRecord] | None:
    """Return the spans of the trace that has the newest run of a file.

    Args:
        path: The file.
        report: Filled with what was skipped in all of the file, where there is an answer.
        progress: Called now and then with the number of bytes read, after decompression.

    Returns:
        The spans, in the order of the file; None where it must be read record by record.

    Raises:
        InputError: the file cannot be read.
    """
    if path.stat().st_size < LEAST or not fast.holds_lines(path):
        return None
    found = ReadReport()
    table = fast.load(path, found, progress)
    if not len(table.run_roots):
        return None
    starts = table.start[table.run_roots]
    trace = int(table.trace[table.run_roots[np.flatnonzero(starts == starts.max())[-1]]])
    records = _records(path, table.trace_ids[trace])
    if records is None or not _is_all(records, table, trace):
        return None
    report.files, report.spans, report.incomplete = found.files, found.spans, found.incomplete
    report.skipped += found.skipped
    report.noted = found.noted
    return records


def _records(path: Path, trace_id: str) -> list[SpanRecord] | None:
    """Return the spans of a trace; None where a run may be in several traces."""
    wanted, records, run_ids = trace_id.encode(), list[SpanRecord](), set[bytes]()
    with streams.open_stream(path) as stream:
        for line in streams.lines(stream, str(path)):
            place = -1
            while (place := line.find(_RUN_ID, place + 1)) >= 0:
                value = _VALUE.match(line, place + len(_RUN_ID))
                if value is None or value[1] in run_ids:
                    return None
                run_ids.add(value[1])
            if wanted in line:
                records += recognise.of_line(line, str(path), ReadReport())
    return [record for record in records if record.trace_id == trace_id]


def _is_all(records: list[SpanRecord], table: Columns, trace: int) -> bool:
    """Whether `records` are all spans that the columns hold of a trace: other lines may write its id in another way."""
    return len({record.span_id for record in records}) == int(np.count_nonzero(table.trace == trace))
