"""OTLP/JSON of any writer: requests, Jaeger's and Tempo's answers around them, and bare lists of spans.

More lenient than the journal's reader, as others write ids in base64, enumerations by name and fields in snake case.
A span that makes no sense is skipped by itself and does not take its request with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from spanwise.journal.reader import AttributeValue, EventRecord, LinkRecord, SpanRecord
from spanwise_profiling.sources import values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

KINDS: Final[Mapping[str, int]] = {
    name: number for number, name in enumerate(("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"))
}
STATUSES: Final[Mapping[str, int]] = {"UNSET": 0, "OK": 1, "ERROR": 2}
JAEGERS_OWN: Final = "@jaeger@"
_ONLY_ERRORS: Final = (msgspec.MsgspecError, ValueError, RecursionError)


class _Struct(msgspec.Struct, rename="camel"):
    """Base of the wire's messages; what they do not name is ignored."""


class _Array(_Struct):
    values: list[_AnyValue] | None = None


class _KeyValues(_Struct):
    values: list[_KeyValue] | None = None


class _AnyValue(_Struct):
    string_value: str | None = None
    bool_value: bool | None = None
    int_value: int | str | None = None
    double_value: float | str | None = None
    bytes_value: str | None = None
    array_value: _Array | None = None
    kvlist_value: _KeyValues | None = None


class _KeyValue(_Struct):
    key: str
    value: _AnyValue | None = None


class _Link(_Struct):
    trace_id: str = ""
    span_id: str = ""
    attributes: list[_KeyValue] | None = None


class _Event(_Struct):
    name: str = ""
    time_unix_nano: int | str = 0
    attributes: list[_KeyValue] | None = None


class _Status(_Struct):
    code: int | str | None = 0
    message: str | None = ""


class _Span(_Struct):
    trace_id: str = ""
    span_id: str = ""
    parent_span_id: str | None = ""
    parent_id: str | None = ""  # what Phoenix calls it
    trace_state: str | None = ""
    name: str = ""
    kind: int | str | None = 0
    start_time_unix_nano: int | str = 0
    end_time_unix_nano: int | str | None = 0
    attributes: list[_KeyValue] | None = None
    links: list[_Link] | None = None
    events: list[_Event] | None = None
    status: _Status | None = None


class _Scope(_Struct):
    name: str = ""
    version: str = ""


class _ScopeSpans(_Struct):
    scope: _Scope = msgspec.field(default_factory=_Scope)
    spans: list[_Span] | None = None


class _Resource(_Struct):
    attributes: list[_KeyValue] | None = None


class _ResourceSpans(_Struct):
    resource: _Resource | None = None
    scope_spans: list[_ScopeSpans] | None = None
    instrumentation_library_spans: list[_ScopeSpans] | None = None  # before OTLP 0.19


class _Request(_Struct):
    resource_spans: list[_ResourceSpans] | None = None
    batches: list[_ResourceSpans] | None = None  # what Tempo calls them
    result: _Request | None = None  # Jaeger's /api/v3
    trace: _Request | None = None  # Tempo's /api/v2


_REQUEST: Final = msgspec.json.Decoder(_Request)
_SPAN: Final = msgspec.json.Decoder(_Span)


def read_request(item: bytes, skip: Callable[[str], None]) -> Iterator[SpanRecord]:
    """Yield the spans of one ExportTraceServiceRequest, or of an answer that wraps one."""
    if b'"resource_spans"' in item:
        item = msgspec.json.encode(camelised(msgspec.json.decode(item)))
    request: _Request | None = _REQUEST.decode(item)
    while request is not None:
        for of_resource in (request.resource_spans or []) + (request.batches or []):
            yield from _of_resource(of_resource, skip)
        request = request.result or request.trace


def read_span(item: bytes, skip: Callable[[str], None]) -> Iterator[SpanRecord]:
    """Yield the one span that `item` holds without a request around it."""
    if b'"span_id"' in item:
        item = msgspec.json.encode(camelised(msgspec.json.decode(item)))
    yield from _record(_SPAN.decode(item), {}, _Scope(), skip)


def camelised(value: Any) -> Any:
    """Return a JSON value with the names of its members in camel case (`trace_id` as `traceId`)."""
    if values.is_object(value):
        return {camel(key): camelised(member) for key, member in value.items()}
    return [camelised(member) for member in value] if values.is_list(value) else value


def camel(name: str) -> str:
    """Return a name in camel case."""
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


def _of_resource(of_resource: _ResourceSpans, skip: Callable[[str], None]) -> Iterator[SpanRecord]:
    resource = _attributes(of_resource.resource.attributes if of_resource.resource else None)
    for scoped in (of_resource.scope_spans or []) + (of_resource.instrumentation_library_spans or []):
        for span in scoped.spans or []:
            yield from _record(span, resource, scoped.scope, skip)


def _record(
    span: _Span, resource: Mapping[str, AttributeValue], scope: _Scope, skip: Callable[[str], None]
) -> Iterator[SpanRecord]:
    try:
        record = SpanRecord(
            trace_id=values.identifier(span.trace_id),
            span_id=values.identifier(span.span_id),
            parent_id=values.parent_identifier(span.parent_span_id or span.parent_id),
            name=span.name,
            kind=enumerated(span.kind, KINDS),
            start_ns=values.within_64_bits(int(span.start_time_unix_nano)),
            end_ns=values.within_64_bits(int(span.end_time_unix_nano or 0)),
            attributes=_attributes(span.attributes),
            links=tuple(_link(link) for link in span.links or ()),
            events=tuple(_event(event) for event in span.events or ()),
            status_code=enumerated(span.status.code, STATUSES) if span.status else 0,
            status_message=(span.status.message or "") if span.status else "",
            resource=resource,
            scope_name=scope.name,
            scope_version=scope.version,
            trace_state=span.trace_state or "",
        )
    except _ONLY_ERRORS as error:
        skip(f"span {span.span_id!r}: {error}")
        return
    yield record


def _link(link: _Link) -> LinkRecord:
    return LinkRecord(values.identifier(link.trace_id), values.identifier(link.span_id), _attributes(link.attributes))


def _event(event: _Event) -> EventRecord:
    return EventRecord(int(event.time_unix_nano), event.name, _attributes(event.attributes))


def enumerated(value: object, names: Mapping[str, int]) -> int:
    """Return OTLP's number of an enumeration's member, given as number or as name (`SPAN_KIND_CLIENT`, `CLIENT`)."""
    if isinstance(value, str) and not value.isdecimal():
        return names.get(value.upper().replace(".", "_").rsplit("_", 1)[-1], 0)
    return int(value) if isinstance(value, int | str) and 0 <= int(value) < len(names) else 0


def _attributes(pairs: list[_KeyValue] | None) -> dict[str, AttributeValue]:
    return {
        pair.key: None if pair.value is None else _value(pair.value)
        for pair in pairs or ()
        if not pair.key.startswith(JAEGERS_OWN)
    }


def _value(value: _AnyValue) -> AttributeValue:
    if value.string_value is not None:
        return value.string_value
    if value.int_value is not None:
        return int(value.int_value)
    if value.double_value is not None:
        return float(value.double_value)
    if value.array_value is not None:
        return tuple(_value(item) for item in value.array_value.values or ())
    if value.kvlist_value is not None:
        return _attributes(value.kvlist_value.values)
    return values.binary(value.bytes_value) if value.bool_value is None else value.bool_value
