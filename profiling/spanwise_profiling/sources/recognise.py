"""Which format a file has, by its content alone, and the spans in it.

Binary or text is told by control characters, a document from lines by whether its first line is a JSON value of its
own, and one JSON format from another by the names of its members. What is damaged is skipped and listed; only a file
in which nothing is recognised is an error.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, TypeAlias

import msgspec

from spanwise.errors import InputError
from spanwise.journal.reader import ReadReport, Skipped, is_segment, read_file
from spanwise_profiling.sources import chrome, flat, jaeger, langfuse, langsmith, openai_agents, otlp_json, streams

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from collections.abc import Set as AbstractSet

    from spanwise.journal.reader import SpanRecord

    Reader: TypeAlias = Callable[[bytes, Callable[[str], None]], Iterator[SpanRecord]]

READ_HERE: Final = "OTLP (JSON or protobuf), Jaeger, LangSmith, Phoenix, Langfuse, OpenAI Agents, Chrome trace"
_WRAPPERS: Final = ("data", "runs", "items", "spans", "traces")
_HEAD: Final = 256
_TEXT: Final = frozenset(b"\t\n\r")
_SPACE: Final = b" \t\r\n\xef\xbb\xbf"
_FAULTS: Final = (msgspec.MsgspecError, ValueError, RecursionError, OverflowError)
_MEMBERS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ITEMS: Final = msgspec.json.Decoder(list[msgspec.Raw])


@dataclass(slots=True)
class _Place:
    """Where reading is, and what is told of it."""

    name: str
    report: ReadReport
    number: int = 0
    """Of the line, message or member, counted from 1."""

    def skip(self, reason: str) -> None:
        self.report.skipped.append(Skipped(Path(self.name), self.number, reason))


def read(source: str | Path, report: ReadReport) -> Iterator[SpanRecord]:
    """Yield the spans of a file in any format, a segment of a journal among them, or of standard input (`-`).

    Raises:
        InputError: it cannot be read, is empty, or is of no format that is read here.
    """
    if str(source) != streams.STDIN and Path(source).is_file() and is_segment(source):
        yield from read_file(source, report)
        return
    with streams.open_stream(source) as stream:
        yield from read_stream(stream, "standard input" if str(source) == streams.STDIN else str(source), report)


def read_bytes(content: bytes, name: str, report: ReadReport) -> Iterator[SpanRecord]:
    """Yield the spans of `content`, which came from `name`.

    Raises:
        InputError: as `read`.
    """
    with streams.unpacked(io.BytesIO(content), name) as stream:
        yield from read_stream(stream, name, report)


def read_stream(stream: streams.Stream, name: str, report: ReadReport) -> Iterator[SpanRecord]:
    """Yield the spans of an unpacked stream.

    Raises:
        InputError: as `read`.
    """
    report.files += 1
    head = stream.peek(_HEAD)[:_HEAD]
    place = _Place(name, report)
    if not head.strip(_SPACE) and len(head) < _HEAD:
        raise InputError(f"{name}: is empty; give a file that holds a trace ({READ_HERE})")
    if any(byte < 32 and byte not in _TEXT for byte in head):  # noqa: PLR2004 - control characters end there
        found = _binary(stream, head, place)
    elif head.lstrip(_SPACE)[:1] in {b"{", b"["}:
        found = _text(stream, place)
    else:
        raise _unknown(name, "is neither JSON nor protobuf")
    for record in found:
        report.spans += 1
        yield record


def _unknown(name: str, why: str) -> InputError:
    return InputError(f"{name}: {why}; read here are: {READ_HERE}")


def _binary(stream: streams.Stream, head: bytes, place: _Place) -> Iterator[SpanRecord]:
    from spanwise_profiling.sources import otlp_protobuf  # noqa: PLC0415 - loads protobuf, which few files need

    # Field 1 of a request; as a length it would mean a message of 160 MiB and more.
    whole = head[:1] == b"\n"
    messages = [streams.whole(stream, place.name)] if whole else otlp_protobuf.messages(stream, place.name)
    for place.number, packed in enumerate(messages, start=1):
        message = streams.unpack_message(packed, place.name)
        reader = otlp_json.read_request if message[:1] == b"{" else otlp_protobuf.read_request
        yield from _guarded(reader, message, place)


def _text(stream: IO[bytes], place: _Place) -> Iterator[SpanRecord]:
    lines = streams.lines(stream, place.name)
    first = next((line for line in _counted(lines, place) if line.strip(_SPACE)), b"").lstrip(_SPACE)
    if _is_json(first):
        return _of_lines(chain([first], lines), place)
    kept = [first, *streams.bounded(lines, place.name)]
    document = b"".join(kept)
    return _of_value(document, place) if _is_json(document) else _of_lines(kept, place)


def _counted(lines: Iterable[bytes], place: _Place) -> Iterator[bytes]:
    for line in lines:
        place.number += 1
        yield line


def _is_json(content: bytes) -> bool:
    try:
        msgspec.json.decode(content, type=msgspec.Raw)
    except _FAULTS:
        return False
    return True


def _of_lines(lines: Iterable[bytes], place: _Place) -> Iterator[SpanRecord]:
    place.number = max(0, place.number - 1)
    for line in _counted(lines, place):
        if not line.strip(_SPACE):
            continue
        if line.endswith(b"\n") or _is_json(line):
            yield from _of_value(line, place)
        else:
            place.report.incomplete += 1


def of_line(line: bytes, name: str, report: ReadReport) -> Iterator[SpanRecord]:
    """Yield the spans of one line of JSON; one that has no line end and is no whole value is counted as incomplete."""
    yield from _of_lines([line], _Place(name, report, 1))


def _of_value(value: bytes, place: _Place, depth: int = 0) -> Iterator[SpanRecord]:
    """Yield the spans of a JSON value: of an object of a known format, or of each member of a list or wrapper."""
    try:
        members, keys = _taken_apart(value)
    except _FAULTS as error:
        place.skip(str(error) or type(error).__name__)
        return
    if reader := _reader_for(keys):
        yield from _guarded(reader, value, place)
    elif members is None or depth > 1:
        named = ", ".join(sorted(keys)[:4]) or "nothing"
        place.skip(f"is JSON of no format that is read here (it names {named[:80]})")
    else:
        for member in members:
            yield from _of_value(bytes(member), place, depth + 1)


def _taken_apart(value: bytes) -> tuple[list[msgspec.Raw] | None, AbstractSet[str]]:
    """Return the members of a list or of what wraps one, and the names of the members of an object."""
    if value.lstrip(_SPACE)[:1] == b"[":
        members = _ITEMS.decode(value)
        first = bytes(members[0]).lstrip()[:1] if members else b""
        is_chrome = first == b"{" and "ph" in _MEMBERS.decode(members[0])
        return members, frozenset({"traceEvents"} if is_chrome else ())
    named = _MEMBERS.decode(value)
    wrapped = next((named[key] for key in _WRAPPERS if bytes(named.get(key, b"")).lstrip()[:1] == b"["), None)
    return (None if wrapped is None else _ITEMS.decode(wrapped)), named.keys()


def _reader_for(keys: AbstractSet[str]) -> Reader | None:
    return next((reader for signs, reader in _FORMATS if any(sign <= keys for sign in signs)), None)


def _signs(*alternatives: str) -> tuple[frozenset[str], ...]:
    return tuple(frozenset(names.split()) for names in alternatives)


_FORMATS: Final[tuple[tuple[tuple[frozenset[str], ...], Reader], ...]] = (
    (_signs("resourceSpans", "resource_spans", "batches"), otlp_json.read_request),
    (_signs("startTimeUnixNano", "start_time_unix_nano"), otlp_json.read_span),
    (_signs("spans processes"), jaeger.read_trace),
    (_signs("traceEvents"), chrome.read_events),
    (_signs("object span_data", "object workflow_name"), openai_agents.read_item),
    (_signs("run_type"), langsmith.read_run),
    (_signs("context start_time", "context.span_id", "context.trace_id"), flat.read_span),
    (_signs("observations", "traceId type startTime", "trace_id type start_time"), langfuse.read_item),
    (_signs("result", "trace"), otlp_json.read_request),
)
"""By the names that an object must have, one of the alternatives."""


def _guarded(reader: Reader, item: bytes, place: _Place) -> Iterator[SpanRecord]:
    try:
        yield from reader(item, place.skip)
    except _FAULTS as error:
        place.skip(str(error) or type(error).__name__)
