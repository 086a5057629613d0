"""The journal that `tests/golden/journal` holds: one of everything that a segment can hold, the same bytes every time.

`python -m support.golden_journal FOLDER` (with `tests` on the path) writes it anew, which only a new format may need.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from support.segments import ended_segments

from spanwise.journal import packing, segment
from spanwise.journal.format import END, START, WAIT
from spanwise.otlp import json_encoder as otlp_json

STREAM = "20260921T133320-7-0000000a"
WAITS = "20260921T133320-8-0000000b"
"""A second stream, written since waits are records of their own; the first stays as it was."""
_BEGIN_NS = 1_790_000_000_000_000_000
_RESOURCE = Resource({"service.name": "desk", "spanwise.time.scale": 20.0})
_SCOPE = InstrumentationScope("spanwise", "0.1.0")


def _context(number: int) -> SpanContext:
    return SpanContext(2**127 + 5, number, is_remote=False, trace_flags=TraceFlags(1))


def _span(number: int, name: str, start: int, end: int, parent: int | None = None, **more: Any) -> ReadableSpan:
    return ReadableSpan(
        name,
        _context(number),
        _context(parent) if parent else None,
        _RESOURCE,
        start_time=_BEGIN_NS + start,
        end_time=_BEGIN_NS + end if end else None,
        instrumentation_scope=_SCOPE,
        **more,
    )


def _begun() -> list[ReadableSpan]:
    run = {"gen_ai.operation.name": "invoke_workflow", "gen_ai.workflow.name": "desk", "spanwise.run.id": "r-1"}
    agent = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "größe"}
    return [
        _span(1, "invoke_workflow desk", 0, 0, attributes=run),
        _span(2, "invoke_agent größe", 1, 0, 1, attributes=agent),
    ]


def _ended() -> list[ReadableSpan]:
    values = {"text": '"quoted"\n', "yes": True, "number": 2**63 - 1, "float": 0.5, "list": (1, 2), "nan": float("nan")}
    failed = Status(StatusCode.ERROR, "too many")
    return [
        _span(
            3, "chat sim-1", 2, 7, 2, kind=SpanKind.CLIENT, attributes=values, status=failed,
            events=(Event("first", {"n": 1}, timestamp=_BEGIN_NS + 3),),
            links=(Link(_context(1), {"spanwise.link.reason": "waits_on"}),),
        ),
        _span(2, "invoke_agent größe", 1, 9, 1),
    ]  # fmt: skip


def _wait(number: int, kind: str, resource: str, **more: Any) -> ReadableSpan:
    about = {"spanwise.wait.kind": kind, "spanwise.wait.resource": resource, **more.pop("about", {})}
    return _span(number, f"wait {resource}", number, number + 1, 2, attributes=about, **more)


def _waits() -> list[ReadableSpan]:
    link = Link(_context(4), {"spanwise.link.reason": "waits_on"})
    return [
        _wait(6, "task", "gather", links=(link,)),
        _wait(7, "lock", "Lock", about={"spanwise.wait.released_by": "task Task-7 (größen)"}),
        _wait(8, "timer", "sleep", about={"spanwise.wait.released_by": "unknown"}),
    ]


def write(folder: Path) -> None:
    """Write two streams: three segments, plain, compressed, and one cut off in its last record; and one with waits."""
    writer, waiting = segment.SegmentWriter(folder, STREAM), segment.SegmentWriter(folder, WAITS)
    with (
        patch.object(os, "getpid", lambda: 7),
        patch.object(os, "uname", lambda: SimpleNamespace(nodename="host")),
        patch.object(time, "time_ns", lambda: _BEGIN_NS),
        patch.object(segment, "VERSION", "0.1.0"),
    ):
        writer.append(START, otlp_json.encode(_begun()), 2)
        writer.append(200, b"of a later version")
        writer.rotate()
        writer.append(END, otlp_json.encode(_ended()), 2)
        writer.rotate()
        writer.append(END, otlp_json.encode([_span(4, "execute_tool prices", 3, 4, 2)]), 1)
        last = writer.append(END, otlp_json.encode([_span(5, "execute_tool news", 4, 5, 2)]), 1)
        writer.close()
        waiting.append(WAIT, otlp_json.encode(_waits()), 3)
        waiting.append(END, otlp_json.encode([_span(9, "execute_tool orders", 6, 9, 2)]), 1)
        waiting.close()
    os.truncate(writer.path, last.offset - 40)
    packing.pack_segment(ended_segments(writer)[1])


if __name__ == "__main__":
    write(Path(sys.argv[1]))
