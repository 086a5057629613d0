"""Chrome's trace event format: what Perfetto, PyTorch's profiler, viztracer and many others write.

It has no ids: an event's parent is the one that encloses it on the same thread. Asynchronous events (`b`, `e`) are
nested by their own id. Times are microseconds, in any order; each thread is a tree of its own below the process. An
event that is alone on its thread and lasts as long as everything else, such as PyTorch's marker over the recording, is
the parent of all threads.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec

from spanwise.journal.reader import AttributeValue, SpanRecord
from spanwise_profiling.sources import lenient, values

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from spanwise_profiling.sources.place import Place

_Track: TypeAlias = tuple[object, ...]

MARKER: Final = "event(s) alone on their thread that last as long as all others, taken as their parents"
UNORDERED: Final = "event(s) that begin after their end in the file, paired by their times"
UNMATCHED: Final = "end(s) of events that have no beginning, left out"
LENGTHS: Final = "event(s) of a negative or unreadable duration, taken as of none"
_MICROSECOND: Final = 1_000
_BEGIN: Final = {"B": "B", "b": "b", "S": "b"}
_END: Final = {"E": "E", "e": "e", "F": "e"}
_KINETO: Final = "Trace"
"""Category of PyTorch's markers over a recording."""


class _Event(msgspec.Struct):
    ph: str = ""
    name: Any = ""
    ts: int | float | str | None = None
    dur: int | float | str | None = None
    pid: Any = 0
    tid: Any = 0
    id: Any = None
    id2: Any = None
    scope: Any = None
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
    """0 while it has none."""
    attributes: dict[str, AttributeValue]


@dataclass(slots=True)
class _Tracks:
    """What was met so far."""

    base_ns: int
    place: Place
    slices: defaultdict[_Track, list[_Slice]] = field(default_factory=lambda: defaultdict(list))
    halves: defaultdict[_Track, list[tuple[int, _Event]]] = field(default_factory=lambda: defaultdict(list))
    """Beginnings and ends, with their times, in the order of the file."""
    processes: dict[str, str] = field(default_factory=dict[str, str])
    threads: dict[_Track, str] = field(default_factory=dict[_Track, str])


def read_events(item: bytes, place: Place) -> Iterator[SpanRecord]:
    """Yield the spans of a document, or of a bare list of events."""
    document = _DOCUMENT(b'{"traceEvents":%s}' % item if item.lstrip()[:1] == b"[" else item, place)
    tracks = _Tracks(document.base_ns, place)
    for number, event in enumerate(document.events, start=1):
        try:
            _take(lenient.fitted(event, _Event, place), tracks)
        except (msgspec.MsgspecError, ValueError, OverflowError, InvalidOperation) as error:
            place.skip(f"event {number}: {error}")
    for track, halves in tracks.halves.items():
        tracks.slices[track] += _paired(halves, tracks)
    yield from _records(tracks, hashlib.sha256(item).hexdigest()[:32])


_DOCUMENT: Final = lenient.decoder(_Document)


def _take(event: _Event, tracks: _Tracks) -> None:
    track = _track(event)
    match event.ph:
        case "X":
            start = _time(event, tracks)
            tracks.slices[track].append(_Slice(event, start, start + _length(event.dur, tracks), _arguments(event)))
        case "B" | "b" | "S" | "E" | "e" | "F":
            tracks.halves[track].append((_time(event, tracks), event))
        case "M" if event.name == "process_name":
            tracks.processes[str(event.pid)] = str(_arguments(event).get("name", ""))
        case "M" if event.name == "thread_name":
            tracks.threads[track] = str(_arguments(event).get("name", ""))
        case _:
            pass


def _track(event: _Event) -> _Track:
    if event.ph in {"b", "e", "S", "F"}:
        return str(event.pid), str(event.cat), str(event.scope), str(event.id if event.id is not None else event.id2)
    return str(event.pid), str(event.tid)


def _nanoseconds(microseconds: float | str) -> int:
    exact = Decimal(microseconds) if isinstance(microseconds, str) else microseconds
    return round(exact * _MICROSECOND)


