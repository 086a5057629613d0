"""The tier that processes share: a store below memory that may be slow or away without anybody failing for it.

A value is made by one process at a time: its maker holds a lease, which it renews while it works, and the others look
for the value until it is there. A maker that fell silent loses its lease, and the next one makes the value.
"""

from __future__ import annotations

import asyncio
import json
import warnings
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final, Generic, TypeVar

import spanwise
from spanwise_pipeline.caches.entries import Entry

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from spanwise_pipeline.caches.codecs import Codec
    from spanwise_pipeline.caches.stores import Store
    from spanwise_pipeline.clock import Clock

T = TypeVar("T")
V = TypeVar("V")
_FIRST_LOOK_S: Final = 0.01
_LONGEST_LOOK_S: Final = 0.2
_BUSY: Final = 1.5
"""A time limit that is noticed so much later says that the event loop was busy."""
_REST_S: Final = 1.0
"""Real seconds that a store which failed is left alone."""


class SharedTier(Generic[T]):
    """Entries of one cache in a `Store`."""

    def __init__(
        self, name: str, store: Store, codec: Codec[T], *, clock: Clock, keep: float, patience: float, lease: float
    ) -> None:
        self.tier = store.name
        self.errors = 0
        self._name = name
        self._store = store
        self._codec = codec
        self._clock = clock
        self._kept_for = clock.real(keep)
        self._patience = patience
        self._lease = clock.real(lease)
        self._away_until = float("-inf")

    async def get(self, key: str) -> Entry[T] | None:
        """Return what is stored, `None` where nothing is or the store cannot say."""
        data = await self._tried(lambda: self._store.get(self._key(key)), None)
        if data is None:
            return None
        try:
            head, _, body = data.partition(b"\n")
            told = json.loads(head)
            age = max(0.0, self._store.now() - told["stored_at"]) * self._clock.speed
            return Entry(self._codec.decode(body), self._clock.now() - age, told["load_seconds"], told["tokens"])
        except (ValueError, KeyError, TypeError):  # of another version or program: as if it were not there
            self.errors += 1
            return None

    async def put(self, key: str, entry: Entry[T]) -> None:
        """Store an entry that was made just now."""
        try:
            body = self._codec.encode(entry.value)
        except (TypeError, ValueError) as error:
            self.errors += 1
            warnings.warn(
                f"cache {self._name!r} cannot share a value: {error}; give it a codec that takes such values",
                RuntimeWarning, stacklevel=2,
            )  # fmt: skip
            return
        told = {"stored_at": self._store.now(), "load_seconds": entry.load_seconds, "tokens": entry.tokens}
        data = json.dumps(told).encode() + b"\n" + body
        await self._tried(lambda: self._store.set(self._key(key), data, self._kept_for), None)

    async def forget(self, key: str) -> bool:
        """Forget an entry; returns whether the store did."""
        return await self._done(self._store.delete(self._key(key)))

    async def clear(self) -> bool:
        """Forget all entries of this cache; returns whether the store did."""
        return await self._done(self._store.clear(f"{self._name}:"))

    async def _done(self, operation: Awaitable[None]) -> bool:
        """Wait for what must not be left out, for as long as the store itself allows."""
        try:
            await operation
        except Exception:  # noqa: BLE001 - the caller is told
            self.errors += 1
            return False
        return True

    async def made_once(self, key: str, make: Callable[[], Awaitable[Entry[T]]]) -> Entry[T]:
        """Return the entry of `key`, made here unless another process makes it; it is stored by then."""
        look = _FIRST_LOOK_S
        unknown: str | None = ""
        while True:
            token = await self._tried(lambda: self._store.lease(self._lease_key(key), self._lease), unknown)
            if token is not None:
                async with self._holding(key, token):
                    made = await make()
                    await self.put(key, made)
                    return made
            with spanwise.waiting("lock", self._name):
                await asyncio.sleep(look)
            look = min(look * 1.5, _LONGEST_LOOK_S)
            entry = await self.get(key)
            if entry is not None:
                return entry

    @asynccontextmanager
    async def _holding(self, key: str, token: str) -> AsyncGenerator[None]:
        """Keep a lease for the block. An empty token stands for a store that cannot say: then all make their own."""
        if not token:
            yield
            return
        renewing = asyncio.create_task(self._renew(key, token), name=f"lease of cache {self._name}")
        try:
            yield
        finally:
            renewing.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.wait([renewing])
            await self._tried(lambda: self._store.release(self._lease_key(key), token), None)

    async def _renew(self, key: str, token: str) -> None:
        while True:
            await asyncio.sleep(self._lease / 3)
            await self._tried(lambda: self._store.renew(self._lease_key(key), token, self._lease), default=False)

    async def _tried(self, operation: Callable[[], Awaitable[V]], default: V) -> V:
        """Return what the store says, or `default` where it fails, takes too long, or did so a moment ago."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        if began < self._away_until:
            return default
        try:
            async with asyncio.timeout(self._patience):
                return await operation()
        except Exception:  # noqa: BLE001 - whatever a store fails with, memory and the source answer
            self.errors += 1
            if loop.time() - began < self._patience * _BUSY:
                self._away_until = loop.time() + _REST_S
            return default  # where the loop itself was busy for that long, the store is not to blame

    def _key(self, key: str) -> str:
        return f"{self._name}:{key}"

    def _lease_key(self, key: str) -> str:
        return f"{self._name}:{key}:lease"
