"""The messages of OTLP/JSON, as msgspec reads them.

Readers say how much of a span they want: `Request[Span]` has everything that any writer sends, `Request[msgspec.Raw]`
only counts spans. Unknown members are ignored. Each member may be missing or null, since writers differ.
"""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

S = TypeVar("S")


class Message(msgspec.Struct, rename="camel"):
    """Base of all messages: names are in camel case on the wire."""


class Array(Message):
    """A list of values."""

    values: list[AnyValue] | None = None


class KeyValues(Message):
    """An object, as pairs."""

    values: list[KeyValue] | None = None


class AnyValue(Message):
    """One value: the member that is set says of which type. 64-bit integers are text, as are NaN and Infinity."""

    string_value: str | None = None
    bool_value: bool | None = None
    int_value: int | str | None = None
    double_value: float | str | None = None
    bytes_value: str | None = None
    """In base64."""
    array_value: Array | None = None
    kvlist_value: KeyValues | None = None


class KeyValue(Message):
    """One attribute."""

    key: str
    value: AnyValue | None = None


class Link(Message):
    """A link to another span."""

    trace_id: str = ""
    span_id: str = ""
    attributes: list[KeyValue] | None = None


class Event(Message):
    """Something that happened at one moment of a span."""

    name: str | None = ""
    time_unix_nano: int | str | None = 0
    attributes: list[KeyValue] | None = None


class Status(Message):
    """How a span ended; some writers give the code by name."""

    code: int | str | None = 0
    message: str | None = ""


class Span(Message):
    """A span of any writer."""

    trace_id: str = ""
    span_id: str = ""
    parent_span_id: str | None = ""
    parent_id: str | None = ""  # what Phoenix calls it
    trace_state: str | None = ""
    name: str | None = ""
    kind: int | str | None = 0
    start_time_unix_nano: int | str | None = 0
    end_time_unix_nano: int | str | None = 0
    attributes: list[KeyValue] | None = None
    links: list[Link] | None = None
    events: list[Event] | None = None
    status: Status | None = None


class Scope(Message):
    """The library that made the spans."""

    name: str | None = ""
    version: str | None = ""


class ScopeSpans(Message, Generic[S]):
    """The spans of one library."""

    scope: Scope | None = None
    spans: list[S] | None = None


class Resource(Message):
    """What the spans are about: a service, in most cases."""

    attributes: list[KeyValue] | None = None


class ResourceSpans(Message, Generic[S]):
    """The spans of one resource."""

    resource: Resource | None = None
    scope_spans: list[ScopeSpans[S]] | None = None
    instrumentation_library_spans: list[ScopeSpans[S]] | None = None  # before OTLP 0.19

    def scopes(self) -> list[ScopeSpans[S]]:
        """Return the spans by library, under either name of the list."""
        return (self.scope_spans or []) + (self.instrumentation_library_spans or [])


class Request(Message, Generic[S]):
    """An ExportTraceServiceRequest."""

    resource_spans: list[ResourceSpans[S]]
