"""A step of a flow: a function, the steps that it needs, and what came of it."""

from __future__ import annotations

import asyncio
import contextvars
import itertools
from collections.abc import Awaitable
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeVar

from opentelemetry import trace

import spanwise

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from opentelemetry.trace import Link, SpanContext

    from spanwise_pipeline.scheduling.flow import Flow

T = TypeVar("T")
State = Literal["waiting", "running", "done", "failed", "skipped", "cancelled"]
_finishes: Final = itertools.count(1)
current_step: Final[contextvars.ContextVar[Step[Any] | None]] = contextvars.ContextVar("current_step", default=None)
"""The step that this code runs in."""


class StepSkippedError(Exception):
    """A step did not run because a step that it depends on failed; `__cause__` is the error that began it."""


class StepCancelledError(Exception):
    """A step was cancelled before it had a result."""


class StepDeadlineError(TimeoutError):
    """A step, or the run that it belongs to, did not end within its deadline."""


class StepTypeError(TypeError):
    """A step's function is not what a step needs, or returned something else than it promised."""


class Step(Generic[T]):
    """A step of a flow: an input for other steps, awaitable, and the holder of its result."""

    __slots__ = (
        "__weakref__", "_callbacks", "_value", "_waiters", "added_by", "agent", "background", "begun", "deadline",
        "dependants", "examined", "expected", "failure", "finish_order", "flow", "function", "holds_place", "inputs",
        "missing", "name", "recorded", "role", "state", "stop_reason", "task", "timer",
    )  # fmt: skip

    def __init__(
        self, flow: Flow, name: str, function: Callable[..., Any], inputs: Sequence[Step[Any]], agent: str | None = None
    ) -> None:
        self.flow = flow
        self.name = name
        self.function = function
        self.inputs = inputs
        self.agent = agent
        self.role: str | None = None
        self.background = False
        self.begun = False
        """Whether its function was called."""
        self.holds_place = True
        """Whether it counts as running where only so many may; a step that only waits for others does not."""
        self.deadline: float | None = None
        self.expected = 1.0
        self.added_by: Step[Any] | None = None
        """The step from whose inside it was added."""
        self.state: State = "waiting"
        self.examined = False
        self.finish_order = 0
        """Greater than that of every step that was done before this one; 0 until it is done."""
        self.missing = 0
        """How many inputs are not done yet."""
        self.dependants: list[Step[Any]] = []
        self.task: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.stop_reason: Exception | None = None
        """What a running step that is being cancelled ends with."""
        self.recorded: Any = None
        self._value: T | None = None
        self.failure: BaseException | None = None
        """Why the step failed; reading it does not count as handling it."""
        self._waiters: list[asyncio.Future[None]] | None = None
        self._callbacks: list[Callable[[Step[T]], None]] | None = None

    def __repr__(self) -> str:
        return f"<Step {self.name}: {self.state}>"

    @property
    def span_context(self) -> SpanContext:
        """The identity of the step's span; an invalid one where it has none yet."""
        found: SpanContext = trace.INVALID_SPAN_CONTEXT if self.recorded is None else self.recorded.context
        return found

    def done(self) -> bool:
        """Return whether the step has a result or an error."""
        return self.finish_order > 0

    def error(self) -> BaseException | None:
        """Return why the step failed; looking at it counts as handling it."""
        self.examined = True
        return self.failure

    def peek(self) -> T | None:
        """Return the result, or None where there is none; reading it does not count as handling the step."""
        return self._value

    def result(self) -> T:
        """Return the step's result, or raise its error; the step must be done."""
        self.examined = True
        if not self.finish_order:
            raise asyncio.InvalidStateError(f"step {self.name!r} is not done; await it")
        if self.failure is not None:
            raise self.failure
        return self._value  # type: ignore[return-value]  # set together with finish_order

    def cancel(self) -> None:
        """Stop the step; it ends as `StepCancelledError`, and what depends on it is skipped. A done step stays so."""
        self.examined = True
        self.flow.stop(self, StepCancelledError(f"step {self.name!r} was cancelled"))

    def __await__(self) -> Generator[Any, None, T]:
        """Wait for the step; recorded as a wait of the current span that this step releases."""
        if not self.finish_order:
            with spanwise.waiting("task", self.name) as wait:
                yield from self.wait_until_done().__await__()
                wait.released_by = self.span_context
        return self.result()

    def wait_until_done(self) -> asyncio.Future[None]:
        """Return a future of the caller's own that is set when the step is done, whatever came of it."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.finish_order:
            waiter.set_result(None)
        elif self._waiters is None:
            self._waiters = [waiter]
        else:
            self._waiters.append(waiter)
        return waiter

    def when_done(self, callback: Callable[[Step[T]], None]) -> None:
        """Call back once, now or when the step is done."""
        if self.finish_order:
            callback(self)
        elif self._callbacks is None:
            self._callbacks = [callback]
        else:
            self._callbacks.append(callback)

    def record(self, owner: Step[Any] | None) -> None:
        """Make the step's span, an agent's where it invokes one.

        It is linked to the input that came last, and to the step that added it unless that is `owner`, in which the
        flow was opened.
        """
        links: list[Link] = []
        if inputs := self.inputs:
            last = inputs[0] if len(inputs) == 1 else max(inputs, key=_finish_order)
            if last.recorded is not None and (context := last.recorded.context).is_valid:
                links.append(spanwise.waits_on(context))
        adder = self.added_by
        if adder is not None and adder is not owner and (context := adder.span_context).is_valid:
            links.append(spanwise.waits_on(context, "spawned_by"))
        self.recorded = (
            spanwise.step(self.name, links=links, role=self.role)
            if self.agent is None
            else spanwise.agent(self.agent, links=links, step=self.name, role=self.role)
        )

    def call(self) -> Any:
        """Call the function with the results of the inputs and return what is to be awaited.

        Raises:
            StepTypeError: it is no coroutine function.
        """
        coroutine: Any = self.function(*[given.result() for given in self.inputs])
        if type(coroutine) is not CoroutineType and not isinstance(coroutine, Awaitable):
            raise StepTypeError(
                f"step {self.name!r}: its function is no coroutine function (it returned {type(coroutine).__name__}); "
                "write 'async def', or add it with blocking_step"
            )
        return coroutine  # pyright: ignore[reportUnknownVariableType]

    def has_failed_input(self) -> bool:
        """Return whether a step that it needs did not end well."""
        for given in self.inputs:  # noqa: SIM110 - half the time of `any` on the hot path
            if given.failure is not None:
                return True
        return False

    def skipped_for(self, needed: Step[Any]) -> StepSkippedError:
        """Return the error that this step is skipped with because `needed` did not end well."""
        failure = needed.failure
        kinds: dict[type, str] = {StepSkippedError: "was skipped", StepCancelledError: "was cancelled"}
        happened = kinds.get(type(failure), "failed")
        skipped = StepSkippedError(f"step {self.name!r} was skipped: {needed.name!r}, which it needs, {happened}")
        skipped.__cause__ = failure.__cause__ if isinstance(failure, StepSkippedError) else failure
        return skipped

    def settle(self, state: State, value: T | None, error: BaseException | None) -> None:
        """Set the outcome and tell those who wait for it; the flow's business."""
        self.state, self._value, self.failure = state, value, error
        self.finish_order = next(_finishes)
        if self.timer is not None:
            self.timer.cancel()
        if self._waiters is not None:
            for waiter in self._waiters:
                if not waiter.done():
                    waiter.set_result(None)
        if self._callbacks is not None:
            for callback in self._callbacks:
                callback(self)


def _finish_order(step: Step[Any]) -> int:
    return step.finish_order
