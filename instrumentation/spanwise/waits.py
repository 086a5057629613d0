"""Waits: what a span waited for, for how long, and who released it.

A wait of at least the threshold becomes a record of its own in the journal; shorter ones are summed on the waiter, so
that a thousand uncontended locks do not become a thousand records. On its way there a wait is a span `wait {resource}`
below the waiter, since that is what processors of the host, metrics and other tools get of it.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind

from spanwise import conventions as c
from spanwise import runtime, watching
from spanwise.config.settings import Settings
from spanwise.recorded import begin, waits_on
from spanwise.values import text

if TYPE_CHECKING:
    from collections.abc import Generator

    from opentelemetry.trace import Link, Span, SpanContext


class Wait:
    """An open wait; tell it who released it."""

    def __init__(self) -> None:
        self.released_by: SpanContext | None = None


@contextmanager
def waiting(kind: c.WaitKind, resource: str) -> Generator[Wait]:
    """Record the block as a wait of the current span for `resource`; also when it is cancelled or fails."""
    wait = Wait()
    running = watching.watcher.running() if watching.watcher is not None else None
    if running is not None:
        running.explicit += 1  # what is waited for in here is this wait, not one more
    start_ns = time.time_ns()
    try:
        yield wait
    finally:
        if running is not None:
            running.explicit -= 1
        record_wait(kind, resource, start_ns, time.time_ns(), released_by=wait.released_by)


def record_wait(
    kind: c.WaitKind,
    resource: str,
    start_ns: int,
    end_ns: int,
    *,
    released_by: SpanContext | None = None,
    task: str | None = None,
) -> None:
    """Record that the current span waited for `resource` from `start_ns` to `end_ns` (Unix time).

    Args:
        kind: what sort of thing was waited for.
        resource: its name.
        start_ns: when waiting began.
        end_ns: when it ended; a clock that went back counts as no wait.
        released_by: the span whose progress ended the wait, where it is known.
        task: name of the task that did, where that has no span.
    """
    waiter = trace.get_current_span()
    if not waiter.is_recording() or end_ns <= start_ns:
        return
    telemetry = runtime.active()
    settings = telemetry.settings if telemetry is not None else Settings()
    if end_ns - start_ns < settings.wait_threshold * 1e9:
        sum_up(waiter, 1, (end_ns - start_ns) / 1e9)
        return
    resource = text(resource)
    if (guard := runtime.guard()) is not None:
        resource = guard.text(resource)
    about: dict[str, str] = {c.WAIT_KIND: kind, c.WAIT_RESOURCE: resource}
    links: tuple[Link, ...] = ()
    if released_by is not None and released_by.is_valid:
        links = (waits_on(released_by),)
    else:
        about[c.WAIT_RELEASED_BY] = c.UNKNOWN_RELEASER if task is None else f"task {text(task)}"
    name = c.span_name(c.WAIT_SPAN, resource)
    begin(name, SpanKind.INTERNAL, about, links=links, start_ns=start_ns).end(end_ns)


def sum_up(waiter: Span, waits: int, seconds: float) -> None:
    """Add waits that are too short for records of their own to what `waiter` says of them."""
    known = waiter.attributes if isinstance(waiter, ReadableSpan) else None
    count, total = (known or {}).get(c.WAIT_SHORT_COUNT, 0), (known or {}).get(c.WAIT_SHORT_SECONDS, 0.0)
    assert isinstance(count, int)
    assert isinstance(total, float)
    waiter.set_attributes({c.WAIT_SHORT_COUNT: count + waits, c.WAIT_SHORT_SECONDS: total + seconds})
