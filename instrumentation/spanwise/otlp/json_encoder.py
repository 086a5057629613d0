"""Spans as one OTLP/JSON ExportTraceServiceRequest, as the collector's file exporter writes it.

It says what OpenTelemetry's protobuf encoder says of the same spans. Ids are lower-case hex, and empty fields are left
out. `json_values` says how values are written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from spanwise.otel.span import OwnSpan
from spanwise.otlp.json_values import key_values, text_of, value_of
from spanwise.otlp.own_span_json import OwnSpanEncoder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import Event, ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import Link, SpanContext, Status

_HAS_REMOTE = 0x100
_IS_REMOTE = 0x200

_Groups: TypeAlias = "dict[Resource, dict[InstrumentationScope | None, list[bytes]]]"
_encode = msgspec.json.Encoder().encode


def encode(spans: Sequence[ReadableSpan]) -> bytes:
    """Return one line, newline included, that holds `spans` (ended or begun) grouped by resource and scope."""
    pieces: list[bytes] = []
    for resource, scopes in _grouped(spans).items():
        pieces += _resource_spans(resource, scopes)
    if not pieces:
        return b'{"resourceSpans":[]}\n'
    # Joined in one go: a batch is some hundred KB, and each copy of it is memory that the system has to clear first.
    pieces[0] = b'{"resourceSpans":[' + pieces[0]
    pieces[-1] += b"]}\n"
    return b",".join(pieces)


def _grouped(spans: Sequence[ReadableSpan]) -> _Groups:
    groups: _Groups = {}
    by_source: dict[object, list[bytes]] = {}
    for span in spans:
        source: object = _source(span) if type(span) is not OwnSpan else span.own_tracer
        members = by_source.get(source)
        if members is None:  # hashing a resource is slow, so it is done once for each object
            members = groups.setdefault(span.resource, {}).setdefault(span.instrumentation_scope, [])
            by_source[source] = members
        members.append(_encoded(span))
    return groups


def _source(span: ReadableSpan) -> tuple[int, int]:
    return id(span.resource), id(span.instrumentation_scope)


def _encoded(span: ReadableSpan) -> bytes:
    text = _own_spans.encode(span) if isinstance(span, OwnSpan) else None
    return _encode(_span(span)) if text is None else text


def _present(**fields: Any) -> dict[str, Any]:
    """Return the fields that say something; an absent one means its default."""
    return {name: value for name, value in fields.items() if value}


def _resource_spans(resource: Resource, scopes: Mapping[InstrumentationScope | None, list[bytes]]) -> list[bytes]:
    """Return the spans of a resource in pieces, to be joined by commas like its neighbours."""
    about = {
        "resource": _present(attributes=key_values(resource.attributes)),
        **_present(schemaUrl=resource.schema_url),
    }
    pieces = [piece for scope, members in scopes.items() for piece in _enclosed(_scope(scope), b"spans", members)]
    return _enclosed(about, b"scopeSpans", pieces)


def _scope(scope: InstrumentationScope | None) -> dict[str, Any]:
    if scope is None:
        return {"scope": {}}
    about = _present(name=text_of(scope.name), version=scope.version, attributes=key_values(scope.attributes))
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
        "name": text_of(span.name),
        "kind": span.kind.value + 1,
        "startTimeUnixNano": str(span.start_time or 0),
        "endTimeUnixNano": str(span.end_time or 0),
        **_present(
            traceState=context.trace_state.to_header(),
            parentSpanId=f"{parent.span_id:016x}" if parent is not None else "",
            attributes=key_values(span.attributes),
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
        "name": text_of(event.name),
        **_present(attributes=key_values(event.attributes), droppedAttributesCount=event.dropped_attributes),
    }


def _link(link: Link) -> dict[str, Any]:
    return {
        "traceId": f"{link.context.trace_id:032x}",
        "spanId": f"{link.context.span_id:016x}",
        "flags": _flags(link.context),
        **_present(attributes=key_values(link.attributes), droppedAttributesCount=link.dropped_attributes),
    }


def _status(status: Status) -> dict[str, Any]:
    return _present(code=status.status_code.value, message=text_of(status.description or ""))


_own_spans = OwnSpanEncoder(value_of)
