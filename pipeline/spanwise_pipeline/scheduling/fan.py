"""Steps that stand for several: one for each item of a list, and a race whose first good answer wins."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeGuard, TypeVar

from opentelemetry import trace

import spanwise
from spanwise import conventions as c
from spanwise_pipeline.scheduling.slots import Slots
from spanwise_pipeline.scheduling.step import Step, StepTypeError, current_step

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from spanwise_pipeline.clock import Clock
    from spanwise_pipeline.scheduling.flow import Flow, StepOptions

T = TypeVar("T")
R = TypeVar("R")


class NoGoodResultError(Exception):
    """Every candidate of a race gave a result, and none would do."""


def checked(
    name: str, function: Callable[..., Coroutine[Any, Any, R]], returns: type[Any] | tuple[type[Any], ...]
) -> Callable[..., Coroutine[Any, Any, R]]:
    """Return the function of a step that promises the type of its result."""

    async def run(*inputs: Any) -> R:
        value = await function(*inputs)
        if not isinstance(value, returns):
            wanted = returns if isinstance(returns, tuple) else (returns,)
            names = " or ".join(kind.__name__ for kind in wanted)
            raise StepTypeError(f"step {name!r} returned {type(value).__name__}, and must return {names}")
        return value

    return run


def add_map(
    flow: Flow,
    name: str,
    function: Callable[[Any], Coroutine[Any, Any, R]],
    items: Sequence[Any] | Step[Any],
    *,
    at_once: int | None,
    options: StepOptions,
) -> Step[list[R]]:
    """Add a step for each item and one that gathers them; see `Flow.map`."""
    places = Slots(at_once, None) if at_once is not None else None

    def of_one(item: Any) -> Callable[[], Coroutine[Any, Any, R]]:
        async def run() -> R:
            if places is None:
                return await function(item)
            step = current_step.get()
            assert step is not None
            async with places.place(step):
                return await function(item)

        return run

    async def spread(*given: Any) -> list[R]:
        values = given[0] if given else items
        if not _is_list(values):
            raise StepTypeError(f"step {name!r} maps over a list, and was given {type(values).__name__}")
        parts = [flow.step(f"{name}[{i}]", of_one(item), **options) for i, item in enumerate(values)]
        return await _gathered(name, parts)

    inputs = (items,) if isinstance(items, Step) else ()
    step: Step[list[R]] = Step(flow, name, spread, inputs)
    step.holds_place = False
    flow.add(step)
    return step


def _is_list(values: Any) -> TypeGuard[Sequence[Any]]:
    return isinstance(values, Sequence) and not isinstance(values, str | bytes)


async def _gathered(name: str, parts: Sequence[Step[R]]) -> list[R]:
    for part in parts:
        if not part.done():
            with spanwise.waiting("task", part.name) as wait:
                await part.wait_until_done()
                wait.released_by = part.span_context
    failures = [failure for part in parts if isinstance(failure := part.error(), Exception)]
    if len(failures) == 1:
        raise failures[0]
    if failures:
        raise ExceptionGroup(f"{len(failures)} of the {len(parts)} items of {name!r} failed", failures)
    return [part.result() for part in parts]


def add_race(
    flow: Flow,
    name: str,
    candidates: Mapping[str, Callable[..., Coroutine[Any, Any, T]]],
    inputs: Sequence[Step[Any]],
    *,
    good: Callable[[T], bool] | None,
    stagger: float,
    clock: Clock,
    role: str | None,
    deadline: float | None,
) -> Step[T]:
    """Add a step that runs candidates until one is good; see `Flow.race`."""
    if not candidates:
        raise ValueError(f"race {name!r} has no candidates")
    if stagger < 0:
        raise ValueError(f"race {name!r}: stagger must not be below 0 s, this is {stagger}")

    async def run(*given: Any) -> T:
        race = _Race(flow, name, candidates, given=given, good=good, stagger=clock.real(stagger))
        result: T = await race.run()
        return result

    step: Step[T] = Step(flow, name, run, inputs)
    step.role, step.deadline, step.holds_place = role, deadline, False
    flow.add(step)
    return step


class _Race:
    """One race: candidates are started in turn, the first good one wins, the others are cancelled and counted."""

    def __init__(
        self,
        flow: Flow,
        name: str,
        candidates: Mapping[str, Callable[..., Coroutine[Any, Any, Any]]],
        *,
        given: tuple[Any, ...],
        good: Callable[[Any], bool] | None,
        stagger: float,
    ) -> None:
        self._flow = flow
        self._name = name
        self._candidates = candidates
        self._to_start = list(candidates)
        self._given = given
        self._good = good
        self._stagger = stagger
        self._ended: asyncio.Queue[str] = asyncio.Queue()
        self._steps: dict[str, Step[Any]] = {}
        self._began: dict[str, float] = {}
        self._seconds: dict[str, float] = {}
        """How long each candidate that has ended ran, in recorded seconds."""

    async def run(self) -> Any:
        winner: str | None = None
        try:
            winner = await self._first_good()
        finally:
            await self._end_others(winner)
        if winner is not None:
            return self._steps[winner].result()
        failures = [failure for step in self._steps.values() if isinstance(failure := step.error(), Exception)]
        bad = len(self._steps) - len(failures)
        if bad:
            failures.append(NoGoodResultError(f"race {self._name!r}: {bad} of {len(self._steps)} results would not do"))
        raise ExceptionGroup(f"race {self._name!r} has no winner", failures)

    async def _first_good(self) -> str | None:
        self._start_next()
        while not self._stagger and self._to_start:
            self._start_next()
        left = len(self._candidates)
        with spanwise.waiting("task", self._name) as wait:
            while left:
                candidate = await self._next_ended()
                if candidate is None:
                    self._start_next()
                    continue
                left -= 1
                step = self._steps[candidate]
                if step.error() is None and (self._good is None or self._good(step.result())):
                    wait.released_by = step.span_context
                    return candidate
                if self._to_start and len(self._seconds) == len(self._steps):
                    self._start_next()  # nobody runs: waiting for the stagger would gain nothing
        return None

    async def _next_ended(self) -> str | None:
        """Return the next candidate that has ended, or None when it is time to start one more."""
        try:
            async with asyncio.timeout(self._stagger if self._to_start else None):
                return await self._ended.get()
        except TimeoutError:
            return None

    def _start_next(self) -> None:
        candidate = self._to_start.pop(0)
        function, given = self._candidates[candidate], self._given
        loop = asyncio.get_running_loop()

        def note(_: Step[Any]) -> None:
            self._seconds[candidate] = loop.time() - self._began[candidate]
            self._ended.put_nowait(candidate)

        self._began[candidate] = loop.time()
        step = self._steps[candidate] = self._flow.step(f"{self._name}/{candidate}", lambda: function(*given))
        step.when_done(note)

    async def _end_others(self, winner: str | None) -> None:
        losers = [step for candidate, step in self._steps.items() if candidate != winner]
        for step in losers:
            if step.begun and not step.done():
                step.recorded.set(c.RACE_LOST, True)  # noqa: FBT003 - an attribute's value
            step.cancel()
        for step in losers:
            while not step.done():
                await step.wait_until_done()
        span = trace.get_current_span()
        if winner is not None:
            span.set_attribute(c.RACE_WINNER, winner)
        lost = sum(seconds for candidate, seconds in self._seconds.items() if candidate != winner)
        span.set_attribute(c.RACE_LOST_SECONDS, lost)
