"""Spans that have no end yet, or never will: counted up to the last moment that anything of their trace is recorded."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spanwise.journal.reader import SpanRecord


def so_far(records: Sequence[SpanRecord]) -> Sequence[SpanRecord]:
    """Return the spans of one trace, each open or interrupted one with the trace's last recorded moment as its end.

    One that came again after it had ended is left out, and of one that came several times the last is kept.
    """
    unfinished = {record.span_id: record for record in records if record.is_open}
    if not unfinished:
        return records
    ended = [record for record in records if not record.is_open]
    for record in ended:
        unfinished.pop(record.span_id, None)
    last_ns = max(max(record.start_ns, record.end_ns) for record in records)
    return [*ended, *(replace(record, end_ns=last_ns) for record in unfinished.values())]
