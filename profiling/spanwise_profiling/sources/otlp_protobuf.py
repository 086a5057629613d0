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
from spanwise_profiling.sources.streams import LONGEST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
    from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, Span

_LENGTH: Final = struct.Struct(">I")
_TRACE_BYTES: Final = 16
_SPAN_BYTES: Final = 8


def messages(stream: IO[bytes], name: str) -> Iterator[bytes]:
    """Yield the messages of a file of length-prefixed ones.

    Raises:
        InputError: a message is cut off, or longer than any trace.
    """
    number = 0
    while head := stream.read(_LENGTH.size):
        number += 1
        length = _LENGTH.unpack(head)[0] if len(head) == _LENGTH.size else LONGEST + 1
        if length > LONGEST:
            raise InputError(f"{name}: message {number} is over {LONGEST >> 20} MiB or no message; give OTLP files")
        message = stream.read(length)
        if len(message) < length:
            raise InputError(f"{name}: message {number} is cut off ({len(message)} of {length} bytes); get it anew")
        yield message


def read_request(message: bytes, skip: Callable[[str], None]) -> Iterator[SpanRecord]:
    """Yield the spans of one request (TracesData and ExportTraceServiceRequest are the same on the wire).

    Raises:
        ValueError: it is no such message.
    """
    data = TracesData()
    try:
        data.ParseFromString(message)
    except DecodeError as error:
        raise ValueError(f"is no OTLP in protobuf ({error})") from None
    for of_resource in data.resource_spans:
        resource = _attributes(of_resource.resource.attributes)
        for scoped in of_resource.scope_spans:
            for span in scoped.spans:
                try:
                    record = _record(span, resource, scoped)
                except ValueError as error:
                    skip(f"span {span.name!r}: {error}")
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
