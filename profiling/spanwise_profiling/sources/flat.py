"""Spans as objects of their own with a `context`: Phoenix's exports, and OpenTelemetry's console exporter.

Phoenix nests attributes (REST) or spells every column out (`attributes.llm.model_name`, from a data frame); both
become dotted names here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from spanwise.journal.reader import AttributeValue, EventRecord, LinkRecord, SpanRecord
from spanwise_profiling.sources import json_text, lenient, values
from spanwise_profiling.sources.otlp_json import KINDS, STATUSES, enumerated

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from spanwise_profiling.sources.place import Place

_PREFIX: Final = "attributes."
_OPENINFERENCE_KIND: Final = "openinference.span.kind"


class _Context(msgspec.Struct):
    trace_id: Any = None
    span_id: Any = None


class _Status(msgspec.Struct):
    status_code: str | int | None = None
    description: str | None = None


class _Span(msgspec.Struct):
    name: str | None = None
    context: _Context | None = None
    flat_trace_id: Any = msgspec.field(name="context.trace_id", default=None)
    flat_span_id: Any = msgspec.field(name="context.span_id", default=None)
    parent_id: str | int | None = None
    span_kind: str | None = None
    kind: str | int | None = None
    start_time: Any = None
    end_time: Any = None
    status: _Status | None = None
    status_code: str | int | None = None
    status_message: str | None = None
    attributes: dict[str, Any] | None = None
    events: list[dict[str, Any]] | None = None
    links: list[dict[str, Any]] | None = None
    resource: dict[str, Any] | None = None


_SPAN: Final = lenient.decoder(_Span)


def read_span(item: bytes, place: Place) -> Iterator[SpanRecord]:
    """Yield the one span that `item` holds."""
    span = _SPAN(item, place)
    context = span.context or _Context(span.flat_trace_id, span.flat_span_id)
    status = span.status or _Status(span.status_code, span.status_message)
    attributes = values.flattened(_columns(item) if span.attributes is None else span.attributes)
    if span.span_kind:
        attributes.setdefault(_OPENINFERENCE_KIND, span.span_kind)
    yield SpanRecord(
        trace_id=values.identifier(context.trace_id),
        span_id=values.identifier(context.span_id),
        parent_id=values.parent_identifier(span.parent_id),
        name=span.name or "",
        kind=enumerated(span.kind, KINDS),
        start_ns=values.nanoseconds(span.start_time),
        end_ns=0 if span.end_time is None else values.nanoseconds(span.end_time),
        attributes=attributes,
        links=tuple(_link(link) for link in span.links or ()),
        events=tuple(_event(event) for event in span.events or ()),
        status_code=enumerated(status.status_code, STATUSES),
        status_message=status.description or "",
        resource=values.flattened(values.members((span.resource or {}).get("attributes"))),
    )


def _columns(item: bytes) -> Mapping[str, Any]:
    """Return the columns of a data frame's row that are attributes; what a row lacks is null there."""
    return {
        name.removeprefix(_PREFIX): value
        for name, value in values.members(json_text.loads(item)).items()
        if name.startswith(_PREFIX) and value is not None
    }


def _link(link: Mapping[str, Any]) -> LinkRecord:
    context = values.members(link.get("context"))
    trace_id, span_id = values.identifier(context.get("trace_id")), values.identifier(context.get("span_id"))
    return LinkRecord(trace_id, span_id, values.attributes(link.get("attributes")))


def _event(event: Mapping[str, Any]) -> EventRecord:
    attributes: dict[str, AttributeValue] = values.attributes(event.get("attributes"))
    return EventRecord(values.nanoseconds(event.get("timestamp", 0)), str(event.get("name") or ""), attributes)
