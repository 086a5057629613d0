"""The thin coroutine around a task's own: it sees each step begin and end, and passes everything through.

An exception passes as the same object with the same traceback: the frame of this module is taken off again. When
causality is off, a driver that is still at work only passes on.

What each step needs is in `steps.py`; here is what few need, and how a task ends.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Coroutine
from time import perf_counter_ns, time_ns
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import trace

from spanwise.causality import primitives as p
from spanwise.causality.clocks import NEVER, read_at
from spanwise.causality.edges import Edge, edge_of
from spanwise.causality.releases import current_identity, is_by_nobody, next_number, span_of
from spanwise.causality.spans import CLOSED, NOBODY
from spanwise.causality.steps import Step, current_context, leave_out
from spanwise.recording.waits import record_wait, sum_up

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from weakref import ReferenceType

    from opentelemetry.context import Context
    from opentelemetry.trace import SpanContext

    from spanwise.causality.releases import Release
    from spanwise.causality.spans import Gathered, OpenSpans


class _State:
    """What is switched on, for all drivers; an object, since what a class holds is dearer to look up."""

    __slots__ = ("failures", "open_spans", "since_ns", "sink", "threshold_ns")

    def __init__(self) -> None:
        self.open_spans: OpenSpans | None = None
        """None while causality is off."""
        self.since_ns = 0
        """When it was switched on, by the performance counter; a task that is new was suspended at 0."""
        self.threshold_ns = 0
        """Waits that are shorter are only summed."""
        self.sink: Callable[[Edge], None] | None = None
        """Gets every edge, however short, with or without a span; for tests."""
        self.failures: Final[deque[Exception]] = deque(maxlen=10)
        """Why waits could not be recorded: faults of ours, which the host must not notice."""


state: Final = _State()


class Driver(Step, Coroutine[Any, Any, Any]):
    """Drives a task's coroutine."""

    __slots__ = ("__weakref__", "end", "ended", "ended_after", "open_spans", "task")
    gathered: Gathered
    is_driver = True

    def __init__(self, coroutine: Any) -> None:
        self.coroutine = coroutine
        self.task: ReferenceType[Any] | None = None
        """The task, once it is made; none where it cannot be referred to."""
        self.awaited = None
        self.suspended = self.part = self.explicit = 0
        self.context = None
        self.open_spans: OpenSpans | None = None
        """Those among which `gathered` was looked up."""
        self.gathered = CLOSED
        self.reading = NEVER
        self.ended: SpanContext | None = None
        """The span that ended last in it, in the step after the suspension at `ended_after`."""
        self.ended_after = -1
        self.end: Release | None = None
        """How the task ended."""

    def throw(self, *arguments: Any) -> Any:
        """Throw an exception into the coroutine, and run it to its next suspension."""
        now = perf_counter_ns()
        self._resume(now, thrown=True)
        self.part = now
        try:
            self.awaited = awaited = self.coroutine.throw(*arguments)
        except BaseException as error:
            leave_out(error)
            self._finish()
            raise
        self.suspended = now = perf_counter_ns()
        self._look_up(current_context())
        self._count_long(now)
        return awaited

    @property
    def title(self) -> str:
        """Name of the task, while there is one, and of its coroutine function."""
        task, function = self.task() if self.task is not None else None, getattr(self.coroutine, "__qualname__", "")
        return f"{task.get_name()} ({function})" if task is not None else f"({function})"

    def close(self) -> None:
        """Close the coroutine."""
        self.coroutine.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        """Return the iterator of the host's coroutine."""
        iterator: Generator[Any, Any, Any] = self.coroutine.__await__()
        return iterator

    def __getattr__(self, name: str) -> Any:
        """Return what the host's coroutine has: name, code, frame, what it awaits."""
        return getattr(self.coroutine, name)

    def _look_up(self, context: Context | None) -> None:
        self.context, self.open_spans = context, state.open_spans
        span = span_of(context) if context is not None else None
        self.gathered = self.open_spans.gathered_of(span) if self.open_spans is not None else CLOSED

    def _count_long(self, now: int) -> None:
        if self.open_spans is not None:
            self.open_spans.count(self.gathered, self.part, now)

    def _resume(self, now: int, *, thrown: bool = False) -> None:
        """Do what few steps need: for waits that are not short, and where a span ended or causality was switched."""
        open_spans = state.open_spans
        if open_spans is not self.open_spans or self.gathered.short < 0:
            self._look_up(self.context)
        if open_spans is None:
            return
        self.reading = read_at(now)
        if self.suspended < state.since_ns or self.explicit:
            return
        gathered, waited, is_seen = self.gathered, now - self.suspended, state.sink is not None
        try:
            if waited < gathered.short or (not is_seen and gathered.has_many(waited) and is_by_nobody(self.awaited)):
                gathered.short_count += 1
                gathered.short_ns += waited
            elif is_seen or gathered is not NOBODY:
                self._record(self.suspended, now, thrown=thrown)
        except Exception as error:  # noqa: BLE001 - whatever cannot be recorded, the host's task goes on
            state.failures.append(error)

    def _finish(self) -> None:
        open_spans = state.open_spans
        if open_spans is None:
            return
        gathered = open_spans.gathered.get(span_of(current_context()))
        if gathered is not None:
            open_spans.count(gathered, self.part, perf_counter_ns())
        ended = self.ended if self.ended_after == self.suspended else None
        self.end = (p.TASK, self, ended or current_identity(), next_number())

    def _record(self, began: int, now: int, *, thrown: bool) -> None:
        if state.sink is not None:
            state.sink(edge_of(self, self.awaited, thrown=thrown))
        span, open_spans = trace.get_current_span(), state.open_spans
        if open_spans is None or not open_spans.takes(span):
            return
        if now - began < state.threshold_ns:
            sum_up(span, 1, (now - began) / 1e9)
            return
        edge = edge_of(self, self.awaited, thrown=thrown)
        gathered = self.gathered
        is_known = edge.span is not None or edge.released_by is not None
        if not is_known and gathered is not CLOSED and gathered.is_one_too_many(now - began):
            gathered.short_count += 1
            gathered.short_ns += now - began
            return
        offset = time_ns() - perf_counter_ns()
        other = edge.span is not None and edge.span.span_id != span.get_span_context().span_id
        record_wait(
            edge.kind, edge.resource, began + offset, now + offset, released_by=edge.span if other else None,
            task=edge.released_by.title if edge.released_by is not None and not other else None,
        )  # fmt: skip
