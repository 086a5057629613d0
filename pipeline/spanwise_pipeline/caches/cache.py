"""A cache for slow results: memory above an optional shared store, one maker for each value, spans that name the tier.

The key is a hash of the inputs that matter, named by the caller, so that a random id in a request cannot spoil it.
Callers that come while a value is being made wait for that one (`coalesced`); cancelling one of them, the first
included, cancels nobody else. Errors are handed to all who wait and are not kept. Each lookup is a span that ends when
the lookup does; making the value belongs to the caller that makes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import spanwise
from spanwise_pipeline.caches.codecs import Codec, JsonCodec
from spanwise_pipeline.caches.entries import Entry, Memory
from spanwise_pipeline.caches.flights import Flights
from spanwise_pipeline.caches.keys import key_of
from spanwise_pipeline.caches.shared import SharedTier

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from spanwise.conventions import CacheResult
    from spanwise.helpers.factories import CacheLookup
    from spanwise_pipeline.caches.semantic import Semantic
    from spanwise_pipeline.caches.stores import Store
    from spanwise_pipeline.clock import Clock

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CacheStatistics:
    """A reading of a `Cache`. Every lookup is one of hit, stale, coalesced, miss and bypass."""

    name: str
    capacity: int
    entries: int
    hits: int
    misses: int
    coalesced: int
    stale: int = 0
    """Served although their time was over, while a new value was made."""
    bypassed: int = 0
    """Lookups in shadow mode, which serves nothing."""
    shared_hits: int = 0
    """Hits that came from the store below."""
    semantic_hits: int = 0
    """Hits by meaning."""
    shadow_hits: int = 0
    """In shadow mode: lookups that would have been hits."""
    shadow_wrong: int = 0
    """In shadow mode: hits whose value was another one than what was made."""
    store_errors: int = 0
    """Times that the store below failed or took too long; memory and the source answered."""
    bytes: int = 0
    """Size of the values in memory, where it is bounded."""

    @property
    def hit_rate(self) -> float:
        """Share of lookups that did not wait for a new value of their own; 0 without lookups."""
        served = self.hits + self.coalesced + self.stale
        lookups = served + self.misses
        return served / lookups if lookups else 0.0

    @property
    def predicted_hit_rate(self) -> float:
        """In shadow mode: the share of lookups that would have been hits; 0 without lookups."""
        return self.shadow_hits / self.bypassed if self.bypassed else 0.0


class Cache(Generic[T]):
    """A named cache of at most `capacity` values, each for `ttl` seconds of system time.

    Args:
        name: stands in lookups and metrics.
        capacity: most values in memory; the least recently used one goes first.
        ttl: system seconds that a value is fresh.
        clock: system time.
        stale: system seconds after `ttl` in which a value is still served while a new one is made.
        max_bytes: bound of the values in memory, by the bytes that `codec` makes of them; a larger value is not kept.
        codec: makes bytes of values, for `store`, `max_bytes` and `shadow`.
        store: below memory, shared by processes; closed by whoever made it.
        patience: real seconds that the store may take; then the source answers.
        lease: system seconds after which another process makes a value whose maker fell silent.
        semantic: finds values whose inputs mean the same.
        shadow: look up and serve nothing: `statistics` then predict the hit rate, and how many hits would be wrong.
    """

    def __init__(
        self,
        name: str,
        *,
        capacity: int,
        ttl: float,
        clock: Clock,
        stale: float = 0.0,
        max_bytes: int | None = None,
        codec: Codec[T] | None = None,
        store: Store | None = None,
        patience: float = 0.5,
        lease: float = 30.0,
        semantic: Semantic | None = None,
        shadow: bool = False,
    ) -> None:
        if capacity < 1 or ttl <= 0 or stale < 0:
            raise ValueError(
                f"cache {name!r} needs a capacity of at least 1 and a ttl above 0, and stale from 0 on: "
                f"{capacity}, {ttl}, {stale}"
            )
        self.name = name
        self._ttl = ttl
        self._clock = clock
        self._codec: Codec[T] = codec or JsonCodec()
        self._shadow = shadow
        self._semantic = semantic
        self._memory: Memory[T] = Memory(
            capacity, ttl=ttl, stale=stale, clock=clock, max_bytes=max_bytes, size_of=self._size
        )
        self._shared = None
        if store is not None:
            self._shared = SharedTier(
                name, store, self._codec, clock=clock, keep=ttl + stale, patience=patience, lease=lease
            )
        self._flights: Flights[T] = Flights(name)
        self._counts = dict.fromkeys(
            ("hit", "miss", "coalesced", "stale", "bypass", "shared", "semantic", "shadow_hit", "shadow_wrong"), 0
        )

    def __repr__(self) -> str:
        return f"<Cache {self.name}: {self.statistics()}>"

    def statistics(self) -> CacheStatistics:
        """Return how the cache stands."""
        counts = self._counts
        return CacheStatistics(
            self.name, self._memory.capacity, len(self._memory), counts["hit"], counts["miss"], counts["coalesced"],
            stale=counts["stale"], bypassed=counts["bypass"], shared_hits=counts["shared"],
            semantic_hits=counts["semantic"], shadow_hits=counts["shadow_hit"], shadow_wrong=counts["shadow_wrong"],
            store_errors=self._shared.errors if self._shared is not None else 0, bytes=self._memory.bytes,
        )  # fmt: skip

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
        make = self._making(key, load, tokens_of)
        with spanwise.cache_lookup(self.name, key_hash=key[:16], ttl=self._clock.real(self._ttl)) as lookup:
            entry = await self._find(key, inputs, lookup)
            if self._shadow:
                self._count(lookup, "bypass")
            elif entry is None:
                self._count(lookup, "coalesced" if key in self._flights else "miss")
        if entry is not None and not self._shadow:
            if self._memory.is_stale(entry):
                self._flights.in_background(key, make)
            return entry.value
        made = await self._flights.board(key, make)
        if entry is not None and self._codec.encode(entry.value) != self._codec.encode(made.value):
            self._counts["shadow_wrong"] += 1
        return made.value

    async def _find(self, key: str, inputs: Mapping[str, Any], lookup: CacheLookup) -> Entry[T] | None:
        """Return the entry of the first tier that has one, and tell the lookup."""
        entry = self._memory.get(key)
        if entry is not None:
            return self._tell(lookup, entry, "memory")
        if key in self._flights:
            return None
        if self._shared is not None:
            entry = await self._shared.get(key)
            if entry is not None:
                self._memory.put(key, entry)
                return self._tell(lookup, entry, self._shared.tier)
        if self._semantic is not None:
            known = await self._semantic.nearest(key, inputs)
            entry = self._memory.get(known) if known is not None else None
            if entry is not None:
                return self._tell(lookup, entry, "memory", kind="semantic")
        return None

    def _tell(self, lookup: CacheLookup, entry: Entry[T], tier: str, *, kind: str = "exact") -> Entry[T]:
        lookup.answered(tier=tier, kind=kind)
        if self._shadow:
            self._counts["shadow_hit"] += 1
            return entry
        result: CacheResult = "stale" if self._memory.is_stale(entry) else "hit"
        self._counts[result] += 1
        self._counts["semantic"] += kind == "semantic"
        self._counts["shared"] += tier != "memory"
        age = self._clock.real(self._clock.now() - entry.stored_at)
        lookup.result(result, age=age, saved_seconds=entry.load_seconds, saved_tokens=entry.tokens)
        return entry

    def _count(self, lookup: CacheLookup, result: CacheResult) -> None:
        self._counts[result] += 1
        lookup.result(result)

    def _size(self, value: T) -> int:
        return len(self._codec.encode(value))

    def _making(
        self, key: str, load: Callable[[], Awaitable[T]], tokens_of: Callable[[T], int] | None
    ) -> Callable[[], Awaitable[Entry[T]]]:
        """Return what makes the entry of `key` and keeps it."""

        async def make() -> Entry[T]:
            began = self._clock.now()
            value = await load()
            tokens = tokens_of(value) if tokens_of is not None else None
            now = self._clock.now()
            return Entry(value, now, self._clock.real(now - began), tokens)

        async def make_and_keep() -> Entry[T]:
            epoch = self._memory.epoch(key)
            if self._shared is None or self._shadow:
                made = await make()
            else:
                made = await self._shared.made_once(key, make)
            if self._memory.epoch(key) == epoch:
                self._memory.put(key, made)
            elif self._shared is not None:
                await self._shared.forget(key)  # it was invalidated while it was made
            return made

        return make_and_keep

    async def precompute(
        self, wanted: Iterable[tuple[Mapping[str, Any], Callable[[], Awaitable[T]]]], *, at_once: int = 8
    ) -> int:
        """Make the values that are not here yet, and return how many that were.

        Args:
            wanted: inputs, and what makes their value.
            at_once: most values that are made at the same time.

        Raises:
            ExceptionGroup: some could not be made; the others were.
        """
        return await self._flights.fill(
            [(key_of(inputs), self._making(key_of(inputs), load, None)) for inputs, load in wanted],
            self._is_here, at_once,
        )  # fmt: skip

    async def _is_here(self, key: str) -> bool:
        if self._memory.get(key) is not None:
            return True
        entry = await self._shared.get(key) if self._shared is not None else None
        if entry is not None:
            self._memory.put(key, entry)
        return entry is not None

    async def invalidate(self, inputs: Mapping[str, Any]) -> bool:
        """Forget the value for `inputs` in every tier; one that is being made is handed out and not kept.

        Returns whether every tier did; `False` where the store is away, which then goes on holding it for its time.
        """
        key = key_of(inputs)
        self._memory.forget(key)
        if self._semantic is not None:
            self._semantic.forget(key)
        return self._shared is None or await self._shared.forget(key)

    async def clear(self) -> bool:
        """Forget all values of this cache in every tier; returns whether every tier did."""
        self._memory.clear()
        if self._semantic is not None:
            self._semantic.clear()
        return self._shared is None or await self._shared.clear()

    async def settle(self) -> None:
        """Wait until what is made in the background is made."""
        await self._flights.settle()

    async def close(self) -> None:
        """Cancel what is made in the background and wait for its end."""
        await self._flights.close()
