"""What a run needs besides its model: declared by the system, made cold for each run, closed when the run has ended.

    def needs(flags):
        return (Folder(), Threads("tools", flags.pool_size), SharedStore("fund"))

    System(..., needs=needs)

The system asks its context for them by name. Each need has a real form, for runs, and a virtual one, for bounds: there
threads and processes run on the virtual clock, the store is memory, and limits hold nothing up. A folder is a real one
in both, and working in it takes no virtual time.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import uuid
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self, TypeVar, cast

from spanwise.errors import nearest
from spanwise_pipeline.caches.stores import LocalStore
from spanwise_pipeline.limits.concurrency import ConcurrencyLimit
from spanwise_pipeline.limits.model import ModelLimits
from spanwise_pipeline.limits.rates import RateLimit
from spanwise_pipeline.limits.reserving import Reserve
from spanwise_pipeline.made_data import made_folder
from spanwise_pipeline.pools import ProcessPool, ThreadPool
from spanwise_pipeline.scheduling.background import Background

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping
    from types import TracebackType

    from spanwise_pipeline.caches.stores import Store
    from spanwise_pipeline.clock import Clock
    from spanwise_pipeline.pools import Pool

T = TypeVar("T")
_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9._=-]+")


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of this run alone, empty at first: `context.folder`."""


@dataclass(frozen=True, slots=True)
class Data:
    """A folder of data that is made once, before any run's clock starts, and kept: `context.data(name)`.

    Its content belongs to its name: give data of another version or size another one.
    """

    name: str
    make: Callable[[Path], None]
    """Fills an empty folder; whenever it is called, with the same bytes."""


@dataclass(frozen=True, slots=True)
class Threads:
    """A pool of worker threads for blocking functions: `context.pool(name)`."""

    name: str
    workers: int


@dataclass(frozen=True, slots=True)
class Processes:
    """A pool of worker processes: `context.pool(name)`. The fields but the last are the arguments of `ProcessPool`."""

    name: str
    workers: int
    reuse: bool = True
    start_seconds: float = 0.0
    modules: tuple[str, ...] = ()
    """Imported in the first processes, which are then started before the run: only `start_seconds` count in it."""


