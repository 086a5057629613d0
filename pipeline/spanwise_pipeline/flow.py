"""A dataflow scheduler: a step starts the moment its own inputs are ready. No levels, no barriers.

    async with Flow() as flow:
        brief = flow.step("brief", write_brief)
        views = [flow.step(name, view, brief, agent=name) for name in analysts]
        plan = flow.step("plan", write_plan, *views)
    print(plan.result())

Each step counts the inputs that it still lacks; the one that brings the count to zero starts it. Steps may be added
while others run, from inside a step too. A failed step fails only what depends on it; leaving the block raises what
nobody has looked at. Each step is a span with a link to the input that came last (`waits_on`) and to the step that
added it (`spawned_by`); the scheduler writes them, the steps know nothing of it.
"""

from __future__ import annotations

import asyncio
import contextvars
import itertools
from collections import deque
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeVar

from opentelemetry import trace

import spanwise
from spanwise_pipeline.clock import remember_loop

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator, Sequence
    from types import TracebackType

    from opentelemetry.trace import Link, SpanContext

    from spanwise.helpers.base import SpanHelper
    from spanwise_pipeline.limits import ConcurrencyLimit

T = TypeVar("T")
_finishes: Final = itertools.count(1)


class StepSkippedError(Exception):
    """A step did not run because a step that it depends on failed; `__cause__` is the error that began it."""


class StepCancelledError(Exception):
    """A step was cancelled before it had a result."""


class Step(Generic[T]):
    """A step of a flow: an input for other steps, awaitable, and the holder of its result."""

    def __init__(self, name: str, inputs: Sequence[Step[Any]]) -> None:
        self.name = name
        self.inputs = tuple(inputs)
        self.span_context: SpanContext = trace.INVALID_SPAN_CONTEXT
        self.examined = False
        self.finish_order = 0
        """Greater than that of every step that was done before this one; 0 until it is done."""
        self._done = asyncio.Event()
        self._value: T | None = None
        self._error: BaseException | None = None
        self._dependants: list[Callable[[Step[T]], None]] = []

    def __repr__(self) -> str:
        state = "waiting" if not self.done() else "failed" if self._error is not None else "done"
        return f"<Step {self.name}: {state}>"

    def done(self) -> bool:
        """Return whether the step has a result or an error."""
        return self._done.is_set()

    @property
    def failure(self) -> BaseException | None:
        """Why the step failed; reading it does not count as handling it."""
        return self._error

    def error(self) -> BaseException | None:
        """Return why the step failed; looking at it counts as handling it."""
        self.examined = True
        return self._error

    def result(self) -> T:
        """Return the step's result, or raise its error; the step must be done."""
        self.examined = True
        if not self.done():
            raise asyncio.InvalidStateError(f"step {self.name!r} is not done; await it")
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]  # set together with done

    def __await__(self) -> Generator[Any, None, T]:
        """Wait for the step; recorded as a wait of the current span that this step releases."""
        if not self.done():
            with spanwise.waiting("task", self.name) as wait:
                yield from self._done.wait().__await__()
                wait.released_by = self.span_context
        return self.result()

    def when_done(self, callback: Callable[[Step[T]], None]) -> None:
        """Call back once, now or when the step is done."""
        if self.done():
            callback(self)
        else:
            self._dependants.append(callback)

    def finish(self, value: T | None, error: BaseException | None = None) -> None:
        """Set the outcome and tell those who wait for it; the flow's business."""
        self._value, self._error = value, error
        self.finish_order = next(_finishes)
        self._done.set()
        dependants, self._dependants = self._dependants, []
        for callback in dependants:
            callback(self)


