"""What is below a cache's memory: a store of bytes that processes may share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from spanwise_pipeline.clock import Clock


class Store(Protocol):
    """Bytes by key, each for a time. All seconds are real ones."""

    name: str
    """The tier that a lookup's span names."""

    def now(self) -> float:
        """Return the time that stored entries are dated by, the same in all processes."""
        ...

    async def get(self, key: str) -> bytes | None:
        """Return what is stored, `None` where nothing is."""
        ...

    async def set(self, key: str, data: bytes, seconds: float) -> None:
        """Store for so many seconds."""
        ...

    async def delete(self, key: str) -> None:
        """Forget what is stored."""
        ...

    async def clear(self, prefix: str) -> None:
        """Forget all keys that begin so."""
        ...

    async def lease(self, key: str, seconds: float) -> str | None:
        """Take the sole right to make a value; returns a token, or `None` while another has it."""
        ...

    async def renew(self, key: str, token: str, seconds: float) -> bool:
        """Keep a lease for so many seconds from now; returns whether it was still held."""
        ...

    async def release(self, key: str, token: str) -> None:
        """Give a lease up, unless it has passed to another."""
        ...

    async def close(self) -> None:
        """Close what is open."""
        ...


@dataclass(slots=True)
class _Kept:
    data: bytes
    until: float


class LocalStore:
    """A store in this process, with the latency of a remote one: for tests and for runs on a virtual clock.

    Args:
        clock: dates entries and sleeps the latency.
        latency: system seconds of each operation.
        name: the tier that lookups name.
    """

    def __init__(self, clock: Clock, *, latency: float = 0.0005, name: str = "store") -> None:
        self.name = name
        self._clock = clock
        self._latency = latency
        self._kept: dict[str, _Kept] = {}
        self._leases = 0

    def now(self) -> float:
        """Return real seconds of the clock."""
        return self._clock.real(self._clock.now())

    async def get(self, key: str) -> bytes | None:
        """Return what is stored."""
        await self._clock.sleep(self._latency)
        return self._alive(key)

    async def set(self, key: str, data: bytes, seconds: float) -> None:
        """Store for so many seconds."""
        await self._clock.sleep(self._latency)
        self._kept[key] = _Kept(data, self.now() + seconds)

    async def delete(self, key: str) -> None:
        """Forget what is stored."""
        await self._clock.sleep(self._latency)
        self._kept.pop(key, None)

    async def clear(self, prefix: str) -> None:
        """Forget all keys that begin so."""
        await self._clock.sleep(self._latency)
        for key in [key for key in self._kept if key.startswith(prefix)]:
            del self._kept[key]

    async def lease(self, key: str, seconds: float) -> str | None:
        """Take the sole right to make a value."""
        await self._clock.sleep(self._latency)
        if self._alive(key) is not None:
            return None
        self._leases += 1
        self._kept[key] = _Kept(str(self._leases).encode(), self.now() + seconds)
        return str(self._leases)

    async def renew(self, key: str, token: str, seconds: float) -> bool:
        """Keep a lease."""
        await self._clock.sleep(self._latency)
        if self._alive(key) != token.encode():
            return False
        self._kept[key].until = self.now() + seconds
        return True

    async def release(self, key: str, token: str) -> None:
        """Give a lease up."""
        await self._clock.sleep(self._latency)
        if self._alive(key) == token.encode():
            del self._kept[key]

    async def close(self) -> None:
        """Do nothing."""

    def _alive(self, key: str) -> bytes | None:
        kept = self._kept.get(key)
        return kept.data if kept is not None and kept.until > self.now() else None
