"""Chrome's trace event format: what Perfetto, PyTorch's profiler, viztracer and many others write.

It has no ids: an event's parent is the one that encloses it on the same thread. Asynchronous events (`b`, `e`) are
nested by their own id. Times are microseconds; each thread is a tree of its own below the process.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec

from spanwise.journal.reader import AttributeValue, SpanRecord
from spanwise_profiling.sources import values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_MICROSECOND: Final = 1_000
_Track: TypeAlias = tuple[object, ...]


class _Event(msgspec.Struct):
    ph: str = ""
    name: Any = ""
    ts: float | None = None
    dur: float | None = None
    pid: Any = 0
    tid: Any = 0
    id: Any = None
    cat: Any = ""
    args: Any = None


class _Document(msgspec.Struct):
    events: list[Any] = msgspec.field(name="traceEvents", default_factory=list[Any])
    base_ns: int = msgspec.field(name="baseTimeNanoseconds", default=0)


@dataclass(slots=True)
class _Slice:
    """A stretch of one track."""

    event: _Event
    start_ns: int
    end_ns: int
    attributes: dict[str, AttributeValue]


@dataclass(slots=True)
class _Tracks:
    """What was met so far."""

    base_ns: int
    slices: defaultdict[_Track, list[_Slice]] = field(default_factory=lambda: defaultdict(list))
    open: defaultdict[_Track, list[_Slice]] = field(default_factory=lambda: defaultdict(list))
    processes: dict[str, str] = field(default_factory=dict[str, str])
    threads: dict[_Track, str] = field(default_factory=dict[_Track, str])


def read_events(item: bytes, skip: Callable[[str], None]) -> Iterator[SpanRecord]:
    """Yield the spans of a document, or of a bare list of events."""
    is_list = item.lstrip()[:1] == b"["
    document = _Document(msgspec.json.decode(item, type=list[Any])) if is_list else _decode(item)
    tracks = _Tracks(document.base_ns)
    for number, event in enumerate(document.events, start=1):
        try:
            _take(msgspec.convert(event, _Event), tracks)
        except (msgspec.MsgspecError, ValueError, OverflowError) as error:
            skip(f"event {number}: {error}")
    for track, unfinished in tracks.open.items():
        tracks.slices[track] += unfinished
    yield from _records(tracks, hashlib.sha256(item).hexdigest()[:32])


def _decode(item: bytes) -> _Document:
    return msgspec.json.decode(item, type=_Document)


def _take(event: _Event, tracks: _Tracks) -> None:
    track = _track(event)
    match event.ph:
        case "X":
            start = _time(event.ts, tracks)
            tracks.slices[track].append(_Slice(event, start, start + _length(event.dur), _arguments(event)))
        case "B" | "b":
            tracks.open[track].append(_Slice(event, _time(event.ts, tracks), 0, _arguments(event)))
        case "E" | "e" if tracks.open[track]:
            ended = tracks.open[track].pop()
            ended.end_ns = max(ended.start_ns, _time(event.ts, tracks))
            ended.attributes.update(_arguments(event))
            tracks.slices[track].append(ended)
        case "M" if event.name == "process_name":
            tracks.processes[str(event.pid)] = str(_arguments(event).get("name", ""))
        case "M" if event.name == "thread_name":
            tracks.threads[track] = str(_arguments(event).get("name", ""))
        case _:
            pass


def _track(event: _Event) -> _Track:
    if event.ph in {"b", "e"}:
        return str(event.pid), str(event.cat), str(event.id)
    return str(event.pid), str(event.tid)


def _time(microseconds: float | None, tracks: _Tracks) -> int:
    if microseconds is None:
        raise ValueError("it has no time")
    return values.within_64_bits(tracks.base_ns + round(microseconds * _MICROSECOND))


def _length(microseconds: float | None) -> int:
    return values.within_64_bits(round((microseconds or 0) * _MICROSECOND))


def _arguments(event: _Event) -> dict[str, AttributeValue]:
    return values.flattened(values.members(event.args))


def _records(tracks: _Tracks, trace_id: str) -> Iterator[SpanRecord]:
    number = 0
    for slices in tracks.slices.values():
        above: list[tuple[_Slice, str]] = []
        for piece in sorted(slices, key=lambda piece: (piece.start_ns, -(piece.end_ns or 1 << 63))):
            number += 1
            span_id = f"{number:016x}"
            while above and not _encloses(above[-1][0], piece):
                above.pop()
            yield _record(piece, trace_id, span_id, above[-1][1] if above else None, _resource(piece, tracks))
            above.append((piece, span_id))


def _encloses(outer: _Slice, inner: _Slice) -> bool:
    return not outer.end_ns or (inner.start_ns < outer.end_ns and (inner.end_ns or inner.start_ns) <= outer.end_ns)


def _resource(piece: _Slice, tracks: _Tracks) -> dict[str, AttributeValue]:
    process, thread = str(piece.event.pid), (str(piece.event.pid), str(piece.event.tid))
    name = {"thread.name": tracks.threads[thread]} if thread in tracks.threads else {}
    return {"service.name": tracks.processes.get(process) or process, **name}


def _record(
    piece: _Slice, trace_id: str, span_id: str, parent_id: str | None, resource: dict[str, AttributeValue]
) -> SpanRecord:
    category = {"chrome.category": str(piece.event.cat)} if piece.event.cat else {}
    return SpanRecord(
        trace_id=trace_id,
        span_id=span_id,
        parent_id=parent_id,
        name=str(piece.event.name),
        kind=1,
        start_ns=piece.start_ns,
        end_ns=piece.end_ns,
        attributes={**category, **piece.attributes},
        resource=resource,
        scope_name="chrome",
    )
