"""Hedged requests: where the first token is late beyond what is usual, the same request is sent once more.

The first good answer is taken and the other request is cancelled. As a rule 1 - `percentile` of the calls are sent
twice, and the slowest of them no longer decide how long a run takes (Dean and Barroso, The Tail at Scale, 2013).
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Hashable, Sequence

T = TypeVar("T")
_REMEMBERED: Final = 200


@dataclass(frozen=True, slots=True)
class Hedging:
    """When a request is sent once more. Durations are system seconds."""

    percentile: float = 0.95
    """After this percentile of the times to first token that this model and step had before."""
    least: int = 20
    """Not before so many such times are known."""
    after: float | None = None
    """After so many seconds in place of the percentile."""

    def __post_init__(self) -> None:
        if not 0 < self.percentile < 1:
            raise ValueError(f"percentile must be between 0 and 1, this is {self.percentile}")
        if self.after is not None and self.after <= 0:
            raise ValueError(f"after must be above 0 seconds, this is {self.after}")


class FirstTokens:
    """The times to first token of each kind of call."""

    def __init__(self, settings: Hedging) -> None:
        self._settings = settings
        self._times: dict[Hashable, deque[float]] = {}

    def add(self, kind: Hashable, seconds: float) -> None:
        """Remember one."""
        self._times.setdefault(kind, deque(maxlen=_REMEMBERED)).append(seconds)

    def patience(self, kind: Hashable) -> float | None:
        """Return after how many seconds a call of this kind is sent once more, `None` for not at all."""
        if self._settings.after is not None:
            return self._settings.after
        known = sorted(self._times.get(kind, ()))
        if len(known) < self._settings.least:
            return None
        return known[min(int(len(known) * self._settings.percentile), len(known) - 1)]


async def hedged(
    attempt: Callable[[asyncio.Event, bool], Coroutine[None, None, T]], patience: float, may_hedge: Callable[[], bool]
) -> T:
    """Return what `attempt` returns, run a second time where the first has not begun to answer within `patience`.

    Args:
        attempt: given an event that it sets at its first token, and whether it is the second one.
        patience: real seconds.
        may_hedge: asked right before the second one.

    Raises:
        Exception: the first one's error, where no attempt succeeds.
    """
    answering = asyncio.Event()
    first = asyncio.ensure_future(attempt(answering, False))  # noqa: FBT003 - told apart by the name of the parameter
    watch = asyncio.ensure_future(answering.wait())
    tasks: list[asyncio.Future[T]] = [first]
    try:
        await asyncio.wait({first, watch}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        if not first.done() and not answering.is_set() and may_hedge():
            tasks.append(asyncio.ensure_future(attempt(asyncio.Event(), True)))  # noqa: FBT003 - likewise
        return await _first_good(tasks)
    finally:
        await _end([watch, *tasks])


async def _first_good(tasks: list[asyncio.Future[T]]) -> T:
    pending = set(tasks)
    while pending:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task in done and not task.cancelled() and task.exception() is None:
                return task.result()
    return tasks[0].result()


async def _end(tasks: Sequence[asyncio.Future[Any]]) -> None:
    """Cancel what still runs and wait for it, however often that is cancelled."""
    running = [task for task in tasks if not task.done()]
    for task in running:
        task.cancel()
    while any(not task.done() for task in running):
        with suppress(asyncio.CancelledError):  # a cancellation is on its way up already
            await asyncio.wait(running)
    for task in tasks:
        if not task.cancelled():
            task.exception()  # looked at: a loser's error is nobody's
