"""Recorded spans out of OTLP/JSON lines, one ExportTraceServiceRequest a line, ours and the collector's alike.

Reading never raises over what a file holds: recordings outlive crashes, and one bad line must not hide the others. A
damaged line is skipped and listed in the caller's `ReadReport`; a last line that has no end yet is only counted,
because another process may be writing it. Spans come in file order and are neither joined nor sorted here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

import msgspec

from spanwise.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

SUFFIX: Final = ".otlp.jsonl"
STATUS_ERROR: Final = 2

AttributeValue: TypeAlias = (
    "str | bool | int | float | bytes | tuple[AttributeValue, ...] | Mapping[str, AttributeValue] | None"
)
Attributes: TypeAlias = Mapping[str, AttributeValue]


@dataclass(frozen=True, slots=True)
class LinkRecord:
    """A link from a span to another one."""

    trace_id: str
    span_id: str
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class EventRecord:
    """Something that happened at one moment of a span."""

    time_ns: int
    """Nanoseconds since 1970, UTC."""
    name: str
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class SpanRecord:
    """One ended span as it was recorded: identifiers in lower-case hexadecimal, times in unscaled nanoseconds."""

    trace_id: str
    span_id: str
    parent_id: str | None
    """None for a root."""
    name: str
    kind: int
    """OTLP's number: 1 internal, 2 server, 3 client, 4 producer, 5 consumer, 0 unknown."""
    start_ns: int
    """Nanoseconds since 1970, UTC."""
    end_ns: int
    attributes: Attributes
    links: tuple[LinkRecord, ...] = ()
    events: tuple[EventRecord, ...] = ()
    status_code: int = 0
    """OTLP's number: 0 unset, 1 ok, 2 error."""
    status_message: str = ""
    resource: Attributes = field(default_factory=dict[str, AttributeValue])
    scope_name: str = ""
    scope_version: str = ""
    trace_state: str = ""
    """As W3C has it; `ot=th:…` says how likely the trace was to be sampled."""

    @property
    def is_error(self) -> bool:
        """Whether the span ended in error."""
        return self.status_code == STATUS_ERROR

    @property
    def duration_ns(self) -> int:
        """Length in nanoseconds; 0 where the recorded end lies before the start."""
        return max(0, self.end_ns - self.start_ns)


@dataclass(frozen=True, slots=True)
class Skipped:
    """A damaged line."""

    path: Path
    line: int
    """Counted from 1."""
    reason: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: skipped: {self.reason}"


@dataclass(slots=True)
class ReadReport:
    """What a reading met; filled while its spans are taken."""

    files: int = 0
    spans: int = 0
    incomplete: int = 0
    """Files whose last line is still being written (or was cut off)."""
    skipped: list[Skipped] = field(default_factory=list[Skipped])


def read(folder: str | Path, report: ReadReport | None = None) -> Iterator[SpanRecord]:
    """Yield the spans of every `*.otlp.jsonl` in a journal `folder`, files by name; none where there is no folder.

    Raises:
        InputError: the folder, or a file in it, may not be read.
    """
    report = ReadReport() if report is None else report
    for path in _files(Path(folder)):
        # A file that another process purges between listing and opening is not an error.
        if path.exists():
            yield from read_file(path, report)


def read_file(path: str | Path, report: ReadReport | None = None) -> Iterator[SpanRecord]:
    """Yield the spans of one file in lines of OTLP/JSON, whatever its name.

    Raises:
        InputError: there is no such file, or it may not be read.
    """
    path = Path(path)
    report = ReadReport() if report is None else report
    try:
        with path.open("rb") as lines:
            report.files += 1
            for number, line in enumerate(lines, start=1):
                spans = _read_line(line, path, number, report)
                report.spans += len(spans)
                yield from spans
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; give the path of a file of OTLP/JSON lines") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check its permissions") from None


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(entry for entry in folder.iterdir() if entry.name.endswith(SUFFIX))
    except FileNotFoundError:
        return []
    except NotADirectoryError:
        raise InputError(f"{folder}: is a file; the journal is a folder, give the one that holds it") from None
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror}); check its permissions") from None


def _read_line(line: bytes, path: Path, number: int, report: ReadReport) -> tuple[SpanRecord, ...]:
    if not line.strip():
        return ()
    try:
        return tuple(_spans(_DECODER.decode(line)))
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        if line.endswith(b"\n"):
            report.skipped.append(Skipped(path, number, str(error) or type(error).__name__))
        else:
            report.incomplete += 1
        return ()