class Flow:
    """A set of steps that run as their inputs become ready; leaving the block waits for all of them."""

    def __init__(self, *, limit: ConcurrencyLimit | None = None) -> None:
        self._limit = limit
        self._steps: list[Step[Any]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._unfinished = 0
        self._all_done = asyncio.Event()
        self._all_done.set()
        self._last: Step[Any] | None = None
        self._context: contextvars.Context | None = None
        self._owner = trace.INVALID_SPAN_CONTEXT
        self._ready: deque[Callable[[], None]] = deque()
        self._releasing = False

    @property
    def steps(self) -> tuple[Step[Any], ...]:
        """All steps in the order in which they were added."""
        return tuple(self._steps)

    def step(
        self,
        name: str,
        function: Callable[..., Coroutine[Any, Any, T]],
        *inputs: Step[Any],
        agent: str | None = None,
        role: str | None = None,
    ) -> Step[T]:
        """Add a step.

        Args:
            name: shown in spans and messages.
            function: coroutine function; gets the results of `inputs`, in their order.
            inputs: steps that must be done before it starts.
            agent: name of the agent that this step invokes; its span is then that agent's.
            role: what part the step plays, for the wall-clock budget.

        Raises:
            RuntimeError: outside of the `async with` block.
        """
        if self._context is None:
            raise RuntimeError(f"step {name!r} was added outside of the flow's 'async with' block")
        step: Step[T] = Step(name, inputs)
        adder = trace.get_current_span().get_span_context()
        self._steps.append(step)
        self._unfinished += 1
        self._all_done.clear()
        missing = len(inputs)

        def start() -> None:
            if self._settle_unrunnable(step):
                return
            links = self._links(step, adder)
            recorded = (
                spanwise.agent(agent, links=links, step=name, role=role)
                if agent is not None
                else spanwise.step(name, links=links, role=role)
            )
            self._spawn(step, self._run(step, function, recorded))

        def input_done(_: Step[Any]) -> None:
            nonlocal missing
            missing -= 1
            if missing == 0:
                self._release(start)

        if not inputs:
            self._release(start)
        for given in inputs:
            given.when_done(input_done)
        return step

    def _release(self, start: Callable[[], None]) -> None:
        """Start a step whose inputs are done; one by one, since a skipped chain of any length must not recurse."""
        self._ready.append(start)
        if self._releasing:
            return
        self._releasing = True
        try:
            while self._ready:
                self._ready.popleft()()
        finally:
            self._releasing = False

    def _links(self, step: Step[Any], adder: SpanContext) -> list[Link]:
        last = max(step.inputs, key=lambda given: given.finish_order, default=None)
        links: list[Link] = []
        if last is not None and last.span_context.is_valid:
            links.append(spanwise.waits_on(last.span_context))
        if adder.is_valid and adder.span_id != self._owner.span_id:
            links.append(spanwise.waits_on(adder, "spawned_by"))
        return links

    def _settle_unrunnable(self, step: Step[Any]) -> bool:
        failed = next((given for given in step.inputs if given.failure is not None), None)
        if failed is not None and failed.failure is not None:
            self._finish(step, None, _skipped(step, failed.name, failed.failure))
            step.examined = True  # the cause is what is reported
        elif self._context is None:
            self._finish(step, None, StepCancelledError(f"step {step.name!r} was cancelled before it began"))
        else:
            return False
        return True

    def _spawn(self, step: Step[Any], coroutine: Coroutine[Any, Any, None]) -> None:
        assert self._context is not None
        task = asyncio.get_running_loop().create_task(coroutine, name=step.name, context=self._context.copy())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, step: Step[T], function: Callable[..., Coroutine[Any, Any, T]], recorded: SpanHelper) -> None:
        try:
            with recorded:
                step.span_context = recorded.context
                arguments = [given.result() for given in step.inputs]
                if self._limit is None:
                    value = await function(*arguments)
                else:
                    async with self._limit.slot():
                        value = await function(*arguments)
        except asyncio.CancelledError:
            self._finish(step, None, StepCancelledError(f"step {step.name!r} was cancelled"))
            raise
        except Exception as error:  # noqa: BLE001 - whatever a step raises belongs to its dependants and to `__aexit__`
            self._finish(step, None, error)
        else:
            self._finish(step, value)

    def _finish(self, step: Step[T], value: T | None, error: BaseException | None = None) -> None:
        if step.span_context.is_valid:
            self._last = step
        step.finish(value, error)
        self._unfinished -= 1
        if self._unfinished == 0:
            self._all_done.set()

    async def __aenter__(self) -> Self:
        """Open the flow; steps get the context (and so the parent span) of this place."""
        remember_loop()
        self._context = contextvars.copy_context()
        self._owner = trace.get_current_span().get_span_context()
        return self

    async def __aexit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> None:
        """Wait for every step; cancel them all when the block failed or is cancelled.

        Raises:
            ExceptionGroup: the errors of failed steps that nobody has looked at.
        """
        try:
            if error is None and self._unfinished:
                with spanwise.waiting("task", "steps") as wait:
                    await self._all_done.wait()
                    wait.released_by = self._last.span_context if self._last is not None else None
        finally:
            await self._close()
        unseen = [(step.name, step.failure) for step in self._steps if not step.examined]
        errors = [failure for _, failure in unseen if isinstance(failure, Exception)]
        if error is None and errors:
            raise ExceptionGroup("steps failed", errors)
        for name, failure in unseen:
            if error is not None and failure is not error and not isinstance(failure, StepCancelledError | None):
                error.add_note(f"step {name!r} failed too: {failure!r}")

    async def _close(self) -> None:
        self._context = None
        interrupted: asyncio.CancelledError | None = None
        for task in self._tasks:
            task.cancel()
        while pending := [task for task in self._tasks if not task.done()]:
            try:
                await asyncio.wait(pending)
            except asyncio.CancelledError as again:  # no step may outlive the block, however often it is cancelled
                interrupted = again
        for step in self._steps:
            if not step.done():
                self._finish(step, None, StepCancelledError(f"step {step.name!r} was cancelled before it began"))
        if interrupted is not None:
            raise interrupted


def _skipped(step: Step[Any], needed: str, failure: BaseException) -> StepSkippedError:
    kinds: dict[type[BaseException], str] = {StepSkippedError: "was skipped", StepCancelledError: "was cancelled"}
    happened = kinds.get(type(failure), "failed")
    skipped = StepSkippedError(f"step {step.name!r} was skipped: {needed!r}, which it needs, {happened}")
    skipped.__cause__ = failure.__cause__ if isinstance(failure, StepSkippedError) else failure
    return skipped
