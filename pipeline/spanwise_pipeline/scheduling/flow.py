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
from collections import deque
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypedDict, TypeVar, Unpack

import spanwise
from spanwise_pipeline.clock import Clock, remember_loop
from spanwise_pipeline.scheduling import fan
from spanwise_pipeline.scheduling.progress import Progress
from spanwise_pipeline.scheduling.slots import FlowStatistics, Slots, remaining_seconds
from spanwise_pipeline.scheduling.step import (
    State,
    Step,
    StepCancelledError,
    StepDeadlineError,
    StepSkippedError,
    StepTypeError,
    current_step,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
    from types import TracebackType

    from spanwise_pipeline.limits import ConcurrencyLimit
    from spanwise_pipeline.pools import Pool
    from spanwise_pipeline.scheduling.background import Background
    from spanwise_pipeline.scheduling.progress import StepEvent

T = TypeVar("T")
R = TypeVar("R")
_UNFINISHED: Final = frozenset({"waiting", "running"})


class StepOptions(TypedDict, total=False):
    """What may be said of a step; see `Flow.step`."""

    agent: str | None
    role: str | None
    deadline: float | None
    expected: float
    background: bool
    returns: type[Any] | tuple[type[Any], ...] | None


class Flow:
    """A set of steps that run as their inputs become ready; leaving the block waits for all of them.

    Args:
        limit: a concurrency limit that every step holds a place of; may be shared with other flows.
        at_once: at most so many steps of this flow at once.
        order: which ready step gets the next place of `at_once`: the one that was `ready` first, or the one with the
            `longest_path` of expected seconds still to come.
        deadline: system seconds from opening the flow after which every step that is not done ends in a
            `StepDeadlineError`; results that are there are kept.
        background: takes over the background steps when the block ends, and waits for them at its own end.
        clock: system time of deadlines.
    """

    def __init__(
        self,
        *,
        limit: ConcurrencyLimit | None = None,
        at_once: int | None = None,
        order: Literal["ready", "longest_path"] = "ready",
        deadline: float | None = None,
        background: Background | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._limit = limit
        self._order = order
        self._slots = Slots(at_once, self._remaining if order == "longest_path" else None) if at_once else None
        if deadline is not None and deadline <= 0:
            raise ValueError(f"a flow's deadline must be above 0 s, this is {deadline}")
        self._deadline = deadline
        self._background = background
        self._clock = clock or Clock()
        self._steps: list[Step[Any]] = []
        self._unfinished = 0
        """Steps that the end of the block waits for and that are not done."""
        self._behind = 0
        """Background steps that are not done."""
        self._running = 0
        self._peak = 0
        self._idle: asyncio.Future[None] | None = None
        self._last: Step[Any] | None = None
        self._context: contextvars.Context | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._owner: Step[Any] | None = None
        """The step in which the flow was opened."""
        self._unrunnable: deque[Step[Any]] = deque()
        self._left = False
        """Whether the block has ended; what is added now is a background step."""
        self._expired: StepDeadlineError | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._remaining_of: dict[Step[Any], float] = {}
        self._progress: Progress | None = None

    def __repr__(self) -> str:
        counts = self.statistics()
        return f"<Flow: {counts.done}/{counts.steps} done, {counts.running} running, {counts.waiting} waiting>"

    @property
    def steps(self) -> tuple[Step[Any], ...]:
        """All steps in the order in which they were added."""
        return tuple(self._steps)

    def statistics(self) -> FlowStatistics:
        """Return how the flow stands."""
        return FlowStatistics.of(self._steps, peak_running=self._peak)

    def step(
        self,
        name: str,
        function: Callable[..., Coroutine[Any, Any, T]],
        *inputs: Step[Any],
        agent: str | None = None,
        role: str | None = None,
        deadline: float | None = None,
        expected: float = 1.0,
        background: bool = False,
        returns: type[Any] | tuple[type[Any], ...] | None = None,
    ) -> Step[T]:
        """Add a step.

        Args:
            name: shown in spans and messages.
            function: coroutine function; gets the results of `inputs`, in their order.
            inputs: steps that must be done before it starts.
            agent: name of the agent that this step invokes; its span is then that agent's.
            role: what part the step plays, for the wall-clock budget.
            deadline: system seconds from the moment its inputs are done after which it ends in a `StepDeadlineError`.
            expected: system seconds that it is expected to take, for the order `longest_path`.
            background: the end of the block does not wait for it.
            returns: type or types that the result must have; another one ends the step in a `StepTypeError`.

        Raises:
            RuntimeError: outside of the `async with` block.
            ValueError: a deadline that is not above 0.
        """
        if deadline is not None and deadline <= 0:
            raise ValueError(f"step {name!r}: a deadline must be above 0 s, this is {deadline}")
        if returns is not None:
            function = fan.checked(name, function, returns)
        step: Step[T] = Step(self, name, function, inputs, agent)
        step.role, step.deadline, step.expected = role, deadline, expected
        self.add(step, background=background)
        return step

    def blocking_step(
        self, name: str, function: Callable[..., T], *inputs: Step[Any], pool: Pool, **options: Unpack[StepOptions]
    ) -> Step[T]:
        """Add a step whose function blocks: it runs in a worker of `pool`; `options` are those of `step`.

        The time that it waits for a worker is recorded as a wait of the step.
        """

        def run(*given: Any) -> Coroutine[Any, Any, T]:
            return pool.run(function, *given)

        return self.step(name, run, *inputs, **options)

    def map(
        self,
        name: str,
        function: Callable[[Any], Coroutine[Any, Any, R]],
        items: Sequence[Any] | Step[Any],
        *,
        at_once: int | None = None,
        **options: Unpack[StepOptions],
    ) -> Step[list[R]]:
        """Add a step that runs `function` on each item, each as a step `name[i]`, and gives their results in order.

        Args:
            name: of the whole.
            function: coroutine function of one item.
            items: the items, or a step that gives them.
            at_once: at most so many at once.
            options: those of `step`, for each item.

        The step fails with the error of an item that failed (with an `ExceptionGroup` where several did) once all
        items are done; the items' own steps keep their results.
        """
        return fan.add_map(self, name, function, items, at_once=at_once, options=options)

    def race(
        self,
        name: str,
        candidates: Mapping[str, Callable[..., Coroutine[Any, Any, T]]],
        *inputs: Step[Any],
        good: Callable[[T], bool] | None = None,
        stagger: float = 0.0,
        role: str | None = None,
        deadline: float | None = None,
    ) -> Step[T]:
        """Add a step that starts several candidates and takes the first good result; the others are cancelled.

        Args:
            name: of the whole.
            candidates: name to coroutine function; each gets the results of `inputs` and is a step `name/candidate`.
            inputs: steps that must be done before it starts.
            good: says whether a result will do; by default each does.
            stagger: system seconds after which the next candidate starts while none is good (0: all at once).
            role: what part the step plays.
            deadline: system seconds that the whole may take.

        The step's span names the winner and the seconds that the others had run. Where none is good the step fails
        with an `ExceptionGroup` of what they raised, and a `NoGoodResultError` for results that would not do.
        """
        return fan.add_race(
            self, name, candidates, inputs, good=good, stagger=stagger, clock=self._clock, role=role, deadline=deadline
        )

    def progress(self) -> AsyncIterator[StepEvent]:
        """Return what happens to steps from now on, as it happens; steps that are done already come first.

        Ends when every step that the block waits for is done, or the block has ended.
        """
        if self._progress is None:
            self._progress = Progress()
        return self._progress.subscribe(self._steps, lambda: not self._unfinished)

    def report(self, step: Step[Any], value: Any) -> None:
        """Tell those who follow `progress` about a part of a running step's result."""
        if self._progress is not None:
            self._progress.tell(step, "partial", value)

    def stop(self, step: Step[Any], reason: Exception) -> None:
        """End a step that is not done with `reason`: at once where it waits, by cancellation where it runs."""
        if step.begun and not step.done():
            if step.stop_reason is None and step.task is not None:
                step.stop_reason = reason
                step.task.cancel()
        elif not step.done():
            state: State = "failed" if isinstance(reason, StepDeadlineError) else "cancelled"
            self._finish(step, state, None, reason)
            if step.task is not None:
                step.task.cancel()
            if self._slots is not None:
                self._slots.give_back(step)

    def add(self, step: Step[Any], *, background: bool = False) -> None:
        """Add a step that is made already; `step`, `map` and `race` do so."""
        if self._context is None:
            raise RuntimeError(f"step {step.name!r} was added outside of the flow's 'async with' block")
        step.added_by = current_step.get()
        self._steps.append(step)
        if self._remaining_of:
            self._remaining_of = {}
        if background or self._left:
            step.background = True
            self._behind += 1
        else:
            self._unfinished += 1
        for given in step.inputs:
            if not given.finish_order:
                step.missing += 1
                given.dependants.append(step)
        if not step.missing:
            self._release(step)

    def _release(self, step: Step[Any]) -> None:
        """Start a step whose inputs are done, or settle it where it cannot run.

        Settling one may release the next; they are settled in turn, so that a skipped chain of any length does not
        recurse.
        """
        if step.finish_order:
            return
        stopped = self._context is None or (self._expired is not None and not step.background)
        if not stopped and not step.has_failed_input():
            self._start(step)
            return
        self._unrunnable.append(step)
        if len(self._unrunnable) > 1:
            return
        while self._unrunnable:
            self._settle_unrunnable(self._unrunnable[0])
            self._unrunnable.popleft()

    def _start(self, step: Step[Any]) -> None:
        assert self._loop is not None
        assert self._context is not None
        step.record(self._owner)
        step.state = "running"
        if self._slots is not None and step.holds_place:
            self._slots.ask(step)
        self._running += 1
        self._peak = max(self._peak, self._running)
        step.task = self._loop.create_task(self._run(step), name=step.name, context=self._context.copy())
        if step.deadline is not None:
            late = StepDeadlineError(f"step {step.name!r} did not end within its deadline of {step.deadline:g} s")
            step.timer = self._loop.call_later(self._clock.real(step.deadline), self.stop, step, late)
        if self._progress is not None:
            self._progress.tell(step, "started")

    def _settle_unrunnable(self, step: Step[Any]) -> None:
        failed = next((given for given in step.inputs if given.failure is not None), None)
        if failed is not None:
            step.examined = True  # the cause is what is reported
            self._finish(step, "skipped", None, step.skipped_for(failed))
        elif self._expired is not None and self._context is not None:
            self._skip_late(step, self._expired)
        else:
            reason = StepCancelledError(f"step {step.name!r} was cancelled before it began")
            self._finish(step, "cancelled", None, reason)

    async def _run(self, step: Step[Any]) -> None:
        step.begun = True
        current_step.set(step)
        try:
            with step.recorded:
                try:
                    if (self._slots is None and self._limit is None) or not step.holds_place:
                        value = await step.call()
                    else:
                        value = await self._call_in_place(step)
                except asyncio.CancelledError:
                    if step.stop_reason is None:
                        raise
                    raise step.stop_reason from None
        except asyncio.CancelledError:
            self._finish(step, "cancelled", None, StepCancelledError(f"step {step.name!r} was cancelled"))
            raise
        except Exception as error:  # noqa: BLE001 - whatever a step raises belongs to its dependants and to `__aexit__`
            self._finish(step, "cancelled" if isinstance(error, StepCancelledError) else "failed", None, error)
        else:
            self._finish(step, "done", value)

    async def _call_in_place(self, step: Step[Any]) -> Any:
        if self._slots is None:
            assert self._limit is not None
            async with self._limit.slot():
                return await step.call()
        async with self._slots.place(step):
            if self._limit is None:
                return await step.call()
            async with self._limit.slot():
                return await step.call()

    def _finish(self, step: Step[Any], state: State, value: Any, error: BaseException | None = None) -> None:
        if type(value) is CoroutineType:
            value.close()
            state, value = "failed", None
            error = StepTypeError(f"step {step.name!r} returned a coroutine: an 'await' is missing in its function")
        if step.state == "running":
            self._running -= 1
            self._last = step
        else:
            self._remaining_of = {}  # paths through it are shorter now
        step.settle(state, value, error)
        if step.background:
            self._behind -= 1
        else:
            self._unfinished -= 1
        if step.dependants:
            dependants, step.dependants = step.dependants, []
            for dependant in dependants:
                dependant.missing -= 1
                if not dependant.missing:
                    dependant.flow._release(dependant)  # noqa: SLF001 - of this class, another flow's step
        if self._progress is not None:
            self._progress.tell(step, state, value)
        if self._idle is not None and not self._pending() and not self._idle.done():
            self._idle.set_result(None)

    def _pending(self) -> int:
        return self._behind if self._left else self._unfinished

    def _remaining(self, step: Step[Any]) -> float:
        if not self._remaining_of:
            self._remaining_of = remaining_seconds(self._steps)
        return self._remaining_of[step]

    def _expire(self) -> None:
        self._expired = StepDeadlineError(f"the run did not end within its deadline of {self._deadline:g} s")
        for step in self._steps:
            if step.state == "running" and not step.background:
                self.stop(step, StepDeadlineError(f"step {step.name!r} did not end: {self._expired}"))
        for step in self._steps:
            if step.state == "waiting" and not step.background:
                self._skip_late(step, self._expired)

    def _skip_late(self, step: Step[Any], late: StepDeadlineError) -> None:
        step.examined = True  # the steps that ran when the time was over are what is reported
        skipped = StepSkippedError(f"step {step.name!r} was skipped: {late}")
        skipped.__cause__ = late
        self._finish(step, "skipped", None, skipped)

    async def __aenter__(self) -> Self:
        """Open the flow; steps get the context (and so the parent span) of this place."""
        remember_loop()
        self._context = contextvars.copy_context()
        self._loop = asyncio.get_running_loop()
        self._owner = current_step.get()
        self._left, self._expired = False, None
        if self._deadline is not None:
            self._timer = self._loop.call_later(self._clock.real(self._deadline), self._expire)
        return self

    async def __aexit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> None:
        """Wait for every step but those in the background; cancel all when the block failed or is cancelled.

        Raises:
            ExceptionGroup: the errors of failed steps that nobody has looked at.
        """
        handed_over = False
        try:
            if error is None:
                await self._wait("steps")
                self._left = True
                if self._behind and self._background is not None:
                    self._background.adopt(self)
                    handed_over = True
                else:
                    await self._wait("background steps")
        finally:
            if self._timer is not None:
                self._timer.cancel()
            if not handed_over:
                await self.close()
            if self._progress is not None:
                self._progress.close()
        self._raise_unseen(error)

    async def _wait(self, what: str) -> None:
        if not self._pending():
            return
        self._idle = asyncio.get_running_loop().create_future()
        with spanwise.waiting("task", what) as wait:
            await self._idle
            wait.released_by = self._last.span_context if self._last is not None else None

    def _raise_unseen(self, error: BaseException | None) -> None:
        unseen = [(step.name, step.failure) for step in self._steps if step.failure is not None and not step.examined]
        errors = [failure for _, failure in unseen if isinstance(failure, Exception)]
        if error is None and errors:
            raise ExceptionGroup("steps failed", errors)
        for name, failure in unseen:
            if error is not None and failure is not error and not isinstance(failure, StepCancelledError):
                error.add_note(f"step {name!r} failed too: {failure!r}")

    async def drain(self) -> tuple[Step[Any], ...]:
        """Wait for the background steps of a flow whose block has ended; returns those that failed."""
        try:
            await self._wait("background steps")
        finally:
            await self.close()
        return tuple(step for step in self._steps if step.background and step.state == "failed")

    async def close(self) -> None:
        """Cancel every step that is not done and wait until nothing of the flow runs; the block's end does so."""
        self._context = None
        if not self._unfinished and not self._behind and not self._running:
            return
        interrupted: asyncio.CancelledError | None = None
        for step in self._steps:
            if step.task is not None:
                when = "" if step.begun else " before it began"
                self.stop(step, StepCancelledError(f"step {step.name!r} was cancelled{when}"))
        tasks = [step.task for step in self._steps if step.task is not None]
        while tasks := [task for task in tasks if not task.done()]:
            try:
                await asyncio.wait(tasks)
            except asyncio.CancelledError as again:  # no step may outlive the block, however often it is cancelled
                interrupted = again
        for step in self._steps:
            self.stop(step, StepCancelledError(f"step {step.name!r} was cancelled before it began"))
        if interrupted is not None:
            raise interrupted
