"""Millions of spans out of OTLP/JSON lines, straight into columns and without a `SpanRecord` for each.

msgspec decodes only the fields that the columns keep, so parsing is most of the time. A span that uses another tool's
names takes the slow way through `dialects`. What is no line of OTLP/JSON takes the ordinary readers.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

import msgspec

from spanwise import conventions as c
from spanwise.journal.reader import STATUS_ERROR, AttributeValue, ReadReport, Skipped, SpanRecord
from spanwise_profiling import columns, dialects, kinds
from spanwise_profiling.sources import recognise, streams, values

if TYPE_CHECKING:
    from collections.abc import Callable
    from spanwise_profiling.columns import Builder, Columns

_FAULTS: Final = (msgspec.MsgspecError, ValueError, RecursionError, OverflowError)
_SIGN: Final = b'"resourceSpans"'
_HEAD: Final = 4096
_TELL_EVERY: Final = 256
_SLOW: Final = dialects.MARKS | columns.INEXACT
_ODD_OPERATIONS: Final = dialects.ROLES[c.OPERATION_NAME].keys()
_WANTED: Final = _SLOW | {
    c.OPERATION_NAME, c.WAIT_KIND, c.CACHE_NAME, c.CACHE_RESULT, c.STEP_NAME, c.AGENT_NAME, c.USAGE_INPUT_TOKENS,
    c.USAGE_OUTPUT_TOKENS, c.RESPONSE_TIME_TO_FIRST_CHUNK, *(name for names in kinds.SUBJECTS.values() for name in names),
}  # fmt: skip


class _Value(msgspec.Struct, rename="camel", gc=False):
    string_value: str | None = None
    int_value: int | None = None
    double_value: float | str | None = None
    bool_value: bool | None = None


class _Pair(msgspec.Struct, gc=False):
    key: str
    value: _Value


class _Link(msgspec.Struct, rename="camel", gc=False):
    trace_id: str
    span_id: str
    attributes: tuple[_Pair, ...] = ()


class _Status(msgspec.Struct, gc=False):
    code: int = 0


class _Span(msgspec.Struct, rename="camel", gc=False):
    trace_id: str
    span_id: str
    parent_span_id: str = ""
    name: str = ""
    start_time_unix_nano: int = 0
    end_time_unix_nano: int = 0
    attributes: tuple[_Pair, ...] = ()
    links: tuple[_Link, ...] = ()
    status: _Status | None = None


class _ScopeSpans(msgspec.Struct, rename="camel", gc=False):
    spans: list[_Span] = []


class _Resource(msgspec.Struct, gc=False):
    attributes: list[_Pair] = []


class _ResourceSpans(msgspec.Struct, rename="camel", gc=False):
    resource: _Resource | None = None
    scope_spans: list[_ScopeSpans] = []


class _Request(msgspec.Struct, rename="camel", gc=False):
    resource_spans: list[_ResourceSpans]


# Not strict: integers of 64 bits are text in OTLP/JSON, and become numbers while they are parsed.
_DECODER: Final = msgspec.json.Decoder(_Request, strict=False)


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
    loader = _Loader(columns.Builder(), report, str(path))
    with streams.open_stream(path) as stream:
        head = stream.peek(_HEAD)[:_HEAD]
        if head[:1] == b"{" and _SIGN in head:
            report.files += 1
            loader.read(stream, progress)
        else:
            for record in dialects.translated(recognise.read_stream(stream, str(path), report)):
                loader.builder.add(record)
    return loader.builder.finished()


@dataclass(slots=True)
class _Loader:
    builder: Builder
    report: ReadReport
    name: str
    number: int = 0
    last_trace: tuple[str, int] = ("", -1)

    def read(self, stream: IO[bytes], progress: Callable[[int], None] | None) -> None:
        """Take the lines of `stream`."""
        done = 0
        for self.number, line in enumerate(streams.lines(stream, self.name), start=1):
            done += len(line)
            if progress is not None and self.number % _TELL_EVERY == 0:
                progress(done)
            try:
                request = _DECODER.decode(line)
            except _FAULTS:
                self._slowly(line)
                continue
            for of_resource in request.resource_spans:
                self._of_resource(of_resource)
        if progress is not None:
            progress(done)

    def _slowly(self, line: bytes) -> None:
        """Take a line that is odd: damaged, the last one, or of a more lenient writer."""
        found = ReadReport()
        records = list(recognise.of_line(line, self.name, found)) if line.strip() else []
        self.report.incomplete += found.incomplete
        self.report.skipped += [Skipped(skipped.path, self.number, skipped.reason) for skipped in found.skipped]
        for record in dialects.translated(records):
            self.report.spans += 1
            self.builder.add(record)

    def _of_resource(self, of_resource: _ResourceSpans) -> None:
        pairs = of_resource.resource.attributes if of_resource.resource else []
        name = next((pair.value.string_value for pair in pairs if pair.key == "service.name"), None)
        service = self.builder.service_number(name)
        for scope in of_resource.scope_spans:
            self._take(scope.spans, service)

    def _take(self, spans: list[_Span], service: int) -> None:
        builder, row = self.builder, len(self.builder.start)
        try:
            ids = array("Q", [int(span.span_id, 16) for span in spans])
            parents = array("Q", [int(span.parent_span_id or "0", 16) for span in spans])
            starts = array("q", [span.start_time_unix_nano for span in spans])
            ends = array("q", [span.end_time_unix_nano for span in spans])
            status = array("b", [span.status.code if span.status is not None else 0 for span in spans])
        except (ValueError, OverflowError):
            self._take_sound(spans, service)
            return
        builder.span_id += ids
        builder.parent_id += parents
        builder.start += starts
        builder.end += ends
        builder.status += status
        builder.trace.extend([self._trace(span.trace_id) for span in spans])
        strings = builder.strings
        builder.name.extend([strings.setdefault(span.name, len(strings)) for span in spans])
        builder.service.extend([service] * len(spans))
        for number, span in enumerate(spans, start=row):
            self._meaning(number, span)
            for link in span.links:
                if link.trace_id == span.trace_id:
                    reason = next(
                        (pair.value.string_value for pair in link.attributes if pair.key == c.LINK_REASON), None
                    )
                    builder.add_link(number, columns.number_of(link.span_id), reason)
        self.report.spans += len(spans)

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
                        span_id=f"{columns.number_of(ids[1]):x}",
                        parent_span_id=f"{columns.number_of(parent):x}" if parent else "",
                        start_time_unix_nano=times[0],
                        end_time_unix_nano=times[1],
                        status=span.status if span.status and 0 <= span.status.code <= STATUS_ERROR else None,
                    )
                ],
                service,
            )

    def _trace(self, trace_id: str) -> int:
        if trace_id != self.last_trace[0]:
            traces = self.builder.traces
            self.last_trace = trace_id, traces.setdefault(trace_id.lower(), len(traces))
        return self.last_trace[1]

    def _meaning(self, row: int, span: _Span) -> None:
        found = {pair.key: pair.value for pair in span.attributes if pair.key in _WANTED}
        if not found.keys().isdisjoint(_SLOW) or _text(found.get(c.OPERATION_NAME)) in _ODD_OPERATIONS:
            self.builder.add_meaning(row, _translated(span))
            return
        builder = self.builder
        kind, subject = _kind_of(found)
        builder.kind.append(kind)
        builder.subject.append(builder.text(subject))
        builder.wait_kind.append(columns.WAIT_NUMBERS.get(_text(found.get(c.WAIT_KIND)) or "", columns.NONE))
        builder.agent.append(builder.text(_text(found.get(c.AGENT_NAME))))
        builder.input_tokens.append(_tokens(found.get(c.USAGE_INPUT_TOKENS)))
        builder.output_tokens.append(_tokens(found.get(c.USAGE_OUTPUT_TOKENS)))
        if (first := found.get(c.RESPONSE_TIME_TO_FIRST_CHUNK)) is not None:
            seconds = _number(first)
            if seconds is not None:
                builder.add_first_chunk(row, seconds)


def _kind_of(found: dict[str, _Value]) -> tuple[int, str | None]:
    """Return the number of a span's kind and its subject: what `kinds` says, for wire values."""
    operation = _text(found.get(c.OPERATION_NAME))
    kind = kinds.OPERATIONS.get(operation) if operation is not None else None
    if kind is None:
        if c.WAIT_KIND in found:
            kind = "wait"
        elif c.CACHE_NAME in found or c.CACHE_RESULT in found:
            kind = "cache"
        else:
            kind = "step" if c.STEP_NAME in found else "span"
    for name in kinds.SUBJECTS[kind]:
        if subject := _text(found.get(name)):
            return columns.KIND_NUMBERS[kind], subject
    return columns.KIND_NUMBERS[kind], None


def _text(value: _Value | None) -> str | None:
    return None if value is None else value.string_value or None


def _number(value: _Value) -> float | None:
    if value.string_value is not None:
        return None
    return value.int_value if value.int_value is not None else _float(value.double_value)


def _float(value: float | str | None) -> float | None:
    return None if value is None else float(value)


def _tokens(value: _Value | None) -> int:
    return columns.NONE if value is None else columns.tokens_of(_number(value))


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
