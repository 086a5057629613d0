"""A profile as a Perfetto trace: TrackEvent packets, see https://perfetto.dev/docs/reference/synthetic-track-event.

The first track of a run is its critical path, a slice for each segment; the others are the run's tracks. Protobuf and
not Chrome's JSON, which knows no nanoseconds. Times are scaled nanoseconds, counted from the run's recorded start.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final

from spanwise_profiling import kinds
from spanwise_profiling.render.tracks import tracks_of
from spanwise_profiling.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from spanwise.journal.reader import SpanRecord
    from spanwise_profiling.profile import Profile, Segment
    from spanwise_profiling.runs import Run

# Fields of perfetto.protos, as `number << 3 | wire type` (0 a number, 2 bytes)
_TRACE_PACKET: Final = 1 << 3 | 2
_PACKET_TIMESTAMP, _PACKET_SEQUENCE, _PACKET_FLAGS = 8 << 3, 10 << 3, 13 << 3
_PACKET_EVENT, _PACKET_DESCRIPTOR = 11 << 3 | 2, 60 << 3 | 2
_TRACK_UUID, _TRACK_NAME, _TRACK_PARENT, _TRACK_ORDERING, _TRACK_RANK = 1 << 3, 2 << 3 | 2, 5 << 3, 11 << 3, 12 << 3
_EVENT_TYPE, _EVENT_TRACK, _EVENT_CATEGORY, _EVENT_NAME = 9 << 3, 11 << 3, 22 << 3 | 2, 23 << 3 | 2
_EVENT_ANNOTATION: Final = 4 << 3 | 2
_ANNOTATION_NAME, _ANNOTATION_TEXT = 10 << 3 | 2, 6 << 3 | 2
_BEGIN, _END, _EXPLICIT, _CLEARED, _SEQUENCE = 1, 2, 3, 1, 1


def perfetto_trace(profiles: Sequence[Profile]) -> bytes:
    """Return the content of the file."""
    packets = [packet for profile in profiles for packet in _packets(profile)]
    return b"".join(_bytes(_TRACE_PACKET, packet) for packet in packets)


def _packets(profile: Profile) -> Iterator[bytes]:
    run, above = profile.run, _uuid(profile.run, "run")
    title = f"{run.title}, run {run.run_id}"
    yield _track(above, title, flags=True)
    path = _uuid(run, "path")
    yield _track(path, "critical path", parent=above, rank=0)
    for segment in profile.path:
        yield _begin(run, path, segment.start_ns, _of_segment(segment))
        yield _end(run, path, segment.end_ns)
    for rank, spans in enumerate(tracks_of(run), start=1):
        track = _uuid(run, f"track {rank}")
        yield _track(track, f"track {rank}: {kinds.label_of(spans[0])}", parent=above, rank=rank)
        yield from _slices(run, track, spans)


def _slices(run: Run, track: int, spans: Sequence[SpanRecord]) -> Iterator[bytes]:
    ends: list[int] = []
    for span in spans:
        while ends and ends[-1] <= span.start_ns:
            yield _end(run, track, ends.pop())
        yield _begin(run, track, span.start_ns, _of_span(span))
        ends.append(span.start_ns + span.duration_ns)
    while ends:
        yield _end(run, track, ends.pop())


def _of_segment(segment: Segment) -> bytes:
    about = {"bucket": segment.bucket, "edge": segment.edge, "agent": segment.agent or ""}
    return _slice(kinds.label_of(segment.span), segment.bucket, {**about, "span_id": segment.span.span_id})


def _of_span(span: SpanRecord) -> bytes:
    failure = kinds.error_of(span)
    links = {f"link {number}": link.span_id for number, link in enumerate(span.links, start=1)}
    about = {"span_id": span.span_id, **({"error": failure} if failure else {}), **links}
    return _slice(kinds.label_of(span), kinds.kind_of(span), about)


def _slice(name: str, category: str, about: Mapping[str, str]) -> bytes:
    notes = b"".join(_bytes(_EVENT_ANNOTATION, _annotation(*item)) for item in about.items())
    return _text(_EVENT_CATEGORY, category) + _text(_EVENT_NAME, name) + notes


def _track(uuid: int, name: str, *, parent: int | None = None, rank: int = 0, flags: bool = False) -> bytes:
    track = _number(_TRACK_UUID, uuid) + _text(_TRACK_NAME, name)
    if parent is None:
        track += _number(_TRACK_ORDERING, _EXPLICIT)
    else:
        track += _number(_TRACK_PARENT, parent) + _number(_TRACK_RANK, rank)
    packet = _bytes(_PACKET_DESCRIPTOR, track) + _number(_PACKET_SEQUENCE, _SEQUENCE)
    return packet + (_number(_PACKET_FLAGS, _CLEARED) if flags else b"")


def _begin(run: Run, track: int, at_ns: int, slice_: bytes) -> bytes:
    return _event(run, at_ns, _number(_EVENT_TYPE, _BEGIN) + _number(_EVENT_TRACK, track) + slice_)


def _end(run: Run, track: int, at_ns: int) -> bytes:
    return _event(run, at_ns, _number(_EVENT_TYPE, _END) + _number(_EVENT_TRACK, track))


def _event(run: Run, at_ns: int, event: bytes) -> bytes:
    scaled = run.start_ns + round((at_ns - run.start_ns) * run.scale)
    timestamp = _number(_PACKET_TIMESTAMP, max(0, scaled))
    return timestamp + _number(_PACKET_SEQUENCE, _SEQUENCE) + _bytes(_PACKET_EVENT, event)


def _annotation(name: str, value: str) -> bytes:
    return _text(_ANNOTATION_NAME, name) + _text(_ANNOTATION_TEXT, value)


def _uuid(run: Run, what: str) -> int:
    """Return a track's number: the same for the same run, different for others."""
    return int.from_bytes(sha256(f"{run.run_id} {run.trace_id} {what}".encode()).digest()[:8], "big") or 1


def _number(field: int, value: int) -> bytes:
    return _varint(field) + _varint(value)


def _text(field: int, value: str) -> bytes:
    return _bytes(field, printable(value).encode())


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:  # noqa: PLR2004 - seven bits a byte
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)
