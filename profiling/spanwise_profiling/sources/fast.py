"""Millions of spans out of OTLP/JSON lines, straight into columns and without a `SpanRecord` for each.

msgspec decodes only the fields that the columns keep, so parsing is most of the time. A span that uses another tool's
names takes the slow way through `dialects`, one by one: plain HTTP requests, which only their ancestors explain, stay
plain spans. What is no line of OTLP/JSON takes the ordinary readers.
"""

from __future__ import annotations

import struct
from array import array
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, TypeAlias

import msgspec
import numpy as np

from spanwise import conventions as c
from spanwise.journal.reader import STATUS_ERROR, AttributeValue, ReadReport, Skipped, SpanRecord
from spanwise.otlp.json_messages import Request
from spanwise_profiling import collecting, columns, columns_join, dialects, kinds
from spanwise_profiling.sources import recognise, streams, values

if TYPE_CHECKING:
    from collections.abc import Callable

    from spanwise.otlp.json_messages import ResourceSpans
    from spanwise_profiling.columns import Builder, Columns
    from spanwise_profiling.sources import parts

    _Kind: TypeAlias = tuple[int, int, int]
    """Number of the kind, and where its subject and the one that stands in for it are."""
    _Shape: TypeAlias = tuple[int, int, int, int, tuple[int, ...], "_ByOperation"]
    """Where operation, agent, tokens and their parts stand in all spans that have the same names in the same order
    (-1 for nowhere), and the kind by operation: None where `dialects` must look, under None for all others."""

_FAULTS: Final = (msgspec.MsgspecError, ValueError, RecursionError, OverflowError)
_SIGN: Final = b'"resourceSpans"'
_HEAD: Final = 4096
_TELL_EVERY: Final = 256
LEAST_IN_PARTS: Final = 192 << 20
"""Bytes of a file from which several processes are worth their start."""
_ODD_OPERATIONS: Final = dialects.ROLES[c.OPERATION_NAME].keys()
_PARTS: Final = (
    c.USAGE_CACHE_READ_INPUT_TOKENS,
    c.USAGE_CACHE_WRITE_INPUT_TOKENS,
    c.USAGE_REASONING_OUTPUT_TOKENS,
)
_NO_PARENT: Final = "0" * 16
_ID_DIGITS: Final = 16
_MOST_SHAPES: Final = 4096
_TOGETHER: Final = 4096


# Of a span only what the columns keep is decoded: with all of `json_messages.Span`, loading takes twice as long.


class _Value(msgspec.Struct, rename="camel", gc=False):
    string_value: str | None = None
    int_value: int | None = None
    double_value: float | str | None = None
    bool_value: bool | None = None


class _Pair(msgspec.Struct, gc=False):
    key: str
    value: _Value


class _Status(msgspec.Struct, gc=False):
    code: int = 0


class _Span(msgspec.Struct, rename="camel", gc=False):
    trace_id: str
    span_id: str
    parent_span_id: str = ""
    name: str = ""
    start_time_unix_nano: int = 0
    end_time_unix_nano: int = 0
    attributes: list[_Pair] = []
    status: _Status | None = None


_NOTHING: Final = _Pair("", _Value(int_value=columns.NONE))

# Not strict: integers of 64 bits are text in OTLP/JSON, and become numbers while they are parsed.
_DECODER: Final = msgspec.json.Decoder(Request[_Span], strict=False)


@collecting.paused()
def load(path: str | Path, report: ReadReport | None = None, progress: Callable[[int], None] | None = None) -> Columns:
    """Return all spans of a file of any format as columns.

    Args:
        path: The file, or `-` for standard input.
        report: Filled with what was skipped.
        progress: Called now and then with the number of bytes read, after decompression.

    Raises:
        InputError: it cannot be read, is empty, or is of no format that is read here.
    """
    report = ReadReport() if report is None else report
    loader = Loader(columns.Builder(), report, str(path))
    with streams.open_stream(path, report) as stream:
        if _begins_with_line(stream):
            report.files += 1
            if not loader.read_in_parts(path, progress):
                loader.read(stream, progress)
        else:
            for record in dialects.translated(recognise.read_stream(stream, str(path), report)):
                loader.builder.add(record)
    return columns_join.joined(loader.builder)


def holds_lines(path: str | Path) -> bool:
    """Return whether a file, compressed or not, begins with a line of OTLP/JSON.

    Raises:
        InputError: it cannot be read.
    """
    with streams.open_stream(path) as stream:
        return _begins_with_line(stream)


def _begins_with_line(stream: streams.Stream) -> bool:
    head = stream.peek(_HEAD)[:_HEAD]
    return head[:1] == b"{" and _SIGN in head.partition(b"\n")[0]


