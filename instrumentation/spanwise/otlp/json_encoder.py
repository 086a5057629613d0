"""Spans as one OTLP/JSON ExportTraceServiceRequest, as the collector's file exporter writes it.

It says what OpenTelemetry's protobuf encoder says of the same spans. Ids are lower-case hex and 64-bit integers are
strings (the OTLP specification's JSON mapping); floats that JSON lacks are written as strings, as protobuf's JSON
mapping does. Empty fields are left out. What JSON cannot hold is made to fit: text that is no Unicode gets question
marks, an integer beyond 64 bits becomes text.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import msgspec

from spanwise.otel.span import OwnSpan
from spanwise.otlp.own_json import OwnJson

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import Event, ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import Link, SpanContext, Status

    from spanwise.otlp.own_json import Admission

_HAS_REMOTE = 0x100
_IS_REMOTE = 0x200
_INT64 = range(-(2**63), 2**63)

_Groups: TypeAlias = "dict[Resource, dict[InstrumentationScope | None, list[bytes]]]"
_encode = msgspec.json.Encoder().encode


def encode(spans: Sequence[ReadableSpan], texts: Mapping[ReadableSpan, bytes] = MappingProxyType({})) -> bytes:
    """Return one line, newline included, that holds `spans` grouped by resource and scope.

    Args:
        spans: that have ended, or were begun.
        texts: of those that are encoded already (`own_json`).
    """
    pieces: list[bytes] = []
    for resource, scopes in _grouped(spans, texts).items():
        pieces += _resource_spans(resource, scopes)
    if not pieces:
        return b'{"resourceSpans":[]}\n'
    # Joined in one go: a batch is some hundred KB, and each copy of it is memory that the system has to clear first.
    pieces[0] = b'{"resourceSpans":[' + pieces[0]
    pieces[-1] += b"]}\n"
    return b",".join(pieces)


def _grouped(spans: Sequence[ReadableSpan], texts: Mapping[ReadableSpan, bytes]) -> _Groups:
    groups: _Groups = {}
    by_source: dict[object, list[bytes]] = {}
    for span in spans:
        source: object = _source(span) if type(span) is not OwnSpan else span.own_tracer
        members = by_source.get(source)
        if members is None:  # hashing a resource is slow, so it is done once for each object
            members = groups.setdefault(span.resource, {}).setdefault(span.instrumentation_scope, [])
            by_source[source] = members
        members.append(texts.get(span) or _encoded(span))
    return groups


def _source(span: ReadableSpan) -> tuple[int, int]:
    return id(span.resource), id(span.instrumentation_scope)


def _encoded(span: ReadableSpan) -> bytes:
    text = _own.text(span) if isinstance(span, OwnSpan) else None
    return _encode(_span(span)) if text is None else text


def _present(**fields: Any) -> dict[str, Any]:
    """Return the fields that say something; an absent one means its default."""
    return {name: value for name, value in fields.items() if value}


def _resource_spans(resource: Resource, scopes: Mapping[InstrumentationScope | None, list[bytes]]) -> list[bytes]:
    """Return the spans of a resource in pieces, to be joined by commas like its neighbours."""
    about = {
        "resource": _present(attributes=_attributes(resource.attributes)),
        **_present(schemaUrl=resource.schema_url),
    }
    pieces = [piece for scope, members in scopes.items() for piece in _enclosed(_scope(scope), b"spans", members)]
    return _enclosed(about, b"scopeSpans", pieces)


def _scope(scope: InstrumentationScope | None) -> dict[str, Any]:
    if scope is None:
        return {"scope": {}}
    about = _present(name=_text(scope.name), version=scope.version, attributes=_attributes(scope.attributes))
    return {"scope": about, **_present(schemaUrl=scope.schema_url)}


def _enclosed(about: Mapping[str, Any], name: bytes, members: list[bytes]) -> list[bytes]:
    """Return `members` with the JSON of `about` around them, whose last field `name` they become."""
    members[0] = b'%s,"%s":[%s' % (_encode(about)[:-1], name, members[0])
    members[-1] += b"]}"
    return members


def _span(span: ReadableSpan) -> dict[str, Any]:
    context, parent = span.context, span.parent
    assert context is not None
    return {
        "traceId": f"{context.trace_id:032x}",
        "spanId": f"{context.span_id:016x}",
        "flags": _flags(parent),
        "name": _text(span.name),
        "kind": span.kind.value + 1,
        "startTimeUnixNano": str(span.start_time or 0),
        "endTimeUnixNano": str(span.end_time or 0),
        **_present(
            traceState=context.trace_state.to_header(),
            parentSpanId=f"{parent.span_id:016x}" if parent is not None else "",
            attributes=_attributes(span.attributes),
            droppedAttributesCount=span.dropped_attributes,
            events=[_event(event) for event in span.events],
            droppedEventsCount=span.dropped_events,
            links=[_link(link) for link in span.links],
            droppedLinksCount=span.dropped_links,
        ),
        "status": _status(span.status),
    }


def _flags(context: SpanContext | None) -> int:
    remote = _IS_REMOTE if context is not None and context.is_remote else 0
    return _HAS_REMOTE | remote


def _event(event: Event) -> dict[str, Any]:
    return {
        "timeUnixNano": str(event.timestamp),
        "name": _text(event.name),
        **_present(attributes=_attributes(event.attributes), droppedAttributesCount=event.dropped_attributes),
    }


def _link(link: Link) -> dict[str, Any]:
    return {
        "traceId": f"{link.context.trace_id:032x}",
        "spanId": f"{link.context.span_id:016x}",
        "flags": _flags(link.context),
        **_present(attributes=_attributes(link.attributes), droppedAttributesCount=link.dropped_attributes),
    }


def _status(status: Status) -> dict[str, Any]:
    return _present(code=status.status_code.value, message=_text(status.description or ""))


def _text(text: str) -> str:
    """Return `text` with question marks for lone surrogates, which undecodable bytes become in Python."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _attributes(attributes: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    return [{"key": _text(key), "value": _value(value)} for key, value in tuple((attributes or {}).items())]


def _value(value: Any) -> dict[str, Any]:  # noqa: PLR0911 - one case a type
    match value:
        case None:
            return {}
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)} if value in _INT64 else {"stringValue": str(value)}
        case float():
            return {"doubleValue": value if math.isfinite(value) else _non_finite(value)}
        case str():
            return {"stringValue": _text(value)}
        case bytes():
            return {"bytesValue": base64.b64encode(value).decode("ascii")}
        case Mapping():
            return {"kvlistValue": _present(values=_attributes(cast("Mapping[str, Any]", value)))}
        case _:
            return {"arrayValue": _present(values=[_value(one) for one in cast("Sequence[Any]", value)])}


def _non_finite(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def own_json(admission: Admission | None = None) -> OwnJson:
    """Return what encodes those of our own spans of which all may be recorded."""
    return OwnJson(_value, admission)


_own = own_json()
