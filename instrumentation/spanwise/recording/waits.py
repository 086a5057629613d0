"""Recording a wait: a record of its own from the threshold on, else summed on the waiter.

A thousand uncontended locks must not become a thousand records. On its way to the journal a wait is a span
`wait {resource}` below the waiter, since processors of the host, metrics and other tools can take only spans.
"""

from __future__ import annotations

from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import Link, SpanKind

from spanwise import conventions as c
from spanwise.config.settings import Settings
from spanwise.otel.span import OwnLink
from spanwise.otel.values import text
from spanwise.recording import telemetry as active_telemetry
from spanwise.recording.lazy_span import LazySpan

if TYPE_CHECKING:
    from opentelemetry.trace import Span, SpanContext


def waits_on(released_by: SpanContext, reason: c.LinkReason = "waits_on") -> Link:
    """Return the link from a span to the one that it waited for."""
    return OwnLink(released_by, {c.LINK_REASON: reason})


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
    if isinstance(waiter, LazySpan) and not waiter.is_announced:
        again = partial(record_wait, kind, resource, start_ns, end_ns, released_by=released_by, task=task)
        waiter.put_off(partial(copy_context().run, again))
        return
    telemetry = active_telemetry.active()
    settings = telemetry.settings if telemetry is not None else Settings()
    if end_ns - start_ns < settings.wait_threshold * 1e9:
        sum_up(waiter, 1, (end_ns - start_ns) / 1e9)
        return
    resource = text(resource)
    if (allowed := active_telemetry.content_filter()) is not None:
        resource = allowed.text(resource)
    about: dict[str, str] = {c.WAIT_KIND: kind, c.WAIT_RESOURCE: resource}
    links: tuple[Link, ...] = ()
    if released_by is not None and released_by.is_valid:
        links = (waits_on(released_by),)
    else:
        about[c.WAIT_RELEASED_BY] = c.UNKNOWN_RELEASER if task is None else f"task {text(task)}"
    name = c.span_name(c.WAIT_SPAN, resource)
    active_telemetry.start_span(name, SpanKind.INTERNAL, about, links=links, start_ns=start_ns).end(end_ns)


def sum_up(waiter: Span, waits: int, seconds: float) -> None:
    """Add waits that are too short for records of their own to what `waiter` says of them."""
    known = waiter.attributes if isinstance(waiter, ReadableSpan) else None
    count, total = (known or {}).get(c.WAIT_SHORT_COUNT, 0), (known or {}).get(c.WAIT_SHORT_SECONDS, 0.0)
    assert isinstance(count, int)
    assert isinstance(total, float)
    waiter.set_attributes({c.WAIT_SHORT_COUNT: count + waits, c.WAIT_SHORT_SECONDS: total + seconds})
