"""Concurrency limits as explicit resources: in order, with statistics, and every wait recorded.

asyncio's semaphore hides who waited, for how long, and whose release ended the wait; here the wait is a span below the
waiter with a link to the span that gave the place up.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from opentelemetry import trace

import spanwise
from spanwise_pipeline.limits.queue import FairQueue, current_run

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from opentelemetry.trace import SpanContext


@dataclass(frozen=True, slots=True)
class LimitStatistics:
    """A reading of a `ConcurrencyLimit`."""

    name: str
    capacity: int
    in_use: int
    waiting: int
    peak_in_use: int
    waits: int
    """How many acquisitions had to wait since the limit was made."""


class ConcurrencyLimit:
    """At most `capacity` holders at once; `async with limit.slot(): ...`.

    Inside a run places are given first come, first served; runs (traces) take turns.
    """

    def __init__(self, name: str, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"limit {name!r} needs a capacity of at least 1, this is {capacity}")
        self.name = name
        self._capacity = capacity
        self._in_use = 0
        self._peak = 0
        self._waits = 0
        self._waiters: FairQueue[asyncio.Future[SpanContext]] = FairQueue()

    def __repr__(self) -> str:
        waiting = f" with {len(self._waiters)} waiting" if self._waiters else ""
        return f"<{type(self).__name__} {self.name}: {self._in_use}/{self._capacity}{waiting}>"

    def statistics(self) -> LimitStatistics:
        """Return how the limit stands."""
        return LimitStatistics(self.name, self._capacity, self._in_use, len(self._waiters), self._peak, self._waits)

    def is_free(self) -> bool:
        """Return whether a place could be had without waiting."""
        return self._in_use < self._capacity and not self._waiters

    def set_capacity(self, capacity: int) -> None:
        """Change the number of places; holders above a smaller one keep theirs until they leave."""
        self._capacity = capacity
        self._hand_out(trace.get_current_span().get_span_context())

    @asynccontextmanager
    async def slot(self) -> AsyncGenerator[None]:
        """Hold one of the places inside the block; a cancelled waiter leaves the queue."""
        await self._acquire()
        try:
            yield
        finally:
            self._release(trace.get_current_span().get_span_context())

    async def _acquire(self) -> None:
        if self.is_free():
            self._occupy()
            return
        place: asyncio.Future[SpanContext] = asyncio.get_running_loop().create_future()
        self._waiters.push(place, current_run(), 1.0)
        self._waits += 1
        with spanwise.waiting("concurrency", self.name) as wait:
            try:
                wait.released_by = await place
            except asyncio.CancelledError:
                self._give_up(place)
                raise

    def _occupy(self) -> None:
        self._in_use += 1
        self._peak = max(self._peak, self._in_use)

    def _give_up(self, place: asyncio.Future[SpanContext]) -> None:
        if not self._waiters.remove(place) and not place.cancelled():
            self._release(place.result())  # the place had been handed over in the same turn of the loop

    def _release(self, releaser: SpanContext) -> None:
        self._in_use -= 1
        self._hand_out(releaser)

    def _hand_out(self, releaser: SpanContext) -> None:
        while self._waiters and self._in_use < self._capacity:
            place = self._waiters.pop()
            if not place.done():
                self._occupy()
                place.set_result(releaser)
