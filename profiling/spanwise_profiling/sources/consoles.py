"""Spans as the console exporters of JavaScript and Go print them. Python's are read by `flat`.

JavaScript's has times in microseconds and a duration; its kinds are counted from 0. Go's has attributes as pairs with
a type, and names in capitals.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from spanwise.journal.reader import AttributeValue, EventRecord, LinkRecord, SpanRecord
from spanwise_profiling.sources import lenient, values
from spanwise_profiling.sources.otlp_json import KINDS, STATUSES, enumerated

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spanwise_profiling.sources.place import Place

_MICROSECOND: Final = 1_000
_UNSPECIFIED: Final = 0


class _ScriptSpan(msgspec.Struct, rename="camel"):
    trace_id: str
    timestamp: float
    id: str = ""
    span_id: str = ""
    parent_id: str | None = None
    parent_span_id: str | None = None
    parent_span_context: Any = None
    name: str = ""
    kind: int | str = -1
    duration: float | None = None
    attributes: Any = None
    status: Any = None
    events: list[Any] | None = None
    links: list[Any] | None = None
    resource: Any = None
    instrumentation_scope: Any = None
    instrumentation_library: Any = None
    tags: Any = None
    local_endpoint: Any = None


class _GoSpan(msgspec.Struct, rename="pascal"):
    span_context: dict[str, Any]
    start_time: Any
    end_time: Any = None
    name: str = ""
    parent: Any = None
    span_kind: int | str = 0
    attributes: list[Any] | None = None
    events: list[Any] | None = None
    links: list[Any] | None = None
    status: Any = None
    resource: list[Any] | None = None
    instrumentation_scope: Any = None
    instrumentation_library: Any = None


_SCRIPT: Final = lenient.decoder(_ScriptSpan)
_GO: Final = lenient.decoder(_GoSpan)


def read_javascript(item: bytes, place: Place) -> Iterator[SpanRecord]:
    """Yield the one span that `item` holds; Zipkin's spans have the same members."""
    span = _SCRIPT(item, place)
    start = values.nanoseconds(span.timestamp)
    status, scope = (
        values.members(span.status),
        values.members(span.instrumentation_scope or span.instrumentation_library),
    )
    tags = values.attributes(span.tags)
    service = values.members(span.local_endpoint).get("serviceName")
    resource = values.attributes(values.members(span.resource).get("attributes"))
    parent = values.members(span.parent_span_context).get("spanId") or span.parent_span_id or span.parent_id
    yield SpanRecord(
        trace_id=values.identifier(span.trace_id),
        span_id=values.identifier(span.id or span.span_id),
        parent_id=values.parent_identifier(parent),
        name=span.name,
        kind=span.kind + 1 if isinstance(span.kind, int) else enumerated(span.kind, KINDS),
        start_ns=start,
        end_ns=0 if span.duration is None else values.within_64_bits(start + round(span.duration * _MICROSECOND)),
        attributes={**tags, **values.attributes(span.attributes)},
        links=tuple(_script_link(values.members(link)) for link in span.links or ()),
        events=tuple(_script_event(values.members(event)) for event in span.events or ()),
        status_code=enumerated(status.get("code", "ERROR" if "error" in tags else 0), STATUSES),
        status_message=str(status.get("message") or tags.get("error") or ""),
        resource={**({"service.name": service} if service else {}), **resource},
        scope_name=str(scope.get("name") or ""),
        scope_version=str(scope.get("version") or ""),
    )


def _script_link(link: dict[str, Any]) -> LinkRecord:
    context = values.members(link.get("context"))
    trace_id, span_id = (values.identifier(context.get(name)) for name in ("traceId", "spanId"))
    return LinkRecord(trace_id, span_id, values.attributes(link.get("attributes")))


def _script_event(event: dict[str, Any]) -> EventRecord:
    time = event.get("time") or event.get("timestamp") or 0
    # A pair of seconds and nanoseconds.
    time_ns = int(time[0]) * 10**9 + int(time[1]) if values.is_list(time) else values.nanoseconds(time)
    return EventRecord(
        time_ns, str(event.get("name") or event.get("value") or ""), values.attributes(event.get("attributes"))
    )


def read_go(item: bytes, place: Place) -> Iterator[SpanRecord]:
    """Yield the one span that `item` holds."""
    span = _GO(item, place)
    status, scope = (
        values.members(span.status),
        values.members(span.instrumentation_scope or span.instrumentation_library),
    )
    yield SpanRecord(
        trace_id=values.identifier(span.span_context.get("TraceID")),
        span_id=values.identifier(span.span_context.get("SpanID")),
        parent_id=values.parent_identifier(values.members(span.parent).get("SpanID")),
        name=span.name,
        kind=enumerated(span.span_kind, KINDS),
        start_ns=values.nanoseconds(span.start_time),
        end_ns=0 if span.end_time is None else values.nanoseconds(span.end_time),
        attributes=_go_attributes(span.attributes),
        links=tuple(_go_link(values.members(link)) for link in span.links or ()),
        events=tuple(_go_event(values.members(event)) for event in span.events or ()),
        status_code=enumerated(status.get("Code", 0), STATUSES),
        status_message=str(status.get("Description") or ""),
        resource=_go_attributes(span.resource),
        scope_name=str(scope.get("Name") or ""),
        scope_version=str(scope.get("Version") or ""),
        trace_state=str(span.span_context.get("TraceState") or ""),
    )


def _go_attributes(pairs: object) -> dict[str, AttributeValue]:
    found: dict[str, AttributeValue] = {}
    for pair in map(values.members, pairs if values.is_list(pairs) else ()):
        value = pair.get("Value")
        found[str(pair.get("Key"))] = values.attribute(value.get("Value") if values.is_object(value) else value)
    return found


def _go_link(link: dict[str, Any]) -> LinkRecord:
    context = values.members(link.get("SpanContext"))
    trace_id, span_id = (values.identifier(context.get(name)) for name in ("TraceID", "SpanID"))
    return LinkRecord(trace_id, span_id, _go_attributes(link.get("Attributes")))


def _go_event(event: dict[str, Any]) -> EventRecord:
    return EventRecord(
        values.nanoseconds(event.get("Time", 0)), str(event.get("Name") or ""), _go_attributes(event.get("Attributes"))
    )