class _Struct(msgspec.Struct, rename="camel"):
    """Base of the wire's messages; what they do not name is ignored."""


class _Array(_Struct):
    values: list[_AnyValue] = []


class _KeyValues(_Struct):
    values: list[_KeyValue] = []


class _AnyValue(_Struct):
    """One of: which field is set says which. Integers come as text (64 bits do not fit a JSON number)."""

    string_value: str | None = None
    bool_value: bool | None = None
    int_value: int | str | None = None
    double_value: float | str | None = None  # "NaN" and "Infinity" are text in JSON
    bytes_value: bytes | None = None
    array_value: _Array | None = None
    kvlist_value: _KeyValues | None = None


class _KeyValue(_Struct):
    key: str
    value: _AnyValue = msgspec.field(default_factory=_AnyValue)


_TraceId: TypeAlias = Annotated[str, msgspec.Meta(pattern="^[0-9a-fA-F]{32}$")]
_SpanId: TypeAlias = Annotated[str, msgspec.Meta(pattern="^[0-9a-fA-F]{16}$")]
_ParentId: TypeAlias = Annotated[str, msgspec.Meta(pattern="^([0-9a-fA-F]{16})?$")]


class _Link(_Struct):
    trace_id: _TraceId
    span_id: _SpanId
    attributes: list[_KeyValue] = []


class _Event(_Struct):
    name: str = ""
    time_unix_nano: int | str = 0
    attributes: list[_KeyValue] = []


class _Status(_Struct):
    code: int = 0
    message: str = ""


class _Span(_Struct):
    trace_id: _TraceId
    span_id: _SpanId
    parent_span_id: _ParentId = ""
    name: str = ""
    kind: int = 0
    start_time_unix_nano: int | str = 0
    end_time_unix_nano: int | str = 0
    trace_state: str = ""
    attributes: list[_KeyValue] = []
    links: list[_Link] = []
    events: list[_Event] = []
    status: _Status = msgspec.field(default_factory=_Status)


class _Scope(_Struct):
    name: str = ""
    version: str = ""


class _ScopeSpans(_Struct):
    scope: _Scope = msgspec.field(default_factory=_Scope)
    spans: list[_Span] = []


class _Resource(_Struct):
    attributes: list[_KeyValue] = []


class _ResourceSpans(_Struct):
    resource: _Resource = msgspec.field(default_factory=_Resource)
    scope_spans: list[_ScopeSpans] = []


class _Request(_Struct):
    resource_spans: list[_ResourceSpans]


_DECODER: Final = msgspec.json.Decoder(_Request)


def _spans(request: _Request) -> Iterator[SpanRecord]:
    for of_resource in request.resource_spans:
        resource = _attributes(of_resource.resource.attributes)
        for of_scope in of_resource.scope_spans:
            for span in of_scope.spans:
                yield _record(span, resource, of_scope.scope)


def _record(span: _Span, resource: Attributes, scope: _Scope) -> SpanRecord:
    parent = span.parent_span_id.lower()
    return SpanRecord(
        trace_id=span.trace_id.lower(),
        span_id=span.span_id.lower(),
        parent_id=parent if parent.strip("0") else None,
        name=span.name,
        kind=span.kind,
        start_ns=int(span.start_time_unix_nano),
        end_ns=int(span.end_time_unix_nano),
        attributes=_attributes(span.attributes),
        links=tuple(LinkRecord(x.trace_id.lower(), x.span_id.lower(), _attributes(x.attributes)) for x in span.links),
        events=tuple(EventRecord(int(x.time_unix_nano), x.name, _attributes(x.attributes)) for x in span.events),
        status_code=span.status.code,
        status_message=span.status.message,
        resource=resource,
        scope_name=scope.name,
        scope_version=scope.version,
        trace_state=span.trace_state,
    )


def _attributes(pairs: list[_KeyValue]) -> dict[str, AttributeValue]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: _AnyValue) -> AttributeValue:
    if value.string_value is not None:
        return value.string_value
    if value.int_value is not None:
        return int(value.int_value)
    if value.double_value is not None:
        return float(value.double_value)
    if value.array_value is not None:
        return tuple(_value(item) for item in value.array_value.values)
    if value.kvlist_value is not None:
        return _attributes(value.kvlist_value.values)
    return value.bytes_value if value.bool_value is None else value.bool_value
