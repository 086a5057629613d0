"""Making a value once for all who wait for it, whoever of them goes away."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from opentelemetry import trace

import spanwise

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from opentelemetry.trace import SpanContext

    from spanwise_pipeline.caches.entries import Entry

T = TypeVar("T")


@dataclass(slots=True)
class _Flight(Generic[T]):
    task: asyncio.Task[Entry[T]]
    leader: SpanContext
    waiters: int = 0
    held: bool = False
    """Whether it goes on when nobody waits: a value that is made in the background."""


class Flights(Generic[T]):
    """What is being made now, by key."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._flights: dict[str, _Flight[T]] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._flights

    async def board(self, key: str, make: Callable[[], Awaitable[Entry[T]]]) -> Entry[T]:
        """Wait for the value of `key`, which `make` makes where nobody makes it yet."""
        flight = self._flights.get(key)
        leading = flight is None
        flight = flight or self._take_off(key, make)
        flight.waiters += 1
        try:
            if leading:
                return await asyncio.shield(flight.task)
            with spanwise.waiting("future", self._name) as wait:
                wait.released_by = flight.leader
                return await asyncio.shield(flight.task)
        finally:
            flight.waiters -= 1
            if not flight.waiters and not flight.held and not flight.task.done():
                self._landed(key, flight)
                await _end([flight.task])  # everybody who wanted the value is gone

    def in_background(self, key: str, make: Callable[[], Awaitable[Entry[T]]]) -> None:
        """Make the value of `key` for later, unless it is being made."""
        if key not in self._flights:
            self._take_off(key, make).held = True

    def _take_off(self, key: str, make: Callable[[], Awaitable[Entry[T]]]) -> _Flight[T]:
        async def fly() -> Entry[T]:
            try:
                return await make()
            finally:
                self._landed(key, flight)

        task = asyncio.get_running_loop().create_task(fly(), name=f"cache {self._name}")
        task.add_done_callback(_retrieve)
        flight = self._flights[key] = _Flight(task, trace.get_current_span().get_span_context())
        return flight

    def _landed(self, key: str, flight: _Flight[T]) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]

    async def fill(
        self,
        wanted: Sequence[tuple[str, Callable[[], Awaitable[Entry[T]]]]],
        is_here: Callable[[str], Awaitable[bool]],
        at_once: int,
    ) -> int:
        """Make what is not here, at most so many at once, and return how many values that were."""
        places = asyncio.Semaphore(at_once)
        made = 0

        async def one(key: str, make: Callable[[], Awaitable[Entry[T]]]) -> None:
            nonlocal made
            async with places:
                if not await is_here(key):
                    await self.board(key, make)
                    made += 1

        results = await asyncio.gather(*(one(key, make) for key, make in wanted), return_exceptions=True)
        errors = [error for error in results if isinstance(error, Exception)]
        if errors:
            raise ExceptionGroup(f"{len(errors)} of {len(wanted)} values of cache {self._name!r} were not made", errors)
        return made

    async def settle(self) -> None:
        """Wait until everything that is being made is made, well or not."""
        while self._flights:
            await asyncio.wait([flight.task for flight in self._flights.values()])

    async def close(self) -> None:
        """Cancel everything that is being made, and wait for its end."""
        tasks = [flight.task for flight in self._flights.values()]
        self._flights.clear()
        await _end(tasks)


async def _end(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait until they are done, however often that is cancelled: nothing may outlive its caller."""
    for task in tasks:
        task.cancel()
    while any(not task.done() for task in tasks):
        with suppress(asyncio.CancelledError):  # a cancellation is on its way up already
            await asyncio.wait(tasks)


def _retrieve(task: asyncio.Task[Any]) -> None:
    """Look at the outcome: when everybody has left, nobody else does, and asyncio would complain."""
    if not task.cancelled():
        task.exception()
