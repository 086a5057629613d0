"""What runs between two steps of the host, whose own work leaves little of it in the caches of the processor.

What it costs is how much of it there is, so a short wait and a short step are two readings of the clock and three sums.
`_steps.c` is the same in C and takes its place where it could be compiled.
"""

from __future__ import annotations

from contextvars import ContextVar
from time import perf_counter_ns, thread_time_ns
from typing import TYPE_CHECKING, Any, Final, cast

from opentelemetry import context as otel_context

from spanwise.process import native

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context

LONG_NS: Final = 1_000_000
"""From here on a part of a step is measured with the CPU clock."""
REFRESH_NS: Final = 1_000_000
"""So long a reading of the CPU clock serves."""


def _context_source() -> Any:
    """Return the quickest way to OpenTelemetry's current context, asked for at each step: a variable or a function."""
    variable: object = getattr(getattr(otel_context, "_RUNTIME_CONTEXT", None), "_current_context", None)
    return cast("Any", variable) if type(variable) is ContextVar else otel_context.get_current


_source: Final = _context_source()
current_context: Final[Callable[[], Context]] = getattr(_source, "get", _source)


class Sums:
    """Numbers of a span that each step adds to; nanoseconds."""

    __slots__ = ("cpu", "short", "short_count", "short_ns")
    cpu: int
    short: int
    """Waits below that are only summed; less than 0 once the span has ended or causality was switched."""
    short_count: int
    short_ns: int


class Reading:
    """A reading of a thread's CPU clock."""

    __slots__ = ("cpu", "due", "thread")
    cpu: int
    """The thread's CPU time, in ns."""
    due: int
    """When the clock is to be read again (performance counter, ns)."""
    thread: int
    """The thread's identity; 0 for none."""


class Step:
    """What each step of a coroutine reads and writes; a subclass does what few steps need."""

    __slots__ = ("awaited", "context", "coroutine", "explicit", "gathered", "part", "reading", "suspended")
    coroutine: Any
    """The host's."""
    awaited: Any
    """What the task waits for."""
    suspended: int
    """When it was suspended last, by the performance counter."""
    part: int
    """When the part of the step that runs began, by the same."""
    context: Context | None
    """The one that was current when it was suspended."""
    gathered: Any
    """`Sums` of the span that was current then."""
    reading: Reading
    """Of the CPU clock of the thread that runs it."""
    explicit: int
    """How many waits the task is inside of that are recorded by hand."""

    def send(self, value: Any) -> Any:
        """Run the coroutine to its next suspension; a step that waited and ran for a short time calls nothing else."""
        now = perf_counter_ns()
        gathered, waited = self.gathered, now - self.suspended
        if waited < gathered.short and now < self.reading.due and not self.explicit:
            gathered.short_count += 1
            gathered.short_ns += waited
        else:
            self._resume(now)
        self.part = now
        try:
            self.awaited = awaited = self.coroutine.send(value)
        except BaseException as error:
            leave_out(error)
            self._finish()
            raise
        self.suspended = now = perf_counter_ns()
        if (context := current_context()) is not self.context:
            self._look_up(context)
        took = now - self.part
        if took < LONG_NS:
            self.gathered.cpu += took
        else:
            self._count_long(now)
        return awaited

    def _resume(self, now: int) -> None:
        """Do what few steps need before they run."""
        raise NotImplementedError

    def _look_up(self, context: Context | None) -> None:
        """Set `context` and `gathered`."""
        raise NotImplementedError

    def _count_long(self, now: int) -> None:
        """Count a part that was long."""
        raise NotImplementedError

    def _finish(self) -> None:
        """Note how the coroutine ended; called while its exception is handled."""
        raise NotImplementedError


def leave_out(error: BaseException) -> None:
    """Take the frame that caught `error` off its traceback."""
    traceback = error.__traceback__
    error.__traceback__ = traceback.tb_next if traceback is not None else None


compiled: Final = native.module("spanwise.causality._steps", interface=1)
"""The module in C, where it is used."""
if not TYPE_CHECKING and compiled is not None:
    compiled.read_with(perf_counter_ns, thread_time_ns, _source)
    Reading, Step, Sums = compiled.Reading, compiled.Step, compiled.Sums
