"""Which format a file has, by its content alone, and the spans in it.

Binary or text is told by control characters, and one JSON format from another by the names of its members. What is
damaged is skipped and listed; only a file in which nothing is recognised is an error.
"""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, TypeAlias

import msgspec

from spanwise.errors import InputError
from spanwise.journal.reader import ReadReport, is_segment, read_file
from spanwise_profiling.sources import (
    archives,
    chrome,
    consoles,
    documents,
    flat,
    jaeger,
    json_text,
    langfuse,
    langsmith,
    openai_agents,
    otlp_json,
    streams,
)
from spanwise_profiling.sources.place import OTHER_SIGNALS, Place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from collections.abc import Set as AbstractSet

    from spanwise.journal.reader import SpanRecord

    Reader: TypeAlias = Callable[[bytes, Place], Iterator[SpanRecord]]

READ_HERE: Final = (
    "OTLP (JSON or protobuf), Jaeger, LangSmith, Phoenix, Langfuse, OpenAI Agents, Chrome trace, console exporters"
)
SCORES: Final = "score(s) left out; spanwise reads spans"
_WRAPPERS: Final = ("data", "runs", "items", "spans", "traces")
_HEAD: Final = 4096
_TEXT: Final = frozenset(b"\t\n\r\b\f\x1b")
_SPACE: Final = b" \t\r\n"
_MEMBERS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ITEMS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_BINARY: Final = (
    (b"PAR1", "Parquet; export JSON, or convert it to JSON lines"),
    (b"SQLite format 3", "a SQLite database; export the traces as JSON"),
    (b"ARROW1", "Arrow; convert it to JSON lines"),
    (b"Obj\x01", "Avro; convert it to JSON lines"),
    (b"\x80\x04\x95", "a Python pickle; save the data frame as JSON lines"),
    (b"\x80\x05\x95", "a Python pickle; save the data frame as JSON lines"),
    (b"%PDF", "a PDF; give the trace itself"),
    (b"\x89PNG", "a picture; give the trace itself"),
    (b"\xff\xd8\xff", "a picture; give the trace itself"),
    (b"7z\xbc\xaf", "a 7-Zip archive; unpack it"),
    (b"Rar!", "a RAR archive; unpack it"),
)
"""Formats that are not read here, by their first bytes."""
_TEXTS: Final = (
    (rb"\s*<", "a web page or XML; give the trace itself"),
    (rb"(?m)^.*'[^'\n]*' : [0-9a-f]{32} [0-9a-f]{16} [A-Z]+ \[tracer:",
     "what Java's logging exporter prints, which has no times; set OTEL_TRACES_EXPORTER=logging-otlp"),
    (rb"(?m)^Activity\.TraceId:", "what .NET's console exporter prints; export OTLP"),
    (rb"\"?\w[\w .]*\"?(,\"?\w[\w .]*\"?){2,}\r?\n", "CSV; export JSON"),
)  # fmt: skip
"""Likewise of text, by an expression."""


def read(source: str | Path, report: ReadReport) -> Iterator[SpanRecord]:
    """Yield the spans of a file in any format, a segment of a journal among them, or of standard input (`-`).

    Raises:
        InputError: it cannot be read, is empty, or is of no format that is read here.
    """
    if str(source) != streams.STDIN and Path(source).is_file() and is_segment(source):
        yield from read_file(source, report)
        return
    with streams.open_stream(source, report) as stream:
        yield from read_stream(stream, "standard input" if str(source) == streams.STDIN else str(source), report)


def read_bytes(content: bytes, name: str, report: ReadReport) -> Iterator[SpanRecord]:
    """Yield the spans of `content`, which came from `name`.

    Raises:
        InputError: as `read`.
    """
    with streams.unpacked(io.BytesIO(content), name, report) as stream:
        yield from read_stream(stream, name, report)


def read_stream(stream: streams.Stream, name: str, report: ReadReport) -> Iterator[SpanRecord]:
    """Yield the spans of an unpacked stream.

    Raises:
        InputError: as `read`.
    """
    if archives.is_archive(stream.peek(archives.HEAD)):
        yield from _of_archive(stream, name, report)
        return
    report.files += 1
    head = stream.peek(_HEAD)[:_HEAD]
    place = Place(name, report)
    if not head.strip(_SPACE) and len(head) < _HEAD:
        raise InputError(f"{name}: is empty; give a file that holds a trace ({READ_HERE})")
    is_binary = any(byte < 32 and byte not in _TEXT for byte in head)  # noqa: PLR2004 - control characters end there
    for record in _binary(stream, head, place) if is_binary else _text(stream, head, place):
        report.spans += 1
        yield record


def _of_archive(stream: streams.Stream, name: str, report: ReadReport) -> Iterator[SpanRecord]:
    problems: list[str] = []
    spans = report.spans
    for member, content in archives.files(stream, name):
        inner = f"{name}/{member}"
        try:
            # Not closed: the archive closes what it gives.
            unpacked = streams.unpacked(content, inner, report)
            if archives.is_archive(unpacked.peek(archives.HEAD)):
                problems.append(f"{inner}: is an archive in an archive; unpack it")
                continue
            yield from read_stream(unpacked, inner, report)
        except InputError as error:
            problems.append(str(error))
    if report.spans == spans:
        raise InputError(problems[0] if problems else f"{name}: holds no file; give one that holds a trace")
    for problem in problems:
        report.note(f"file(s) of {name} left out, such as {problem}")


