"""What causality adds to a span: CPU time, time that it blocked the loop, collector pauses, and its short waits.

The time of a step belongs to the span that is current in it, part by part: starting and leaving a span ends a part.
Everything is gathered in plain numbers and written when the span ends, since the collector may run anywhere, also
while a span holds its own lock.
"""

from __future__ import annotations

import gc
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Final

from spanwise import conventions as c
from spanwise.causality.clocks import cpu_of
from spanwise.causality.releases import running_driver, span_of
from spanwise.causality.steps import LONG_NS, Sums, current_context
from spanwise.recording.waits import sum_up

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from spanwise.causality.driver import Driver

BLOCKED_NS: Final = 100_000_000
"""Time without giving the loop back from which a span is said to have blocked it: asyncio's own debug threshold."""

UNLINKED_LIMIT: Final = 8
"""So many waits of a span for a timer or a connection are always recorded; a stream has hundreds, all alike."""
LONG_WAIT_NS: Final = 100_000_000
"""From here on every one is, however many: recording it takes less than a ten thousandth of it."""


class Gathered(Sums):
    """Numbers of a span that is still open; nanoseconds."""

    __slots__ = ("blocked", "pauses_before", "unlinked")

    def __init__(self, pauses_before: int, short: int) -> None:
        self.short = short
        self.cpu = 0
        self.blocked = 0
        self.pauses_before = pauses_before
        self.short_count = 0
        self.short_ns = 0
        self.unlinked = 0

    def has_many(self, took: int) -> bool:
        """Return whether the span has enough waits that nobody is known to have ended, if they are as short."""
        return self.unlinked >= UNLINKED_LIMIT and took < LONG_WAIT_NS

    def is_one_too_many(self, took: int) -> bool:
        """Count such a wait; return whether there were enough before."""
        too_many = self.has_many(took)
        self.unlinked += 1
        return too_many


NOBODY: Final = Gathered(0, -1)
"""Takes the numbers of what runs outside of any span that is recorded."""
CLOSED: Final = Gathered(0, -1)
"""Takes those that nobody wants: while causality is off, and of a span that was recorded before it was on."""


class OpenSpans:
    """The recording spans that were started since causality was switched on; listens to them and to the collector.

    Args:
        one_in: waits of one trace in so many are recorded.
        short: waits below so many nanoseconds are only summed.
    """

    def __init__(self, one_in: int, short: int) -> None:
        self.gathered: dict[Any, Gathered] = {}
        self._one_in = one_in
        self._short = short
        self._pauses = 0
        self._pause_began = 0

    def gathered_of(self, span: Any) -> Gathered:
        """Return where the numbers of `span` are gathered."""
        gathered = self.gathered.get(span)
        if gathered is not None:
            return gathered
        return CLOSED if span is not None and self.takes(span) else NOBODY

    def takes(self, span: Span) -> bool:
        """Return whether what `span` waits for is recorded."""
        return span.is_recording() and span.get_span_context().trace_id % self._one_in == 0

    def started(self, span: Span) -> None:
        """Gather from now on; what ran until now was the outer span's."""
        self.leaving()
        if self.takes(span):
            self.gathered[span] = Gathered(self._pauses, self._short)

    def leaving(self) -> None:
        """Count what the current task ran since its last part for the current span."""
        self._leave()

    def _leave(self) -> Driver | None:
        driver = running_driver()
        if driver is not None:
            now = perf_counter_ns()
            gathered = self.gathered.get(span_of(current_context()))
            if gathered is not None:
                self.count(gathered, driver.part, now)
            driver.part = now
        return driver

    def ended(self, span: Span) -> None:
        """Write what was gathered."""
        driver = self._leave()
        if driver is not None:
            driver.ended, driver.ended_after = span.get_span_context(), driver.suspended
        gathered = self.gathered.pop(span, None)
        if gathered is not None:
            gathered.short = -1
            self._write(span, gathered)

    def running(self) -> Driver | None:
        """Return what drives the current task."""
        return running_driver()

    def count(self, gathered: Gathered, began: int, now: int) -> None:
        """Count the part of a step from `began` until `now` (performance counter)."""
        if now - began < LONG_NS:
            gathered.cpu += now - began
            return
        gathered.cpu += cpu_of(began, now)
        if now - began >= BLOCKED_NS:
            gathered.blocked += now - began

    def paused(self, phase: str, _: dict[str, int]) -> None:
        """Count a pause of the collector, which stops every thread; called by it."""
        if phase == "start":
            self._pause_began = perf_counter_ns()
        elif self._pause_began:
            self._pauses += perf_counter_ns() - self._pause_began
            self._pause_began = 0

    def listen(self) -> None:
        """Begin to gather, and to count the collector's pauses."""
        NOBODY.short = self._short
        gc.callbacks.append(self.paused)

    def stop_listening(self) -> None:
        """End it: tasks see by `short` that what they gathered for is closed."""
        for gathered in (NOBODY, *self.gathered.values()):
            gathered.short = -1
        if self.paused in gc.callbacks:
            gc.callbacks.remove(self.paused)

    def _write(self, span: Span, gathered: Gathered) -> None:
        found: dict[str, Any] = {}
        if gathered.cpu:
            found[c.CPU_SECONDS] = gathered.cpu / 1e9
        if gathered.blocked:
            found[c.LOOP_BLOCKED_SECONDS] = gathered.blocked / 1e9
        if self._pauses > gathered.pauses_before:
            found[c.GC_PAUSE_SECONDS] = (self._pauses - gathered.pauses_before) / 1e9
        if found:
            span.set_attributes(found)
        if gathered.short_count:
            sum_up(span, gathered.short_count, gathered.short_ns / 1e9)
