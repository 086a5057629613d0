"""Concurrency limits as explicit resources: first come, first served, with statistics, and every wait recorded.

asyncio's semaphore hides who waited, for how long, and whose release ended the wait; here the wait is a span below the
waiter with a link to the span that gave the place up.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from opentelemetry import trace

import spanwise

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
    """At most `capacity` holders at once; `async with limit.slot(): ...`."""

    def __init__(self, name: str, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"limit {name!r} needs a capacity of at least 1, this is {capacity}")
        self.name = name
        self._capacity = capacity
        self._in_use = 0
        self._peak = 0
        self._waits = 0
        self._waiters: deque[asyncio.Future[SpanContext]] = deque()

    def __repr__(self) -> str:
        waiting = f" with {len(self._waiters)} waiting" if self._waiters else ""
        return f"<ConcurrencyLimit {self.name}: {self._in_use}/{self._capacity}{waiting}>"

    def statistics(self) -> LimitStatistics:
        """Return how the limit stands."""
        return LimitStatistics(self.name, self._capacity, self._in_use, len(self._waiters), self._peak, self._waits)

    @asynccontextmanager
    async def slot(self) -> AsyncGenerator[None]:
        """Hold one of the places inside the block; a cancelled waiter leaves the queue."""
        await self._acquire()
        try:
            yield
        finally:
            self._release(trace.get_current_span().get_span_context())

    async def _acquire(self) -> None:
        if self._in_use < self._capacity and not self._waiters:
            self._in_use += 1
            self._peak = max(self._peak, self._in_use)
            return
        place: asyncio.Future[SpanContext] = asyncio.get_running_loop().create_future()
        self._waiters.append(place)
        self._waits += 1
        with spanwise.waiting("concurrency", self.name) as wait:
            try:
                wait.released_by = await place
            except asyncio.CancelledError:
                self._give_up(place)
                raise

    def _give_up(self, place: asyncio.Future[SpanContext]) -> None:
        if place in self._waiters:
            self._waiters.remove(place)
        elif not place.cancelled():
            self._release(place.result())  # the place had been handed over in the same turn of the loop

    def _release(self, releaser: SpanContext) -> None:
        while self._waiters:
            place = self._waiters.popleft()
            if not place.done():
                place.set_result(releaser)  # the place passes on; in_use stays
                return
        self._in_use -= 1
