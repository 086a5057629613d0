"""The plain form of a span that a hook gets and returns; it loads only where there is a hook."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import Event
from opentelemetry.trace import Status, StatusCode

from spanwise.content.rebuilt import rebuilt

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan


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
