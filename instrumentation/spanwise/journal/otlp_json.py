"""Spans as one OTLP/JSON ExportTraceServiceRequest, as the collector's file exporter writes it.

Ids are lower-case hex and 64-bit integers are strings (the OTLP specification's JSON mapping); floats that JSON
lacks are written as strings, as protobuf's JSON mapping does.
"""

from __future__ import annotations

import base64
import math
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import Event, ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import Link, SpanContext, Status

_HAS_REMOTE = 0x100
_IS_REMOTE = 0x200


def encode(spans: Sequence[ReadableSpan]) -> bytes:
    """Return one line, newline included, that holds `spans` grouped by resource and scope."""
    groups: dict[tuple[int, int], tuple[Resource | None, InstrumentationScope | None, list[ReadableSpan]]] = {}
    for span in spans:
        key = (id(span.resource), id(span.instrumentation_scope))
        groups.setdefault(key, (span.resource, span.instrumentation_scope, []))[2].append(span)
    by_resource: dict[int, dict[str, Any]] = {}
    for resource, scope, members in groups.values():
        entry = by_resource.setdefault(id(resource), {"resource": _resource(resource), "scopeSpans": []})
        entry["scopeSpans"].append({"scope": _scope(scope), "spans": [_span(span) for span in members]})
    return msgspec.json.encode({"resourceSpans": list(by_resource.values())}) + b"\n"


def _resource(resource: Resource | None) -> dict[str, Any]:
    return {"attributes": _attributes(resource.attributes)} if resource is not None else {}


def _scope(scope: InstrumentationScope | None) -> dict[str, Any]:
    if scope is None:
        return {}
    return {"name": scope.name, "version": scope.version} if scope.version else {"name": scope.name}


def _span(span: ReadableSpan) -> dict[str, Any]:
    context, parent = span.context, span.parent
    assert context is not None
    return {
        "traceId": f"{context.trace_id:032x}",
        "spanId": f"{context.span_id:016x}",
        "parentSpanId": f"{parent.span_id:016x}" if parent is not None else "",
        "flags": _flags(context, parent),
        "name": span.name,
        "kind": span.kind.value + 1,
        "startTimeUnixNano": str(span.start_time or 0),
        "endTimeUnixNano": str(span.end_time or 0),
        "attributes": _attributes(span.attributes),
        "events": [_event(event) for event in span.events],
        "links": [_link(link) for link in span.links],
        "status": _status(span.status),
    }


def _flags(context: SpanContext, parent: SpanContext | None) -> int:
    remote = _IS_REMOTE if parent is not None and parent.is_remote else 0
    return int(context.trace_flags) | _HAS_REMOTE | remote


def _event(event: Event) -> dict[str, Any]:
    return {
        "timeUnixNano": str(event.timestamp),
        "name": event.name,
        "attributes": _attributes(event.attributes),
    }


def _link(link: Link) -> dict[str, Any]:
    return {
        "traceId": f"{link.context.trace_id:032x}",
        "spanId": f"{link.context.span_id:016x}",
        "attributes": _attributes(link.attributes),
    }


def _status(status: Status) -> dict[str, Any]:
    code = status.status_code.value
    if not code:
        return {}
    return {"code": code, "message": status.description} if status.description else {"code": code}


def _attributes(attributes: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in (attributes or {}).items()]


def _value(value: Any) -> dict[str, Any]:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value if math.isfinite(value) else _non_finite(value)}
        case str():
            return {"stringValue": value}
        case bytes():
            return {"bytesValue": base64.b64encode(value).decode("ascii")}
        case _:
            return {"arrayValue": {"values": _values(value)}}


def _values(values: Iterable[Any]) -> list[dict[str, Any]]:
    return [_value(value) for value in values]


def _non_finite(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"
