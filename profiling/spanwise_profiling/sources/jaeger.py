"""Jaeger's own JSON, as its UI downloads it and other tools (CRISP) keep it: microseconds, tags, processes.

A `FOLLOWS_FROM` reference is a link; only where a span has no `CHILD_OF` reference, and the other is of the same trace,
is it its parent, as in Jaeger's own picture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from spanwise.journal.reader import AttributeValue, EventRecord, LinkRecord, SpanRecord
from spanwise_profiling.sources import lenient, values
from spanwise_profiling.sources.otlp_json import JAEGERS_OWN, KINDS, STATUSES, enumerated

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from spanwise_profiling.sources.place import Place

_MICROSECOND: Final = 1_000
_NOT_ATTRIBUTES: Final = frozenset({
    "span.kind", "otel.status_code", "otel.status_description", "otel.scope.name", "otel.scope.version",
    "otel.library.name", "otel.library.version", "internal.span.format",
})  # fmt: skip


class _Tag(msgspec.Struct):
    key: str
    value: Any = None
    type: str | None = None


class _Reference(msgspec.Struct):
    trace_id: str = msgspec.field(name="traceID", default="")
    span_id: str = msgspec.field(name="spanID", default="")
    type: str = msgspec.field(name="refType", default="CHILD_OF")


class _Log(msgspec.Struct):
    timestamp: int = 0
    fields: list[_Tag] | None = None


class _Process(msgspec.Struct):
    service: str = msgspec.field(name="serviceName", default="")
    tags: list[_Tag] | None = None


class _Span(msgspec.Struct):
    trace_id: str = msgspec.field(name="traceID", default="")
    span_id: str = msgspec.field(name="spanID", default="")
    parent_id: str = msgspec.field(name="parentSpanID", default="")
    name: str = msgspec.field(name="operationName", default="")
    references: list[_Reference] | None = None
    start: int = msgspec.field(name="startTime", default=0)
    duration: int = 0
    tags: list[_Tag] | None = None
    logs: list[_Log] | None = None
    process_id: str | None = msgspec.field(name="processID", default=None)
    process: _Process | None = None


class _Trace(msgspec.Struct):
    spans: list[_Span] | None = None
    processes: dict[str, _Process] | None = None


_TRACE: Final = lenient.decoder(_Trace)
_SPAN: Final = lenient.decoder(_Span)


def read_trace(item: bytes, place: Place) -> Iterator[SpanRecord]:
    """Yield the spans of one member of `data`."""
    trace = _TRACE(item, place)
    processes = trace.processes or {}
    resources = {name: _resource(process) for name, process in processes.items()}
    for span in trace.spans or ():
        resource = _resource(span.process) if span.process else resources.get(span.process_id or "", {})
        try:
            record = _record(span, resource)
        except ValueError as error:
            place.skip(f"span {span.span_id!r}: {error}")
            continue
        yield record


def read_span(item: bytes, place: Place) -> Iterator[SpanRecord]:
    """Yield the one span of `item`, which stands without its trace, as Jaeger's stores keep it."""
    span = _SPAN(item, place)
    yield _record(span, _resource(span.process) if span.process else {})


def _resource(process: _Process) -> dict[str, AttributeValue]:
    return {"service.name": process.service, **_attributes(process.tags)}


def _record(span: _Span, resource: Mapping[str, AttributeValue]) -> SpanRecord:
    tags = {tag.key: tag.value for tag in span.tags or ()}
    parent, links = _references(span)
    start = values.within_64_bits(span.start * _MICROSECOND)
    failed = tags.get("error") in {True, "true"}
    return SpanRecord(
        trace_id=values.identifier(span.trace_id),
        span_id=values.identifier(span.span_id),
        parent_id=parent,
        name=span.name,
        kind=enumerated(str(tags.get("span.kind") or "unspecified"), KINDS),
        start_ns=start,
        end_ns=values.within_64_bits(start + span.duration * _MICROSECOND),
        attributes=_attributes(span.tags),
        links=links,
        events=tuple(_event(log) for log in span.logs or ()),
        status_code=enumerated(str(tags.get("otel.status_code") or ("ERROR" if failed else "UNSET")), STATUSES),
        status_message=str(tags.get("otel.status_description") or ""),
        resource=resource,
        scope_name=str(tags.get("otel.scope.name") or tags.get("otel.library.name") or ""),
        scope_version=str(tags.get("otel.scope.version") or tags.get("otel.library.version") or ""),
    )


def _references(span: _Span) -> tuple[str | None, tuple[LinkRecord, ...]]:
    """Return the parent's id and the links of `span`."""
    references: Sequence[_Reference] = [r for r in span.references or () if r.span_id and r.trace_id]
    here = [r for r in references if values.identifier(r.trace_id) == values.identifier(span.trace_id)]
    parents = [r for r in here if r.type == "CHILD_OF"] or here
    parent = parents[0] if parents and not span.parent_id else None
    links = tuple(
        LinkRecord(values.identifier(r.trace_id), values.identifier(r.span_id), {})
        for r in references
        if r is not parent
    )
    return values.parent_identifier(parent.span_id if parent else span.parent_id), links


def _event(log: _Log) -> EventRecord:
    fields = _attributes(log.fields)
    name = fields.pop("event", None) or fields.pop("name", None) or "log"
    return EventRecord(log.timestamp * _MICROSECOND, str(name), fields)


def _attributes(tags: list[_Tag] | None) -> dict[str, AttributeValue]:
    return {
        tag.key: values.attribute(tag.value)
        for tag in tags or ()
        if tag.key not in _NOT_ATTRIBUTES and not tag.key.startswith(JAEGERS_OWN)
    }