@dataclass(slots=True)
class Loader:
    """Takes lines of OTLP/JSON into `builder`."""

    builder: Builder
    report: ReadReport = field(default_factory=ReadReport)
    name: str = ""
    """Of the file."""
    number: int = 0
    """How many lines were taken."""
    shapes: dict[tuple[str, ...], _Shape] = field(default_factory=dict["tuple[str, ...]", "_Shape"])
    meanings: list[bytes] = field(default_factory=list[bytes])
    """Of the last spans; together they cost less."""

    def read(self, stream: IO[bytes], progress: Callable[[int], None] | None) -> None:
        """Take the lines of `stream`."""
        done = 0
        for line in streams.lines(stream, self.name):
            self.take(line)
            done += len(line)
            if progress is not None and self.number % _TELL_EVERY == 0:
                progress(done)
        self.flush()
        if progress is not None:
            progress(done)

    def read_in_parts(self, path: str | Path, progress: Callable[[int], None] | None) -> bool:
        """Take the lines of a big file by several processes; returns whether that was worth it and could be done."""
        if str(path) == streams.STDIN or Path(path).stat().st_size < LEAST_IN_PARTS:
            return False
        from spanwise_profiling.sources import parts  # noqa: PLC0415 - loads what small files do not need

        if (count := min(parts.cores(), parts.MOST)) == 1:
            return False
        with Path(path).open("rb") as file:
            wanted = parts.ranges(file) if file.peek(1)[:1] == b"{" else []
            with parts.processes(file, min(count, len(wanted))) as readers:
                if not readers:
                    return False
                for (_, end), part in zip(wanted, parts.read(self.name, wanted, readers), strict=True):
                    self._take_part(part)
                    if progress is not None:
                        progress(end)
        return True

    def _take_part(self, part: parts.Part) -> None:
        self.builder.extend(part.columns, part.strings, part.services, part.traces)
        self.report.spans += part.spans
        self.report.incomplete += part.incomplete
        self.report.skipped += [Skipped(Path(self.name), self.number + line, reason) for line, reason in part.skipped]
        for what, count in part.noted.items():
            self.report.note(what, count)
        self.number += part.lines

    def take(self, line: bytes | memoryview) -> None:
        """Take the next line, with its end."""
        self.number += 1
        try:
            request = _DECODER.decode(line)
        except _FAULTS:
            self._slowly(bytes(line))
            return
        for of_resource in request.resource_spans:
            self._of_resource(of_resource)
        if len(self.meanings) > _TOGETHER:
            self.flush()

    def _slowly(self, line: bytes) -> None:
        """Take a line that is odd: damaged, the last one, without spans, or of a more lenient writer."""
        records = list(recognise.of_line(line, self.name, self.report, self.number))
        self.flush()
        for record in dialects.translated(records):
            self.report.spans += 1
            self.builder.add(record)

    def _of_resource(self, of_resource: ResourceSpans[_Span]) -> None:
        pairs = (of_resource.resource.attributes if of_resource.resource else None) or []
        name = next((pair.value.string_value for pair in pairs if pair.key == "service.name" and pair.value), None)
        service = self.builder.service_number(name)
        for scope in of_resource.scopes():
            self._take(scope.spans or [], service)

    def _take(self, spans: list[_Span], service: int) -> None:
        builder = self.builder
        try:
            ids = _id_bytes([span.span_id for span in spans])
            parents = _id_bytes([span.parent_span_id or _NO_PARENT for span in spans])
            starts = array("q", [span.start_time_unix_nano for span in spans])
            ends = array("q", [span.end_time_unix_nano for span in spans])
            status = array("b", [span.status.code if span.status is not None else 0 for span in spans])
        except (ValueError, OverflowError):
            self._take_sound(spans, service)
            return
        builder.span_id.frombytes(ids)
        builder.parent_id.frombytes(parents)
        builder.start += starts
        builder.end += ends
        builder.status += status
        builder.trace.extend(self._traces(spans))
        texts = builder.strings
        builder.name.extend([texts[span.name] for span in spans])
        builder.service += array("h", [service]) * len(spans)
        self._add_meanings(spans)
        self.report.spans += len(spans)

    def _traces(self, spans: list[_Span]) -> list[int]:
        traces = self.builder.traces
        if len(ids := {span.trace_id for span in spans}) == 1:
            return [traces.setdefault(ids.pop().lower(), len(traces))] * len(spans)
        return [traces.setdefault(span.trace_id.lower(), len(traces)) for span in spans]

    def _take_sound(self, spans: list[_Span], service: int) -> None:
        """Take spans among which some are odd; those that make no sense are skipped."""
        for span in spans:
            try:
                ids = [values.identifier(span.trace_id), values.identifier(span.span_id)]
                parent = values.parent_identifier(span.parent_span_id)
                times = [values.within_64_bits(time) for time in (span.start_time_unix_nano, span.end_time_unix_nano)]
            except ValueError as error:
                self.report.skipped.append(Skipped(Path(self.name), self.number, f"span {span.span_id!r}: {error}"))
                continue
            self._take(
                [
                    msgspec.structs.replace(
                        span,
                        trace_id=ids[0],
                        span_id=f"{columns.number_of(ids[1]):016x}",
                        parent_span_id=f"{columns.number_of(parent):016x}" if parent else "",
                        start_time_unix_nano=times[0],
                        end_time_unix_nano=times[1],
                        status=span.status if span.status and 0 <= span.status.code <= STATUS_ERROR else None,
                    )
                ],
                service,
            )

    def _add_meanings(self, spans: list[_Span]) -> None:
        """Take what the attributes of `spans` say."""
        shapes, texts, meanings, pack = self.shapes, self.builder.strings, self.meanings, columns.MEANING.pack
        for span in spans:
            pairs = span.attributes
            names = tuple([pair.key for pair in pairs])
            operation, agent, tokens_in, tokens_out, parts, by_operation = shapes.get(names) or self._shape(names)
            pairs.append(_NOTHING)  # what stands nowhere stands at -1
            found = by_operation[pairs[operation].value.string_value]
            given, made = pairs[tokens_in].value, pairs[tokens_out].value
            if found is None or (parts and _is_left_out([pairs[part].value for part in parts], given, made)):
                pairs.pop()
                meanings.append(pack(*self.builder.meaning_of(_translated(span))))
                continue
            kind, subject, other = found
            named = texts[pairs[agent].value.string_value]
            about = texts[pairs[subject].value.string_value or pairs[other].value.string_value]
            try:
                meanings.append(pack(kind, named, about, given.int_value, made.int_value))
            except struct.error:  # no count, or none that fits
                meanings.append(pack(kind, named, about, _tokens(given), _tokens(made)))

    def flush(self) -> None:
        """Give the builder what it does not have yet of the lines that were taken."""
        self.builder.add_meanings(self.meanings)
        self.meanings.clear()

    def _shape(self, names: tuple[str, ...]) -> _Shape:
        if len(self.shapes) >= _MOST_SHAPES:
            self.shapes.clear()
        shape = self.shapes[names] = _shape_of(names)
        return shape


