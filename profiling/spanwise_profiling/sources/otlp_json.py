"""OTLP/JSON of any writer: requests, Jaeger's and Tempo's answers around them, and bare lists of spans.

More lenient than the journal's reader, as others write ids in base64, enumerations by name and fields in snake case.
A detail that cannot be read costs that detail, a span that makes no sense costs that span; neither costs the request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from spanwise.journal.reader import AttributeValue, EventRecord, LinkRecord, SpanRecord
from spanwise.otlp.json_messages import Message, ResourceSpans, Scope, Span
from spanwise_profiling.sources import json_text, lenient, values

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from spanwise.otlp.json_messages import AnyValue, Event, KeyValue, Link
    from spanwise_profiling.sources.place import Place

KINDS: Final[Mapping[str, int]] = {
    name: number for number, name in enumerate(("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"))
}
STATUSES: Final[Mapping[str, int]] = {"UNSET": 0, "OK": 1, "ERROR": 2}
JAEGERS_OWN: Final = "@jaeger@"
_ONLY_ERRORS: Final = (msgspec.MsgspecError, ValueError, RecursionError)


class _Answer(Message):
    """A request, or what servers wrap around one."""

    resource_spans: list[ResourceSpans[Span]] | None = None
    batches: list[ResourceSpans[Span]] | None = None  # what Tempo calls them
    result: _Answer | None = None  # Jaeger's /api/v3
    trace: _Answer | None = None  # Tempo's /api/v2


_REQUEST: Final = lenient.decoder(_Answer, {"resourceSpans", "batches", "result", "trace"})
_RESOURCE: Final = lenient.decoder(ResourceSpans[Span], {"scopeSpans", "instrumentationLibrarySpans"})
_SPAN: Final = lenient.decoder(Span)
UNREADABLE: Final = "detail(s) of spans that cannot be read, left out"


def read_request(item: bytes, place: Place) -> Iterator[SpanRecord]:
    """Yield the spans of one ExportTraceServiceRequest, or of an answer that wraps one."""
    request: _Answer | None = _REQUEST(_camelised(item, b'"resource_spans"'), place)
    while request is not None:
        for of_resource in (request.resource_spans or []) + (request.batches or []):
            yield from _of_resource(of_resource, place)
        request = request.result or request.trace


def read_resource(item: bytes, place: Place) -> Iterator[SpanRecord]:
    """Yield the spans of one resource, as Java's OTLP exporter logs them."""
    yield from _of_resource(_RESOURCE(_camelised(item, b'"scope_spans"'), place), place)


def read_span(item: bytes, place: Place) -> Iterator[SpanRecord]:
    """Yield the one span that `item` holds without a request around it."""
    yield from _record(_SPAN(_camelised(item, b'"span_id"'), place), {}, Scope(), place)


def _camelised(item: bytes, sign: bytes) -> bytes:
    return json_text.dumps(camelised(json_text.loads(item))) if sign in item else item


def camelised(value: Any) -> Any:
    """Return a JSON value with the names of its members in camel case (`trace_id` as `traceId`)."""
    if values.is_object(value):
        return {camel(key): camelised(member) for key, member in value.items()}
    return [camelised(member) for member in value] if values.is_list(value) else value


def camel(name: str) -> str:
    """Return a name in camel case."""
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


def _of_resource(of_resource: ResourceSpans[Span], place: Place) -> Iterator[SpanRecord]:
    resource = _attributes(of_resource.resource.attributes if of_resource.resource else None, place)
    for scoped in of_resource.scopes():
        for span in scoped.spans or []:
            yield from _record(span, resource, scoped.scope or Scope(), place)


def _record(span: Span, resource: Mapping[str, AttributeValue], scope: Scope, place: Place) -> Iterator[SpanRecord]:
    try:
        start = values.within_64_bits(span.start_time_unix_nano or 0)
        record = SpanRecord(
            trace_id=values.identifier(span.trace_id),
            span_id=values.identifier(span.span_id),
            parent_id=values.parent_identifier(span.parent_span_id or span.parent_id),
            name=span.name or "",
            kind=enumerated(span.kind, KINDS),
            start_ns=start,
            end_ns=_end(span.end_time_unix_nano, place),
            attributes=_attributes(span.attributes, place),
            links=tuple(_links(span.links, place)),
            events=tuple(_events(span.events, start, place)),
            status_code=enumerated(span.status.code, STATUSES) if span.status else 0,
            status_message=(span.status.message or "") if span.status else "",
            resource=resource,
            scope_name=scope.name or "",
            scope_version=scope.version or "",
            trace_state=span.trace_state or "",
        )
        if not start and record.end_ns:
            raise ValueError("it has no start")
    except _ONLY_ERRORS as error:
        place.skip(f"span {span.span_id!r}: {error}")
        return
    yield record


def _end(value: int | str | None, place: Place) -> int:
    try:
        return values.within_64_bits(value or 0)
    except ValueError:
        place.note(UNREADABLE)
        return 0


def _links(links: list[Link] | None, place: Place) -> Iterator[LinkRecord]:
    for link in links or ():
        try:
            ids = values.identifier(link.trace_id), values.identifier(link.span_id)
        except ValueError:
            place.note(UNREADABLE)
        else:
            yield LinkRecord(*ids, _attributes(link.attributes, place))


def _events(events: list[Event] | None, start_ns: int, place: Place) -> Iterator[EventRecord]:
    for event in events or ():
        try:
            time_ns = values.within_64_bits(event.time_unix_nano or start_ns)
        except ValueError:
            place.note(UNREADABLE)
        else:
            yield EventRecord(time_ns, event.name or "", _attributes(event.attributes, place))


def enumerated(value: object, names: Mapping[str, int]) -> int:
    """Return OTLP's number of an enumeration's member, given as number or as name (`SPAN_KIND_CLIENT`, `CLIENT`)."""
    if isinstance(value, str) and not value.isdecimal():
        return names.get(value.upper().replace(".", "_").rsplit("_", 1)[-1], 0)
    number = int(value) if isinstance(value, int | str) and len(str(value)) < 9 else 0  # noqa: PLR2004 - no such member
    return number if 0 <= number < len(names) else 0


def _attributes(pairs: list[KeyValue] | None, place: Place) -> dict[str, AttributeValue]:
    found: dict[str, AttributeValue] = {}
    for pair in pairs or ():
        if not pair.key.startswith(JAEGERS_OWN):
            try:
                found[pair.key] = None if pair.value is None else _value(pair.value, place)
            except ValueError:
                place.note(UNREADABLE)
    return found


def _value(value: AnyValue, place: Place) -> AttributeValue:
    if value.string_value is not None:
        return value.string_value
    if value.int_value is not None:
        return values.integer(value.int_value)
    if value.double_value is not None:
        return float(value.double_value)
    if value.array_value is not None:
        return tuple(_value(item, place) for item in value.array_value.values or ())
    if value.kvlist_value is not None:
        return _attributes(value.kvlist_value.values, place)
    return values.binary(value.bytes_value) if value.bool_value is None else value.bool_value
