"""Where spans and explicit waits tell causality of themselves: a slot that is empty until it is switched on.

It stands apart so that recording without causality loads neither asyncio nor any of its machinery.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from opentelemetry.trace import Span


class Explicit(Protocol):
    """What runs the current step, and how many explicit waits it is inside of."""

    explicit: int


class Watcher(Protocol):
    """What causality wants to know; every method is called in the context of the code that records."""

    def started(self, span: Span) -> None:
        """A span was started, and is not current yet."""

    def leaving(self) -> None:
        """The current span is about to be replaced by its outer one."""

    def ended(self, span: Span) -> None:
        """A span is about to end: the last chance to set attributes."""

    def running(self) -> Explicit | None:
        """Return what runs the current step, where causality runs it."""


watcher: Watcher | None = None
"""The one that listens; none while causality is off."""
