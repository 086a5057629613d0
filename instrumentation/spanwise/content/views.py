"""Spans with other contents: a copy for what is written, and the plain form that a hook gets and returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import Status, StatusCode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from opentelemetry.trace import Link

WITHHELD: Final = "[not recorded]"
"""What stands in place of content that cannot be taken from a span that others see."""


class DroppedError(Exception):
    """A span that the hook dropped; `reason` is the ledger's."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _Copy(ReadableSpan):
    """A span made from another one, which knows how much that one had dropped."""

    dropped: tuple[int, int, int] = (0, 0, 0)

    @property
    def dropped_attributes(self) -> int:
        return self.dropped[0]

    @property
    def dropped_events(self) -> int:
        return self.dropped[1]

    @property
    def dropped_links(self) -> int:
        return self.dropped[2]


def rebuilt(
    span: ReadableSpan,
    *,
    name: str | None = None,
    attributes: Mapping[str, Any] | None = None,
    events: Sequence[Event] | None = None,
    links: Sequence[Link] | None = None,
    status: Status | None = None,
) -> ReadableSpan:
    """Return a copy of `span` with what is given in place of its own."""
    copy = _Copy(
        name=span.name if name is None else name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=span.attributes if attributes is None else attributes,
        events=span.events if events is None else events,
        links=span.links if links is None else links,
        kind=span.kind,
        status=span.status if status is None else status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )
    copy.dropped = (span.dropped_attributes, span.dropped_events, span.dropped_links)
    return copy


def unended(span: ReadableSpan, name: str, attributes: Mapping[str, Any]) -> ReadableSpan:
    """Return a copy of `span` that says how it began: no end, no events, no status."""
    return ReadableSpan(
        name=name, context=span.context, parent=span.parent, resource=span.resource, attributes=attributes,
        kind=span.kind, start_time=span.start_time, instrumentation_scope=span.instrumentation_scope,
    )  # fmt: skip


def with_attributes(event: Event, name: str, attributes: Mapping[str, Any]) -> Event:
    """Return a copy of `event` with other attributes."""
    bounded = BoundedAttributes(None, attributes, immutable=False)
    bounded.dropped = event.dropped_attributes
    return Event(name, bounded, event.timestamp)


@dataclass(frozen=True, slots=True)
class EventView:
    """An event as a hook sees it."""

    name: str
    time_ns: int
    attributes: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class SpanView:
    """An ended span as a hook sees it: `dataclasses.replace` makes a changed one. Ids and times stay as they are."""

    name: str
    attributes: dict[str, Any]
    """A copy: it may be changed."""
    events: tuple[EventView, ...]
    status: str
    """UNSET, OK or ERROR."""
    status_message: str
    trace_id: str
    """32 hex digits."""
    span_id: str
    """16 hex digits."""
    parent_id: str | None
    start_ns: int
    end_ns: int


def view(span: ReadableSpan) -> SpanView:
    """Return the plain form of a span."""
    context = span.context
    assert context is not None
    return SpanView(
        name=span.name,
        attributes=dict(span.attributes or {}),
        events=tuple(EventView(one.name, one.timestamp or 0, dict(one.attributes or {})) for one in span.events),
        status=span.status.status_code.name,
        status_message=span.status.description or "",
        trace_id=f"{context.trace_id:032x}",
        span_id=f"{context.span_id:016x}",
        parent_id=f"{span.parent.span_id:016x}" if span.parent is not None else None,
        start_ns=span.start_time or 0,
        end_ns=span.end_time or 0,
    )


def applied(span: ReadableSpan, seen: SpanView) -> ReadableSpan:
    """Return `span` with the name, attributes, events and status of `seen`."""
    code = StatusCode[seen.status]
    status = Status(code, seen.status_message or None) if code is StatusCode.ERROR else Status(code)
    events = [Event(one.name, one.attributes, one.time_ns) for one in seen.events]
    return rebuilt(span, name=seen.name, attributes=seen.attributes, events=events, status=status)
