"""How many steps of a flow run at once, and which of those that are ready goes next."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import spanwise

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from spanwise_pipeline.scheduling.step import Step


@dataclass(frozen=True, slots=True)
class FlowStatistics:
    """A reading of a `Flow`; the states add up to `steps`."""

    steps: int
    waiting: int
    """Inputs are not done yet."""
    running: int
    """Started, those included that wait for a place."""
    done: int
    failed: int
    skipped: int
    cancelled: int
    background: int
    """Steps that the end of the block does not wait for, in whatever state."""
    peak_running: int

    @classmethod
    def of(cls, steps: Sequence[Step[Any]], *, peak_running: int) -> Self:
        """Count `steps`."""
        counts = Counter(step.state for step in steps)
        return cls(
            steps=len(steps),
            waiting=counts["waiting"],
            running=counts["running"],
            done=counts["done"],
            failed=counts["failed"],
            skipped=counts["skipped"],
            cancelled=counts["cancelled"],
            background=sum(step.background for step in steps),
            peak_running=peak_running,
        )


class Slots:
    """Places for steps that run; a free place goes to the step with the highest priority.

    A place that becomes free is given away in the next turn of the event loop, so that steps that become ready by the
    same end are among those it is given to.

    Args:
        capacity: how many places.
        priority: of a step; where it is None, or equal, who asked first goes first.
    """

    def __init__(self, capacity: int, priority: Callable[[Step[Any]], float] | None) -> None:
        if capacity < 1:
            raise ValueError(f"at_once must be at least 1, this is {capacity}")
        self._free = capacity
        self._priority = priority
        self._asked: dict[Step[Any], asyncio.Future[None]] = {}
        """Everyone who waits for a place or holds one."""
        self._waiting: dict[Step[Any], asyncio.Future[None]] = {}
        """In the order in which they asked."""
        self._releaser: Step[Any] | None = None
        """The step that gave up a place last."""
        self._giving = False

    def ask(self, step: Step[Any]) -> asyncio.Future[None]:
        """Put a step in the queue; the future is set when it has a place."""
        place = self._asked[step] = asyncio.get_running_loop().create_future()
        if self._free and self._priority is None and not self._waiting:
            self._free -= 1
            place.set_result(None)
        else:
            self._waiting[step] = place
            self._give_soon()
        return place

    @asynccontextmanager
    async def place(self, step: Step[Any]) -> AsyncGenerator[None]:
        """Hold a place inside the block; a step that has not asked yet does so now."""
        place = self._asked.get(step) or self.ask(step)
        try:
            if not place.done():
                with spanwise.waiting("concurrency", "steps") as wait:
                    await place
                    wait.released_by = self._releaser.span_context if self._releaser is not None else None
            yield
        finally:
            self.give_back(step)

    def give_back(self, step: Step[Any]) -> None:
        """Give up a step's place, or its place in the queue; a step that has neither changes nothing."""
        place = self._asked.pop(step, None)
        if place is None:
            return
        if self._waiting.pop(step, None) is None:
            self._free += 1
            self._releaser = step
            self._give_soon()

    def _give_soon(self) -> None:
        if self._free and self._waiting and not self._giving:
            self._giving = True
            asyncio.get_running_loop().call_soon(self._give)

    def _give(self) -> None:
        self._giving = False
        while self._free and self._waiting:
            chosen = next(iter(self._waiting)) if self._priority is None else max(self._waiting, key=self._priority)
            place = self._waiting.pop(chosen)
            self._free -= 1
            if not place.done():  # else its step is being cancelled, and gives the place back
                place.set_result(None)


def remaining_seconds(steps: Sequence[Step[Any]]) -> dict[Step[Any], float]:
    """Return the expected seconds of the longest path from each step that is not done, the step itself included.

    A step can only need steps that were added before it, so one pass from the last to the first is enough.
    """
    found: dict[Step[Any], float] = {}
    for step in reversed(steps):
        if not step.finish_order:
            after = (found.get(dependant, 0.0) for dependant in step.dependants)
            found[step] = step.expected + max(after, default=0.0)
    return found
