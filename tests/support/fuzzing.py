"""Damaged traces of every format, made from sound ones by a seeded draw: what loaders must survive."""

from __future__ import annotations

import gzip
import json
import struct
import sys
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, TracesData
from support.traces import ONE_OF_EACH, agent, chat, line_of, workflow

from spanwise.errors import InputError
from spanwise.journal.reader import ReadReport
from spanwise_profiling import dialects
from spanwise_profiling.normalise import normalised
from spanwise_profiling.runs import runs_of
from spanwise_profiling.sources import fast, recognise
from spanwise_profiling.trace import build_traces

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    import random
    from collections.abc import Callable
    from pathlib import Path

_TRACE, _RUN = "1" * 32, "2f1b3a8e-93a7-4b9c-9b1e-0123456789ab"
_TIMES: Final = {"start_time": "2026-09-21T14:13:20Z", "end_time": "2026-09-21T14:13:29.5+02:00"}
_LINE: Final = line_of(workflow(1, 0, 9), agent(2, 1, 8, parent=1), chat(3, 2, 7, parent=2)).encode()
_DOCUMENTS: Final[tuple[Any, ...]] = (
    ONE_OF_EACH,
    {"result": ONE_OF_EACH},
    {"data": [{
        "traceID": _TRACE, "processes": {"p": {"serviceName": "s", "tags": []}},
        "spans": [{
            "traceID": _TRACE, "spanID": "a" * 16, "operationName": "o", "startTime": 5, "duration": 7,
            "references": [{"refType": "CHILD_OF", "traceID": _TRACE, "spanID": "b" * 16}], "processID": "p",
            "tags": [{"key": "k", "type": "bool", "value": True}], "logs": [{"timestamp": 6, "fields": []}],
        }],
    }]},
    [{"id": _RUN, "trace_id": _RUN, "run_type": "llm", "name": "n", **_TIMES, "dotted_order": f"20260921T141320Z{_RUN}",
      "extra": {"metadata": {"ls_model_name": "m"}}, "outputs": {"usage_metadata": {"input_tokens": 7}}}],
    {"data": [{"name": "n", "context": {"trace_id": _TRACE, "span_id": "a" * 16}, "parent_id": None, **_TIMES,
               "attributes": {"llm": {"model_name": "m"}}, "events": [{"name": "e", "timestamp": 7.5}], "links": []}]},
    {"id": _TRACE, "name": "t", "observations": [
        {"id": "o", "type": "GENERATION", "startTime": "2026-09-21T14:13:20Z", "usage": {"input": 7}, "metadata": {}}]},
    {"data": [{"object": "trace.span", "id": "span_a", "trace_id": f"trace_{_TRACE}",
               "started_at": 5,
               "span_data": {"type": "function", "name": "f"}, "error": {"message": "m"}}]},
    {"traceEvents": [{"ph": "X", "ts": 1.5, "dur": 2, "pid": 1, "tid": 2, "args": {"a": {"b": 1}}},
                     {"ph": "B", "ts": 2}]},
)  # fmt: skip
_PROTOBUF: Final = TracesData(
    resource_spans=[
        ResourceSpans(
            scope_spans=[
                ScopeSpans(
                    spans=[
                        Span(
                            trace_id=b"1" * 16, span_id=b"2" * 8, name="work", kind=Span.SPAN_KIND_CLIENT,
                            start_time_unix_nano=5, end_time_unix_nano=7,
                            attributes=[KeyValue(key="k", value=AnyValue(int_value=7))],
                            events=[Span.Event(name="e", time_unix_nano=6)],
                        )
                    ]
                )
            ]
        )
    ]
).SerializeToString()  # fmt: skip
_SOUND: Final[tuple[bytes, ...]] = (
    _LINE * 2,
    *(json.dumps(document).encode() for document in _DOCUMENTS),
    json.dumps(ONE_OF_EACH, indent=1).encode(),
    _PROTOBUF,
    struct.pack(">I", len(_PROTOBUF)) + _PROTOBUF,
    struct.pack(">I", len(_LINE)) + _LINE,
    gzip.compress(_LINE, mtime=0),
    zstd.compress(_LINE),
)
_ODD: Final[tuple[Any, ...]] = (
    None, True, -1, 0, 1 << 63, 1 << 70, -(1 << 70), 1e308, "", "x", "0", "NaN", "9" * 400, "\ud800", [], {}, [[]],
    {"": None},
    [None], {"values": [None]}, "2026-13-45T99:99:99Z", "9999-12-31T23:59:59-23:59",
)  # fmt: skip
_WORDS: Final = (
    b"\x00",
    b"\xff",
    b"\n",
    b'"',
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"1e999",
    b"null",
    b"-",
    b"\\u0000",
    b"\x1f\x8b",
)


def case(draw: random.Random) -> bytes:
    """Return a damaged file."""
    if draw.random() < 0.5:
        document = json.loads(json.dumps(draw.choice(_DOCUMENTS)))
        for _ in range(draw.randint(1, 3)):
            document = _bent(document, draw)
        return json.dumps(document, indent=draw.choice((None, 1))).encode()
    content = bytearray(draw.choice(_SOUND))
    for _ in range(draw.randint(1, 6)):
        draw.choice(_DAMAGES)(content, draw)
    return bytes(content)


def survive(content: bytes, path: Path) -> None:
    """Load `content` in every way: only an `InputError` of one line may be raised, and what is read must be sound."""
    message = ""
    try:
        records = list(dialects.translated(recognise.read_bytes(content, "it", report := ReadReport())))
        assert len(records) == report.spans
    except InputError as error:
        message, records = str(error), []
    assert "\n" not in message
    for run in runs_of(build_traces(records)):
        assert all(span.end_ns >= span.start_ns for _, span in normalised(run).walk())
    path.write_bytes(content)
    try:
        table = fast.load(path)
    except InputError:
        return
    assert bool((table.end >= table.start).all())


def _bent(value: Any, draw: random.Random) -> Any:
    """Replace, remove or double one part of a JSON value."""
    if isinstance(value, dict) and value and draw.random() < 0.97:
        key = draw.choice(sorted(value))
        if draw.random() < 0.08:
            return {name: member for name, member in value.items() if name != key}
        return {**value, key: _bent(value[key], draw)}
    if isinstance(value, list) and value and draw.random() < 0.97:
        place = draw.randrange(len(value))
        if draw.random() < 0.08:
            return value + value
        return [*value[:place], _bent(value[place], draw), *value[place + 1 :]]
    return draw.choice(_ODD)


def _flip(content: bytearray, draw: random.Random) -> None:
    if content:
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)


def _cut(content: bytearray, draw: random.Random) -> None:
    start = draw.randrange(len(content) + 1)
    del content[start : start + draw.choice((1, 7, len(content)))]


def _insert(content: bytearray, draw: random.Random) -> None:
    place = draw.randrange(len(content) + 1)
    content[place:place] = draw.choice(_WORDS)


def _double(content: bytearray, draw: random.Random) -> None:
    start = draw.randrange(len(content) + 1)
    content[start:start] = content[start : start + draw.randint(1, 64)]


_DAMAGES: Final[tuple[Callable[[bytearray, random.Random], None], ...]] = (_flip, _cut, _insert, _double)