def _time(event: _Event, tracks: _Tracks) -> int:
    if event.ts is None:
        raise ValueError("it has no time")
    return values.within_64_bits(tracks.base_ns + _nanoseconds(event.ts))


def _length(microseconds: float | str | None, tracks: _Tracks) -> int:
    try:
        return values.within_64_bits(_nanoseconds(microseconds or 0))
    except (ValueError, OverflowError, InvalidOperation):
        tracks.place.note(LENGTHS)
        return 0


def _arguments(event: _Event) -> dict[str, AttributeValue]:
    return values.flattened(values.members(event.args))


def _paired(halves: list[tuple[int, _Event]], tracks: _Tracks) -> list[_Slice]:
    """Return the slices of one track out of its beginnings and ends, whatever their order in the file."""
    found: list[_Slice] = []
    above: list[_Slice] = []
    early: dict[tuple[int, str], _Event] = {}
    ordered = sorted(halves, key=lambda half: half[0])
    if ordered != halves:
        tracks.place.note(UNORDERED)
    for time, event in ordered:
        if event.ph in _BEGIN:
            end = early.pop((time, str(event.name)), None)
            begun = _Slice(event, time, time if end else 0, {**_arguments(event), **(_arguments(end) if end else {})})
            (found if end else above).append(begun)
        elif (depth := _matching(above, event)) >= 0:
            # What was begun inside and has no end of its own ends with it at the latest.
            for inner in above[depth:]:
                inner.end_ns = time
            above[depth].attributes.update(_arguments(event))
            found += above[depth:]
            del above[depth:]
        else:
            early[time, str(event.name)] = event
    if early:
        tracks.place.note(UNMATCHED, len(early))
    return found + above


def _matching(above: Sequence[_Slice], end: _Event) -> int:
    """Return the place in `above` of the slice that `end` ends: the innermost of its name, which it may leave out."""
    names = [str(piece.event.name) for piece in above]
    if not end.name:
        return len(above) - 1
    return max((depth for depth, name in enumerate(names) if name == str(end.name)), default=-1)


def _records(tracks: _Tracks, trace_id: str) -> Iterator[SpanRecord]:
    number = 0
    markers = _markers(tracks)
    above_all: list[tuple[_Slice, str]] = []
    for marker in markers:
        number += 1
        span_id = f"{number:016x}"
        yield _record(marker, trace_id, span_id, above_all[-1][1] if above_all else None, _resource(marker, tracks))
        above_all.append((marker, span_id))
    root = above_all[-1][1] if above_all else None
    for slices in tracks.slices.values():
        above: list[tuple[_Slice, str]] = []
        for piece in sorted(slices, key=lambda piece: (piece.start_ns, -(piece.end_ns or 1 << 63))):
            if any(piece is marker for marker in markers):
                continue
            number += 1
            span_id = f"{number:016x}"
            while above and not _encloses(above[-1][0], piece):
                above.pop()
            yield _record(piece, trace_id, span_id, above[-1][1] if above else root, _resource(piece, tracks))
            above.append((piece, span_id))


def _markers(tracks: _Tracks) -> list[_Slice]:
    """Return the slices that are alone on their track and enclose all other tracks, the longest first."""
    alone = [slices[0] for slices in tracks.slices.values() if len(slices) == 1 and slices[0].end_ns]
    others = [piece for slices in tracks.slices.values() for piece in slices if piece.event.cat != _KINETO]
    if len(tracks.slices) == 1 or not others or not alone:
        return []
    first, last = min(piece.start_ns for piece in others), max(max(piece.start_ns, piece.end_ns) for piece in others)
    found: list[_Slice] = []
    for marker in sorted(alone, key=attrgetter("start_ns")):
        if marker.event.cat == _KINETO:
            marker.start_ns, marker.end_ns = min(first, marker.start_ns), max(last, marker.end_ns)
        if marker.start_ns <= first and last <= marker.end_ns and len(found) < len(tracks.slices) - 1:
            found.append(marker)
    if found:
        tracks.place.note(MARKER, len(found))
    return sorted(found, key=lambda marker: marker.start_ns - marker.end_ns)


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
