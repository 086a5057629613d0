"""OTLP/JSON as plain values: the messages of an ExportTraceServiceRequest and what a reader makes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

import msgspec

from spanwise.otlp.records import EventRecord, LinkRecord, SpanRecord

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spanwise.otlp.records import Attributes, AttributeValue

MALFORMED: Final = (msgspec.MsgspecError, ValueError, RecursionError)
"""What decoding raises of content that is no request."""


def spans_of(content: bytes) -> tuple[SpanRecord, ...]:
    """Return the spans of one ExportTraceServiceRequest in OTLP/JSON; raises one of `MALFORMED`."""
    return tuple(_spans(_DECODER.decode(content)))


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
        links=tuple(map(_link, span.links)),
        events=tuple(map(_event, span.events)),
        status_code=span.status.code,
        status_message=span.status.message,
        resource=resource,
        scope_name=scope.name,
        scope_version=scope.version,
        trace_state=span.trace_state,
    )


def _link(link: _Link) -> LinkRecord:
    return LinkRecord(link.trace_id.lower(), link.span_id.lower(), _attributes(link.attributes))


def _event(event: _Event) -> EventRecord:
    return EventRecord(int(event.time_unix_nano), event.name, _attributes(event.attributes))


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