@dataclass(frozen=True, slots=True)
class SharedStore:
    """A store below caches, empty at first: `context.store(name)`.

    It is in Redis, under a prefix of this run, where the run was given an address; else there is none, and a cache
    without a store keeps its values in memory.
    """

    name: str


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a model, for `ModelClient`: `context.limits(name)`."""

    name: str
    concurrency: int | None = None
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    margin: float = 0.9
    reserve: Reserve = field(default_factory=Reserve)


Need = Folder | Data | Threads | Processes | SharedStore | Limits


class UndeclaredError(LookupError):
    """A system asked for what it had not declared in its needs."""


class Resources:
    """The resources of one run; entering makes them, leaving closes them, the newest first.

    Args:
        system: named in errors.
        needs: what the system declared.
        clock: system time.
        redis: address of the Redis for shared stores; `None` where there is none.
        keep: folder below which the run's folder stays; `None` removes it.
        label: what the name of a folder that stays says about the run.
        virtual: make the virtual forms.

    Raises:
        ValueError: two needs of the same kind have the same name.
    """

    def __init__(
        self,
        system: str,
        needs: Iterable[Need] = (),
        *,
        clock: Clock,
        redis: str | None = None,
        keep: Path | None = None,
        label: str = "run",
        virtual: bool = False,
    ) -> None:
        self._system = system
        self._needs = tuple(needs)
        self._clock = clock
        self._redis = redis
        self._keep = keep
        self._label = label
        self._virtual = virtual
        self._closing = AsyncExitStack()
        self._folders: dict[str, Path] = {}
        self._data: dict[str, Path] = {}
        self._pools: dict[str, Pool] = {}
        self._stores: dict[str, Store | None] = {}
        self._limits: dict[str, ModelLimits] = {}
        self.background = Background()
        """For background steps of flows; whoever runs the system drains it when the answer is there."""

    @property
    def folder(self) -> Path:
        """The folder of this run."""
        return self._declared("folder", self._folders, "", "Folder()")

    def data(self, name: str) -> Path:
        """Return the folder of made data by its name; raises `UndeclaredError`."""
        return self._declared("data", self._data, name, f'Data("{name}", ...)')

    def pool(self, name: str) -> Pool:
        """Return a pool by its name; raises `UndeclaredError`."""
        return self._declared("pool", self._pools, name, f'Threads("{name}", ...)')

    def store(self, name: str) -> Store | None:
        """Return the store for a cache, `None` for memory alone; raises `UndeclaredError`."""
        return self._declared("store", self._stores, name, f'SharedStore("{name}")')

    def limits(self, name: str) -> ModelLimits:
        """Return limits by their name; raises `UndeclaredError`."""
        return self._declared("limits", self._limits, name, f'Limits("{name}", ...)')

    def _declared(self, kind: str, made: Mapping[str, T], name: str, example: str) -> T:
        if name in made:
            return made[name]
        asked = f"the {kind} {name!r}" if name else f"a {kind}"
        known = f"; {nearest(name, made)}" if made else ""
        raise UndeclaredError(
            f"system {self._system!r} asks for {asked}, which its needs do not declare{known}; add {example} to them"
        )

    def on_close(self, close: Callable[[], Awaitable[None]]) -> None:
        """Have `close` called when the run has ended, before the resources are closed that were there already."""
        self._closing.push_async_callback(close)

    async def __aenter__(self) -> Self:
        """Make all that was declared."""
        try:
            for need in self._needs:
                self._make(need)
                if isinstance(need, Processes) and need.modules:
                    await cast("ProcessPool", self._pools[need.name]).prepare(need.modules)
        except BaseException:
            await self._closing.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all of them, also where closing one fails."""
        await self._closing.__aexit__(kind, error, trace)

    def _make(self, need: Need) -> None:
        match need:
            case Folder():
                self._add(self._folders, "", self._new_folder())
            case Data():
                self._add(self._data, need.name, made_folder(self._system, need.name, need.make))
            case Threads():
                self._add_pool(need.name, ThreadPool(need.name, need.workers))
            case Processes():
                pool = ProcessPool(
                    need.name, need.workers, clock=self._clock, reuse=need.reuse, start_seconds=need.start_seconds
                )
                self._add_pool(need.name, pool)
            case SharedStore():
                self._add(self._stores, need.name, self._new_store(need.name))
            case Limits():
                self._add(self._limits, need.name, ModelLimits() if self._virtual else self._new_limits(need))

    def _add(self, made: dict[str, T], name: str, resource: T) -> None:
        if name in made:
            raise ValueError(f"system {self._system!r} declares {name or 'a folder'!r} twice; give each its own name")
        made[name] = resource

    def _add_pool(self, name: str, pool: Pool) -> None:
        self._closing.push_async_callback(pool.close)
        self._add(self._pools, name, pool)

    def _new_folder(self) -> Path:
        if self._keep is not None:
            self._keep.mkdir(parents=True, exist_ok=True)
        prefix = _NOT_IN_NAMES.sub("-", f"{self._system}-{self._label}-")
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=self._keep))
        if self._keep is None:
            self._closing.callback(shutil.rmtree, folder)
        return folder

    def _new_store(self, name: str) -> Store | None:
        if self._virtual:
            return LocalStore(self._clock, latency=0.0)
        if self._redis is None:
            return None
        from spanwise_pipeline.caches.redis_store import RedisStore  # noqa: PLC0415 - an extra

        store = RedisStore(self._redis, prefix=f"spanwise:run:{uuid.uuid4().hex}:{name}:")
        self._closing.push_async_callback(_emptied, store)
        return store

    def _new_limits(self, need: Limits) -> ModelLimits:
        rate = None
        if need.requests_per_minute is not None or need.tokens_per_minute is not None:
            rate = RateLimit(
                need.name,
                clock=self._clock,
                requests_per_minute=need.requests_per_minute,
                tokens_per_minute=need.tokens_per_minute,
                margin=need.margin,
            )
        concurrency = ConcurrencyLimit(need.name, need.concurrency) if need.concurrency is not None else None
        return ModelLimits(rate=rate, concurrency=concurrency, reserve=need.reserve)


async def _emptied(store: Store) -> None:
    """Remove a run's keys and close the connections; where Redis is away, the keys end by their time to live."""
    from redis.exceptions import RedisError  # noqa: PLC0415 - an extra

    try:
        with suppress(RedisError, OSError):
            await store.clear("")
    finally:
        await store.close()
