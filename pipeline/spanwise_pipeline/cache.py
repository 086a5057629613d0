"""A memory cache for slow results: bounded (least recently used), each entry with a time to live, single flight.

The key is a hash of the inputs that matter, named by the caller, so that a random id in a request cannot spoil it.
Callers that come while a value is being made wait for that one (`coalesced`); cancelling one of them, the first
included, cancels nobody else. Errors are handed to all who wait and are not kept. Each lookup is a span that ends when
the lookup does; making the value belongs to the caller that makes it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from cachetools import TLRUCache
from opentelemetry import trace

import spanwise

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from opentelemetry.trace import SpanContext

    from spanwise.helpers.factories import CacheLookup
    from spanwise_pipeline.clock import Clock

T = TypeVar("T")


def key_of(inputs: Mapping[str, Any]) -> str:
    """Return the key of `inputs`: SHA-256 over their canonical JSON, so the order of names does not matter."""
    canonical = json.dumps(dict(inputs), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class CacheStatistics:
    """A reading of a `Cache`."""

    name: str
    capacity: int
    entries: int
    hits: int
    misses: int
    coalesced: int

    @property
    def hit_rate(self) -> float:
        """Share of lookups that did not make the value, coalesced ones included; 0 without lookups."""
        lookups = self.hits + self.misses + self.coalesced
        return (self.hits + self.coalesced) / lookups if lookups else 0.0


@dataclass(frozen=True, slots=True)
class _Entry(Generic[T]):
    value: T
    stored_at: float
    load_seconds: float
    tokens: int | None


@dataclass(slots=True)
class _Flight(Generic[T]):
    task: asyncio.Task[_Entry[T]]
    leader: SpanContext
    waiters: int = 0


class Cache(Generic[T]):
    """A named cache of at most `capacity` values, each for `ttl` seconds of system time."""

    def __init__(self, name: str, *, capacity: int, ttl: float, clock: Clock) -> None:
        if capacity < 1 or ttl <= 0:
            raise ValueError(f"cache {name!r} needs a capacity of at least 1 and a ttl above 0: {capacity}, {ttl}")
        self.name = name
        self._ttl = ttl
        self._clock = clock
        self._entries: TLRUCache[str, _Entry[T]] = TLRUCache(
            maxsize=capacity, ttu=lambda _key, _value, now: now + ttl, timer=clock.now
        )
        self._flights: dict[str, _Flight[T]] = {}
        self._counts = {"hit": 0, "miss": 0, "coalesced": 0}

    def __repr__(self) -> str:
        return f"<Cache {self.name}: {self.statistics()}>"

    def statistics(self) -> CacheStatistics:
        """Return how the cache stands."""
        counts = self._counts
        capacity = int(self._entries.maxsize)
        return CacheStatistics(
            self.name, capacity, len(self._entries), counts["hit"], counts["miss"], counts["coalesced"]
        )

    async def get(
        self,
        inputs: Mapping[str, Any],
        load: Callable[[], Awaitable[T]],
        *,
        tokens_of: Callable[[T], int] | None = None,
    ) -> T:
        """Return the value for `inputs`, made by `load` when it is not here.

        Args:
            inputs: what the value depends on, JSON-able; nothing else may influence it.
            load: makes the value; runs once for all who ask while it runs.
            tokens_of: tokens that making a value used, recorded as saved on a hit.
        """
        key = key_of(inputs)
        ttl = self._clock.real(self._ttl)
        with spanwise.cache_lookup(self.name, key_hash=key[:16], ttl=ttl) as lookup:
            entry = self._entries.get(key)
            flight = self._flights.get(key)
            if entry is not None:
                self._tell(lookup, "hit", entry)
                return entry.value
            self._tell(lookup, "miss" if flight is None else "coalesced")
        leading = flight is None
        return await self._land(key, flight or self._take_off(key, load, tokens_of), leading=leading)

    def _tell(self, lookup: CacheLookup, result: str, entry: _Entry[T] | None = None) -> None:
        self._counts[result] += 1
        if entry is None:
            lookup.result(cast("Any", result))
            return
        age = self._clock.real(self._clock.now() - entry.stored_at)
        lookup.result("hit", age=age, saved_seconds=entry.load_seconds, saved_tokens=entry.tokens)

    def _take_off(self, key: str, load: Callable[[], Awaitable[T]], tokens_of: Callable[[T], int] | None) -> _Flight[T]:
        async def make() -> _Entry[T]:
            began = self._clock.now()
            try:
                value = await load()
                tokens = tokens_of(value) if tokens_of is not None else None
                now = self._clock.now()
                entry = _Entry(value, now, self._clock.real(now - began), tokens)
                self._entries[key] = entry
                return entry
            finally:
                self._landed(key, flight)

        task = asyncio.get_running_loop().create_task(make(), name=f"cache {self.name}")
        task.add_done_callback(_retrieve)
        flight = self._flights[key] = _Flight(task, trace.get_current_span().get_span_context())
        return flight

    async def _land(self, key: str, flight: _Flight[T], *, leading: bool) -> T:
        flight.waiters += 1
        try:
            if leading:
                return (await asyncio.shield(flight.task)).value
            with spanwise.waiting("future", self.name) as wait:
                wait.released_by = flight.leader
                return (await asyncio.shield(flight.task)).value
        finally:
            flight.waiters -= 1
            if not flight.waiters and not flight.task.done():
                self._landed(key, flight)
                await _end(flight.task)  # everybody who wanted the value is gone

    def _landed(self, key: str, flight: _Flight[T]) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]


async def _end(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait until it is done, however often that is cancelled: nothing may outlive its caller."""
    task.cancel()
    while not task.done():
        with suppress(asyncio.CancelledError):  # a cancellation is on its way up already
            await asyncio.wait([task])


def _retrieve(task: asyncio.Task[Any]) -> None:
    """Look at the outcome: when everybody has left, nobody else does, and asyncio would complain."""
    if not task.cancelled():
        task.exception()