def _unknown(name: str, why: str) -> InputError:
    return InputError(f"{name}: {why}; read here are: {READ_HERE}")


def _binary(stream: streams.Stream, head: bytes, place: Place) -> Iterator[SpanRecord]:
    from spanwise_profiling.sources import otlp_protobuf  # noqa: PLC0415 - loads protobuf, which few files need

    if what := next((what for sign, what in _BINARY if head.startswith(sign)), None):
        raise InputError(f"{place.name}: is {what}; read here are: {READ_HERE}")
    # Field 1 of a request; as a length it would mean a message of 160 MiB and more.
    whole = head[:1] == b"\n"
    messages = [streams.whole(stream, place.name)] if whole else otlp_protobuf.messages(stream, place)
    for place.number, packed in enumerate(messages, start=1):
        message = streams.unpack_message(packed, place.name)
        if message[:1] == b"{":
            yield from of_value(message, place)
        else:
            yield from _guarded(otlp_protobuf.read_request, message, place)


def _text(stream: IO[bytes], head: bytes, place: Place) -> Iterator[SpanRecord]:
    values = 0
    for value in documents.values(stream, place, _is_known):
        values += 1
        yield from of_value(value, place)
    report = place.report
    if not values and not report.skipped and not report.incomplete:
        named = next((f"is {what}" for sign, what in _TEXTS if re.match(sign, head) or re.search(sign, head)), None)
        report.noted.pop(documents.TEXT, None)
        raise _unknown(place.name, named or "is neither JSON nor protobuf")


def of_line(line: bytes, name: str, report: ReadReport, number: int = 1) -> Iterator[SpanRecord]:
    """Yield the spans of line `number` of a file of JSON lines; one that is cut off at its end is counted so."""
    place = Place(name, report, number)
    lines = iter([(number, line)] if line.strip(_SPACE) else [])
    for value in documents.one_by_one(lines, place, _is_known, at_end=not line.endswith(b"\n")):
        yield from of_value(value, place)


def of_value(value: bytes, place: Place, depth: int = 0) -> Iterator[SpanRecord]:
    """Yield the spans of a JSON value: of an object of a known format, or of each member of a list or wrapper."""
    try:
        members, keys = _taken_apart(value)
    except json_text.FAULTS as error:
        place.skip(str(error) or type(error).__name__)
        return
    if left_out := _left_out(keys):
        place.note(left_out)
    elif reader := _reader_for(keys):
        yield from _guarded(reader, value, place)
    elif members is None or depth > 1:
        named = ", ".join(sorted(keys)[:4]) or "nothing"
        place.skip(f"is JSON of no format that is read here (it names {named[:80]})")
    else:
        for member in members:
            yield from of_value(bytes(member), place, depth + 1)


def _is_known(line: bytes) -> bool:
    """Whether `line` is a value of a known format, and no part of one that takes several lines."""
    if line[:1] != b"{" or not line.rstrip(_SPACE).endswith(b"}") or not json_text.is_sound(line):
        return False
    keys = _MEMBERS.decode(line).keys()
    return bool(_left_out(keys) or _reader_for(keys))


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


def _left_out(keys: AbstractSet[str]) -> str | None:
    """Return what an object of these members is that holds no span and is no mistake."""
    return next((what for signs, what in _WITHOUT_SPANS if any(sign <= keys for sign in signs)), None)


def _signs(*alternatives: str) -> tuple[frozenset[str], ...]:
    return tuple(frozenset(names.split()) for names in alternatives)


_FORMATS: Final[tuple[tuple[tuple[frozenset[str], ...], Reader], ...]] = (
    (_signs("resourceSpans", "resource_spans", "batches"), otlp_json.read_request),
    (_signs("scopeSpans", "scope_spans", "instrumentationLibrarySpans"), otlp_json.read_resource),
    (_signs("startTimeUnixNano", "start_time_unix_nano"), otlp_json.read_span),
    (_signs("spans processes", "spans traceID"), jaeger.read_trace),
    (_signs("traceID spanID operationName"), jaeger.read_span),
    (_signs("traceEvents"), chrome.read_events),
    (_signs("object span_data", "object workflow_name"), openai_agents.read_item),
    (_signs("run_type"), langsmith.read_run),
    (_signs("SpanContext StartTime"), consoles.read_go),
    (_signs("traceId timestamp duration"), consoles.read_javascript),
    (_signs("context start_time", "context.span_id", "context.trace_id"), flat.read_span),
    (_signs("observations", "traceId type startTime", "trace_id type start_time"), langfuse.read_item),
    (_signs("result", "trace"), otlp_json.read_request),
)
"""By the names that an object must have, one of the alternatives."""
_WITHOUT_SPANS: Final[tuple[tuple[tuple[frozenset[str], ...], str], ...]] = (
    (
        _signs(
            "resourceLogs", "resource_logs", "scopeLogs", "resourceMetrics", "resource_metrics", "scopeMetrics",
            "resourceProfiles", "resource_profiles", "body severity_number", "body severityNumber", "Body Severity",
        ),
        OTHER_SIGNALS,
    ),
    (_signs("traceId value dataType", "trace_id value data_type"), SCORES),
)  # fmt: skip


def _guarded(reader: Reader, item: bytes, place: Place) -> Iterator[SpanRecord]:
    try:
        yield from reader(item, place)
    except json_text.FAULTS as error:
        place.skip(str(error) or type(error).__name__)
