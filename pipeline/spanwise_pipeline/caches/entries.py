"""Values in memory: each for its time, the least recently used ones gone first, within a number and a size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from cachetools import TLRUCache

if TYPE_CHECKING:
    from collections.abc import Callable

    from spanwise_pipeline.clock import Clock

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Entry(Generic[T]):
    """A value, and what is known of its making."""

    value: T
    stored_at: float
    """On the cache's clock."""
    load_seconds: float
    """Real seconds that making it took."""
    tokens: int | None
    """Tokens that making it used."""


class Memory(Generic[T]):
    """The tier in this process. A value is fresh for `ttl` system seconds and stale for `stale` more."""

    def __init__(
        self,
        capacity: int,
        *,
        ttl: float,
        stale: float,
        clock: Clock,
        max_bytes: int | None,
        size_of: Callable[[T], int],
    ) -> None:
        self.capacity = capacity
        self._ttl = ttl
        self._clock = clock
        self._bounded = max_bytes is not None
        self._size_of = size_of
        self._entries: TLRUCache[str, Entry[T]] = TLRUCache(
            maxsize=max_bytes if max_bytes is not None else capacity,
            ttu=lambda _key, entry, _now: entry.stored_at + ttl + stale,
            timer=clock.now,
            getsizeof=self._size if self._bounded else None,
        )
        self._epochs: dict[str, int] = {}
        self._cleared = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def bytes(self) -> int:
        """Size of the values, where it is bounded."""
        return int(self._entries.currsize) if self._bounded else 0

    def get(self, key: str) -> Entry[T] | None:
        """Return the entry of `key`, fresh or stale."""
        return self._entries.get(key)

    def is_stale(self, entry: Entry[T]) -> bool:
        """Return whether the entry's time is over."""
        return self._clock.now() - entry.stored_at >= self._ttl

    def put(self, key: str, entry: Entry[T]) -> None:
        """Keep an entry, unless it alone is larger than all that may be kept."""
        try:
            self._entries[key] = entry
        except ValueError:  # too large
            self._entries.pop(key, None)
        while len(self._entries) > self.capacity:
            self._entries.popitem()

    def _size(self, entry: Entry[T]) -> int:
        return self._size_of(entry.value)

    def epoch(self, key: str) -> tuple[int, int]:
        """Return what changes when `key` is forgotten on purpose."""
        return self._cleared, self._epochs.get(key, 0)

    def forget(self, key: str) -> None:
        """Forget an entry, and let nobody keep one that is being made."""
        self._epochs[key] = self._epochs.get(key, 0) + 1
        self._entries.pop(key, None)

    def clear(self) -> None:
        """Forget all entries."""
        self._cleared += 1
        self._epochs.clear()
        self._entries.clear()
