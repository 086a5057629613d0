"""A dataflow scheduler: a step starts the moment its own inputs are ready. No levels, no barriers.

    async with Flow() as flow:
        brief = flow.step("brief", write_brief)
        views = [flow.step(name, view, brief, agent=name) for name in analysts]
        plan = flow.step("plan", write_plan, *views)
    print(plan.result())

Each step counts the inputs that it still lacks; the one that brings the count to zero starts it. Steps may be added
while others run, from inside a step too. A failed step fails only what depends on it; leaving the block raises what
nobody has looked at. Each step is a span with a link to the step that it waited for; the scheduler writes them, the
steps know nothing of it.
"""

from __future__ import annotations

import asyncio
import contextvars
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from opentelemetry import trace

import spanwise
from spanwise_pipeline.clock import remember_loop

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator, Sequence
    from types import TracebackType

    from opentelemetry.trace import Link, SpanContext

    from spanwise.spans import Recorded
    from spanwise_pipeline.limits import ConcurrencyLimit

T = TypeVar("T")


class StepSkippedError(Exception):
    """A step did not run because a step that it depends on failed; `__cause__` is that step's error."""


class StepCancelledError(Exception):
    """A step was cancelled before it had a result."""


class Step(Generic[T]):
    """A step of a flow: an input for other steps, awaitable, and the holder of its result."""

    def __init__(self, name: str, inputs: Sequence[Step[Any]]) -> None:
        self.name = name
        self.inputs = tuple(inputs)
        self.span_context: SpanContext = trace.INVALID_SPAN_CONTEXT
        self.examined = False
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

        def start(last: Step[Any] | None) -> None:
            links = self._links(last, adder)
            recorded = (
                spanwise.agent(agent, links=links, step=name, role=role)
                if agent is not None
                else spanwise.step(name, links=links, role=role)
            )
            self._spawn(step, function, recorded)

        def input_done(given: Step[Any]) -> None:
            nonlocal missing
            missing -= 1
            if missing == 0:
                start(given)

        if not inputs:
            start(None)
        for given in inputs:
            given.when_done(input_done)
        return step

    def _links(self, last: Step[Any] | None, adder: SpanContext) -> list[Link]:
        if last is not None and last.span_context.is_valid:
            return [spanwise.waits_on(last.span_context)]
        assert self._context is not None
        owner = self._context.run(trace.get_current_span).get_span_context()
        if adder.is_valid and adder.span_id != owner.span_id:
            return [spanwise.waits_on(adder, "spawned_by")]
        return []

    def _spawn(self, step: Step[T], function: Callable[..., Coroutine[Any, Any, T]], recorded: Recorded) -> None:
        failed = next((given for given in step.inputs if given.failure is not None), None)
        if failed is not None:
            skipped = StepSkippedError(f"step {step.name!r} was skipped: {failed.name!r}, which it needs, failed")
            skipped.__cause__ = failed.failure
            step.examined = True  # the cause is what is reported
            self._finish(step, None, skipped)
            return
        assert self._context is not None
        coroutine = self._run(step, function, recorded)
        task = asyncio.get_running_loop().create_task(coroutine, name=step.name, context=self._context.copy())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, step: Step[T], function: Callable[..., Coroutine[Any, Any, T]], recorded: Recorded) -> None:
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
        self._last = step
        step.finish(value, error)
        self._unfinished -= 1
        if self._unfinished == 0:
            self._all_done.set()

    async def __aenter__(self) -> Self:
        """Open the flow; steps get the context (and so the parent span) of this place."""
        remember_loop()
        self._context = contextvars.copy_context()
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
        failures = [step.failure for step in self._steps if not step.examined]
        errors = [failure for failure in failures if isinstance(failure, Exception)]
        if error is None and errors:
            raise ExceptionGroup("steps failed", errors)

    async def _close(self) -> None:
        self._context = None
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