class _ByOperation(dict["str | None", "_Kind | None"]):
    """The kind of span by operation: None where `dialects` must look; under None that of all other operations."""

    def __missing__(self, operation: str | None) -> _Kind | None:
        return self.get(None)


def _shape_of(names: tuple[str, ...]) -> _Shape:
    places = {name: place for place, name in enumerate(names)}

    def meaning(kind: kinds.Kind) -> _Kind:
        subjects = [places[name] for name in kinds.SUBJECTS[kind] if name in places]
        first, other, *_ = *subjects, -1, -1
        return columns.KIND_NUMBERS[kind], first, other

    meanings = _ByOperation()
    if places.keys().isdisjoint(dialects.MARKS):
        meanings.update({operation: meaning(kind) for operation, kind in kinds.OPERATIONS.items()})
        meanings.update(dict.fromkeys(_ODD_OPERATIONS))
        meanings[None] = meaning(kinds.kind_without_operation(places))
    own = (c.OPERATION_NAME, c.AGENT_NAME, c.USAGE_INPUT_TOKENS, c.USAGE_OUTPUT_TOKENS)
    operation, agent, tokens_in, tokens_out = (places.get(name, -1) for name in own)
    parts = tuple(places.get(name, -1) for name in _PARTS) if not places.keys().isdisjoint(_PARTS) else ()
    return operation, agent, tokens_in, tokens_out, parts, meanings


def _is_left_out(parts: list[_Value], given: _Value, made: _Value) -> bool:
    """Whether counts of tokens leave out some of their parts, which are `_PARTS`."""
    cached, written, reasoning = (max(0, part.int_value or 0) for part in parts)
    return cached + written > (given.int_value or 0) or reasoning > (made.int_value or 0)


def _id_bytes(ids: list[str]) -> bytes:
    """Return ids of 16 hexadecimal digits as numbers of this machine's byte order; raises `ValueError` for others."""
    if set(map(len, ids)) - {_ID_DIGITS}:
        raise ValueError("not all ids have 16 digits")
    return np.frombuffer(bytes.fromhex("".join(ids)), ">u8").astype("u8").tobytes()


def _number(value: _Value) -> float | None:
    if value.double_value is not None:
        return float(value.double_value)
    return value.int_value


def _tokens(value: _Value) -> int:
    """Return a count that is no integer on the wire."""
    return columns.tokens_of(values.count(_plain(value)))


def _translated(span: _Span) -> SpanRecord:
    """Return what matters of a span with another tool's names."""
    attributes: dict[str, AttributeValue] = {pair.key: _plain(pair.value) for pair in span.attributes}
    parent = span.parent_span_id if span.parent_span_id.strip("0") else None
    record = SpanRecord(span.trace_id, span.span_id, parent, span.name, 0, 0, 0, attributes)
    return next(dialects.translated([record]))


def _plain(value: _Value) -> AttributeValue:
    if value.string_value is not None:
        return value.string_value
    number = _number(value)
    return value.bool_value if number is None else number
