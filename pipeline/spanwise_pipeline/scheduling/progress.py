"""What happens to the steps of a flow, as an async iterator: for a page that fills up, a terminal, a WebSocket."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from spanwise_pipeline.scheduling.step import current_step

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from spanwise_pipeline.scheduling.step import Step

EventKind = Literal["started", "partial", "done", "failed", "skipped", "cancelled"]
_ENDED = frozenset({"done", "failed", "skipped", "cancelled"})


@dataclass(frozen=True, slots=True)
class StepEvent:
    """Something that happened to a step."""

    step: Step[Any]
    kind: EventKind
    value: Any
    """The part of the result that was reported, the whole result of a step that is done, else None."""
    time_ns: int
    """Unix time."""


class Progress:
    """Hands events to all who follow a flow; each has a queue of its own, so a slow one holds up nobody."""

    def __init__(self) -> None:
        self._queues: list[asyncio.Queue[StepEvent | None]] = []

    def tell(self, step: Step[Any], kind: Any, value: Any = None) -> None:
        """Note an event."""
        event = StepEvent(step, kind, value, time.time_ns())
        for queue in self._queues:
            queue.put_nowait(event)

    def close(self) -> None:
        """End every iteration once its reader has had what came before."""
        for queue in self._queues:
            queue.put_nowait(None)

    def subscribe(self, steps: Sequence[Step[Any]], complete: Callable[[], bool]) -> AsyncGenerator[StepEvent]:
        """Return an iteration over what is known of `steps` and what happens until `complete` says so."""
        queue: asyncio.Queue[StepEvent | None] = asyncio.Queue()
        self._queues.append(queue)
        now = time.time_ns()
        for step in steps:
            if step.done():
                value = None if step.failure is not None else step.peek()
                queue.put_nowait(StepEvent(step, step.state, value, now))  # type: ignore[arg-type]  # done, so an end
            elif step.state == "running":
                queue.put_nowait(StepEvent(step, "started", None, now))
        return self._events(queue, complete)

    async def _events(
        self, queue: asyncio.Queue[StepEvent | None], complete: Callable[[], bool]
    ) -> AsyncGenerator[StepEvent]:
        try:
            while (event := await queue.get()) is not None:
                yield event
                if event.kind in _ENDED and queue.empty() and complete():
                    return
        finally:
            self._queues.remove(queue)


def report_partial(value: Any) -> None:
    """Tell whoever follows the flow's progress about a part of the result of the step that this runs in.

    Raises:
        RuntimeError: outside of a step.
    """
    step = current_step.get()
    if step is None:
        raise RuntimeError("report_partial is for functions that run as a step of a flow")
    step.flow.report(step, value)
