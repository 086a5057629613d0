"""OTLP/JSON that spanwise wrote, as plain values. What others wrote is read by profiling, which is more lenient."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Final

import msgspec

from spanwise.otlp.json_messages import Request, Scope, Span, Status
from spanwise.otlp.records import EventRecord, LinkRecord, SpanRecord

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spanwise.otlp.json_messages import AnyValue, Event, KeyValue, Link
    from spanwise.otlp.records import Attributes, AttributeValue

MALFORMED: Final = (msgspec.MsgspecError, ValueError, RecursionError)
"""What decoding raises of content that is no request."""


def spans_of(content: bytes) -> tuple[SpanRecord, ...]:
    """Return the spans of one ExportTraceServiceRequest in OTLP/JSON; raises one of `MALFORMED`."""
    return tuple(_spans(_DECODER.decode(content)))


_DECODER: Final = msgspec.json.Decoder(Request[Span])
_TRACE_DIGITS: Final = 32
_SPAN_DIGITS: Final = 16
_is_hexadecimal: Final = re.compile(r"[0-9a-fA-F]+").fullmatch
_NO_SCOPE: Final = Scope()
_UNSET: Final = Status()


def _spans(request: Request[Span]) -> Iterator[SpanRecord]:
    for of_resource in request.resource_spans:
        resource = _attributes(of_resource.resource.attributes) if of_resource.resource else {}
        for of_scope in of_resource.scopes():
            for span in of_scope.spans or ():
                yield _record(span, resource, of_scope.scope or _NO_SCOPE)


def _record(span: Span, resource: Attributes, scope: Scope) -> SpanRecord:
    parent = span.parent_span_id
    status = span.status or _UNSET
    return SpanRecord(
        trace_id=_identifier(span.trace_id, _TRACE_DIGITS),
        span_id=_identifier(span.span_id, _SPAN_DIGITS),
        parent_id=_identifier(parent, _SPAN_DIGITS) if parent and parent.strip("0") else None,
        name=span.name or "",
        kind=int(span.kind or 0),
        start_ns=int(span.start_time_unix_nano or 0),
        end_ns=int(span.end_time_unix_nano or 0),
        attributes=_attributes(span.attributes),
        links=tuple(map(_link, span.links or ())),
        events=tuple(map(_event, span.events or ())),
        status_code=int(status.code or 0),
        status_message=status.message or "",
        resource=resource,
        scope_name=scope.name or "",
        scope_version=scope.version or "",
        trace_state=span.trace_state or "",
    )


def _link(link: Link) -> LinkRecord:
    ids = _identifier(link.trace_id, _TRACE_DIGITS), _identifier(link.span_id, _SPAN_DIGITS)
    return LinkRecord(*ids, _attributes(link.attributes))


def _identifier(text: str, digits: int) -> str:
    if len(text) != digits or _is_hexadecimal(text) is None:
        raise ValueError(f"{text[:40]!r} is no id of {digits} hexadecimal digits")
    return text.lower()


def _event(event: Event) -> EventRecord:
    return EventRecord(int(event.time_unix_nano or 0), event.name or "", _attributes(event.attributes))


def _attributes(pairs: list[KeyValue] | None) -> dict[str, AttributeValue]:
    return {pair.key: None if pair.value is None else _value(pair.value) for pair in pairs or ()}


def _value(value: AnyValue) -> AttributeValue:
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
    binary = value.bytes_value
    return value.bool_value if binary is None else base64.b64decode(binary, validate=True)
