"""Ended spans with other contents: copies, since what was recorded may still be shown to somebody else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import Event, ReadableSpan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from opentelemetry.trace import Link, Status

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


def unended(span: ReadableSpan, name: str, attributes: Mapping[str, Any], end_ns: int | None = None) -> ReadableSpan:
    """Return a copy of `span` that says how it began: no events, no status, and no end unless one is given."""
    return ReadableSpan(
        name=name, context=span.context, parent=span.parent, resource=span.resource, attributes=attributes,
        kind=span.kind, start_time=span.start_time, end_time=end_ns, instrumentation_scope=span.instrumentation_scope,
    )  # fmt: skip


def with_attributes(event: Event, name: str, attributes: Mapping[str, Any]) -> Event:
    """Return a copy of `event` with other attributes."""
    bounded = BoundedAttributes(None, attributes, immutable=False)
    bounded.dropped = event.dropped_attributes
    return Event(name, bounded, event.timestamp)
