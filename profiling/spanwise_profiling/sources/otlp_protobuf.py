"""OTLP in protobuf: one request, or the collector's file of messages with their lengths before them.

The file exporter writes a four-byte big-endian length before each message as soon as the format is protobuf or
anything is compressed; a message is then protobuf or JSON, by itself compressed or not.
"""

from __future__ import annotations

import struct
from typing import IO, TYPE_CHECKING, Final

from google.protobuf.message import DecodeError
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from spanwise.errors import InputError
from spanwise.journal.reader import AttributeValue, EventRecord, LinkRecord, SpanRecord
from spanwise_profiling.sources import values
from spanwise_profiling.sources.otlp_json import KINDS, STATUSES, enumerated
from spanwise_profiling.sources.place import OTHER_SIGNALS
from spanwise_profiling.sources.streams import LONGEST

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
    from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, Span

    from spanwise_profiling.sources.place import Place

_LENGTH: Final = struct.Struct(">I")
_TRACE_BYTES: Final = 16
_SPAN_BYTES: Final = 8


def messages(stream: IO[bytes], place: Place) -> Iterator[bytes]:
    """Yield the messages of a file of length-prefixed ones; one that is cut off at the end is counted as incomplete.

    Raises:
        InputError: the first message is cut off, or one is longer than any trace.
    """
    number = 0
    while head := stream.read(_LENGTH.size):
        number += 1
        length = _LENGTH.unpack(head)[0] if len(head) == _LENGTH.size else 0
        if length > LONGEST:
            raise InputError(
                f"{place.name}: message {number} is over {LONGEST >> 20} MiB or no message; give OTLP files"
            )
        message = stream.read(length)
        if len(message) < length or len(head) < _LENGTH.size:
            if number == 1:
                what = f"message {number} is cut off ({len(message)} of {length} bytes)"
                raise InputError(f"{place.name}: {what}; get it anew")
            place.report.incomplete += 1
            return
        yield message


def read_request(message: bytes, place: Place) -> Iterator[SpanRecord]:
    """Yield the spans of one request (TracesData and ExportTraceServiceRequest are the same on the wire).

    Requests with logs or metrics have the same outer messages; what is in them is no span and has no ids.

    Raises:
        ValueError: it is no such message.
    """
    data = TracesData()
    try:
        data.ParseFromString(message)
    except DecodeError as error:
        raise ValueError(f"is no OTLP in protobuf ({error})") from None
    spans = [
        (span, of_resource, scoped)
        for of_resource in data.resource_spans
        for scoped in of_resource.scope_spans
        for span in scoped.spans
    ]
    if spans and not any(span.trace_id or span.span_id for span, _, _ in spans):
        place.note(OTHER_SIGNALS)
        return
    resources: dict[int, dict[str, AttributeValue]] = {}
    for span, of_resource, scoped in spans:
        resource = resources.setdefault(id(of_resource), _attributes(of_resource.resource.attributes))
        try:
            record = _record(span, resource, scoped)
        except ValueError as error:
            place.skip(f"span {span.name!r}: {error}")
            continue
        yield record


def _record(span: Span, resource: Mapping[str, AttributeValue], scoped: ScopeSpans) -> SpanRecord:
    if len(span.trace_id) != _TRACE_BYTES or len(span.span_id) != _SPAN_BYTES:
        raise ValueError("its ids have not 16 and 8 bytes")
    return SpanRecord(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex() if any(span.parent_span_id) else None,
        name=span.name,
        kind=enumerated(int(span.kind), KINDS),
        start_ns=values.within_64_bits(span.start_time_unix_nano),
        end_ns=values.within_64_bits(span.end_time_unix_nano),
        attributes=_attributes(span.attributes),
        links=tuple(LinkRecord(x.trace_id.hex(), x.span_id.hex(), _attributes(x.attributes)) for x in span.links),
        events=tuple(EventRecord(x.time_unix_nano, x.name, _attributes(x.attributes)) for x in span.events),
        status_code=enumerated(int(span.status.code), STATUSES),
        status_message=span.status.message,
        resource=resource,
        scope_name=scoped.scope.name,
        scope_version=scoped.scope.version,
        trace_state=span.trace_state,
    )


def _attributes(pairs: Iterable[KeyValue]) -> dict[str, AttributeValue]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> AttributeValue:
    match value.WhichOneof("value"):
        case None:
            return None
        case "array_value":
            return tuple(_value(item) for item in value.array_value.values)
        case "kvlist_value":
            return _attributes(value.kvlist_value.values)
        case name:
            plain: AttributeValue = getattr(value, name)
            return plain
