"""Named pools for blocking functions: threads, and processes; the time that a call waits for a worker is recorded.

asyncio's own executor hides its queue: a call that waits for a free thread looks like a slow call. Here the wait is one
of kind `executor` of the caller, with a link to the call whose end made a worker free.
"""

from __future__ import annotations

import asyncio
import contextvars
import pickle
import struct
import sys
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Final, ParamSpec, Protocol, TypeVar

from opentelemetry import trace

import spanwise
from spanwise.testing.virtual_clock import VirtualLoop
from spanwise_pipeline.clock import Clock, remember_loop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from opentelemetry.trace import SpanContext

P = ParamSpec("P")
R = TypeVar("R")
_LENGTH: Final = struct.Struct("!Q")


@dataclass(frozen=True, slots=True)
class PoolStatistics:
    """A reading of a pool."""

    name: str
    workers: int
    busy: int
    waiting: int
    peak_busy: int
    calls: int
    """Calls that got a worker since the pool was made."""
    waits: int
    """How many of them had to wait for it."""


class PoolClosedError(RuntimeError):
    """A pool was used after it was closed."""


class WorkerError(RuntimeError):
    """A worker process ended before it gave a result; the message has its exit code."""


class Pool(Protocol):
    """What runs blocking functions."""

    async def run(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a blocking function and return its result."""
        ...

    def statistics(self) -> PoolStatistics:
        """Return how the pool stands."""
        ...

    async def close(self) -> None:
        """Wait for what runs and end the workers."""
        ...


class _Workers:
    """The places of a pool: first come, first served."""

    def __init__(self, name: str, count: int) -> None:
        if count < 1:
            raise ValueError(f"pool {name!r} needs at least 1 worker, this is {count}")
        self.name = name
        self._count = count
        self._busy = self._peak = self._calls = self._waits = 0
        self._waiting: deque[asyncio.Future[SpanContext]] = deque()
        self._idle = asyncio.Event()
        self._idle.set()
        self.closed = False

    def __repr__(self) -> str:
        waiting = f" with {len(self._waiting)} waiting" if self._waiting else ""
        return f"{self.name}: {self._busy}/{self._count} busy{waiting}"

    def statistics(self) -> PoolStatistics:
        return PoolStatistics(
            self.name, self._count, self._busy, len(self._waiting), self._peak, self._calls, self._waits
        )

    async def acquire(self) -> None:
        if self.closed:
            raise PoolClosedError(f"pool {self.name!r} is closed; run what needs it before the run ends")
        if self._busy < self._count:
            self._busy += 1
            self._idle.clear()
        else:
            await self._wait()
        self._calls += 1
        self._peak = max(self._peak, self._busy)

    async def _wait(self) -> None:
        place: asyncio.Future[SpanContext] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        self._waits += 1
        with spanwise.waiting("executor", self.name) as wait:
            try:
                wait.released_by = await place
            except asyncio.CancelledError:
                if place in self._waiting:
                    self._waiting.remove(place)
                elif not place.cancelled():
                    self.release(place.result())  # the worker had been handed over in the same turn of the loop
                raise

    def release(self, releaser: SpanContext) -> None:
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(releaser)  # the worker passes on; `busy` stays
                return
        self._busy -= 1
        if not self._busy:
            self._idle.set()

    async def idle(self) -> None:
        await self._idle.wait()


class ThreadPool:
    """Worker threads for blocking functions.

    A function that is cancelled runs to its end, because a thread cannot be stopped; its worker counts as busy until
    then, and only its result is dropped.

    Args:
        name: shown in waits, statistics and the threads' names.
        workers: how many functions run at once.
    """

    def __init__(self, name: str, workers: int) -> None:
        self._workers = _Workers(name, workers)
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix=name)

    def __repr__(self) -> str:
        return f"<ThreadPool {self._workers!r}>"

    def statistics(self) -> PoolStatistics:
        """Return how the pool stands."""
        return self._workers.statistics()

    async def run(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a blocking function in a thread, with the caller's context, and return its result.

        Raises:
            PoolClosedError: the pool is closed.
        """
        await self._workers.acquire()
        releaser = trace.get_current_span().get_span_context()
        remember_loop()
        context = contextvars.copy_context()
        future = asyncio.get_running_loop().run_in_executor(
            self._executor, lambda: context.run(function, *args, **kwargs)
        )

        def done(ended: asyncio.Future[R]) -> None:
            self._workers.release(releaser)
            if not ended.cancelled():
                ended.exception()  # looked at, so that nothing is said of it where the caller is gone

        future.add_done_callback(done)
        return await asyncio.shield(future)

    async def close(self) -> None:
        """Wait until no function runs, and end the threads; later calls of `run` are refused."""
        self._workers.closed = True
        await self._workers.idle()
        self._executor.shutdown()


class ProcessPool:
    """Worker processes for functions that are busy in Python, or that must not share this process's memory.

    The function, its arguments and its result are pickled, so it must be one that a module defines. A call that is
    cancelled ends its process.

    Args:
        name: shown in waits and statistics.
        workers: how many functions run at once.
        clock: system time.
        reuse: keep a process for the next call; otherwise each call gets a new one.
        start_seconds: system seconds that starting a process takes at least; a real start counts towards it.

    On a virtual clock the function runs in a thread of this process, because a process's time cannot be virtual: it is
    pickled all the same, and a start lasts exactly `start_seconds`.
    """

    def __init__(
        self, name: str, workers: int, *, clock: Clock | None = None, reuse: bool = True, start_seconds: float = 0.0
    ) -> None:
        self._workers = _Workers(name, workers)
        self._clock = clock or Clock()
        self._reuse = reuse
        self._start_seconds = start_seconds
        self._idle: list[_Worker] = []
        self._prepared: list[_Worker] = []
        """Started ahead of their first call, which pays for the simulated start alone."""
        self._threads: ThreadPoolExecutor | None = None
        self._started_virtually = 0

    def __repr__(self) -> str:
        return f"<ProcessPool {self._workers!r}>"

    def statistics(self) -> PoolStatistics:
        """Return how the pool stands."""
        return self._workers.statistics()

    async def prepare(self, modules: Iterable[str] = ()) -> None:
        """Start the first processes now, and import `modules` in them.

        Their first calls then take exactly `start_seconds` for the start, also in system time that runs fast: at speed
        20 a real start of 0.2 s would be one of 4 s. On a virtual clock this does nothing.
        """
        if isinstance(asyncio.get_running_loop(), VirtualLoop):
            return
        starting = [self._prepared_worker(tuple(modules)) for _ in range(self._workers.statistics().workers)]
        self._prepared += await asyncio.gather(*starting)

    @staticmethod
    async def _prepared_worker(modules: tuple[str, ...]) -> _Worker:
        worker = await _Worker.start()
        try:
            await worker.ask(_pickled((import_modules, (modules,), dict[str, object]())))
        except BaseException:
            await worker.end(kill=True)
            raise
        return worker

    async def run(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a function in a process and return its result; what it raises is raised here.

        Raises:
            PoolClosedError: the pool is closed.
            WorkerError: the process ended without a result.
            TypeError: the function, an argument or the result cannot be pickled.
        """
        await self._workers.acquire()
        releaser = trace.get_current_span().get_span_context()
        try:
            call = _pickled((function, args, kwargs))
            if isinstance(asyncio.get_running_loop(), VirtualLoop):
                answer = await self._in_thread(call)
            else:
                answer = await self._in_process(call)
        finally:
            self._workers.release(releaser)
        good, value = pickle.loads(answer)  # noqa: S301 - written by a process of our own
        if not good:
            raise value
        result: R = value
        return result

    async def _in_thread(self, call: bytes) -> bytes:
        if not self._reuse or self._started_virtually < self._workers.statistics().busy:
            self._started_virtually += 1
            await self._clock.sleep(self._start_seconds)
        if self._threads is None:
            self._threads = ThreadPoolExecutor(
                self._workers.statistics().workers, thread_name_prefix=self._workers.name
            )
        remember_loop()
        context = contextvars.copy_context()
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: context.run(answer_call, call))

    async def _in_process(self, call: bytes) -> bytes:
        worker = self._idle.pop() if self._idle else await self._start()
        try:
            answer = await worker.ask(call)
        except BaseException:
            await worker.end(kill=True)
            raise
        if self._reuse and not self._workers.closed:
            self._idle.append(worker)
        else:
            await worker.end()
        return answer

    async def _start(self) -> _Worker:
        began = self._clock.now()
        worker = self._prepared.pop() if self._prepared else await _Worker.start()
        try:
            await self._clock.sleep(max(0.0, self._start_seconds - (self._clock.now() - began)))
        except BaseException:
            await worker.end(kill=True)
            raise
        return worker

    async def close(self) -> None:
        """Wait until no function runs, and end the processes; later calls of `run` are refused."""
        self._workers.closed = True
        await self._workers.idle()
        for workers in (self._idle, self._prepared):
            while workers:
                await workers.pop().end()
        if self._threads is not None:
            self._threads.shutdown()


def _pickled(call: object) -> bytes:
    try:
        return pickle.dumps(call)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise TypeError(f"a process pool takes functions of modules and plain values: {error}") from None


def import_modules(modules: Iterable[str]) -> None:
    """Import modules, so that a later call need not."""
    for module in modules:
        import_module(module)


def answer_call(call: bytes) -> bytes:
    """Run a pickled call and return its pickled outcome: (True, result) or (False, exception)."""
    function, args, kwargs = pickle.loads(call)  # noqa: S301 - of the process that started this one
    try:
        outcome = (True, function(*args, **kwargs))
    except Exception as error:  # noqa: BLE001 - whatever it raises is raised where the call was made
        outcome = (False, error)
    try:
        return pickle.dumps(outcome)
    except Exception as error:  # noqa: BLE001 - an outcome may hold anything
        return pickle.dumps((False, TypeError(f"{function.__qualname__}: its outcome cannot be pickled: {error}")))


class _Worker:
    """One process that answers calls, one after the other, over its standard input and output."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls) -> _Worker:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "spanwise_pipeline.worker", *sys.path,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        worker = cls(process)
        try:
            await worker._read()
        except BaseException:
            await worker.end(kill=True)
            raise
        return worker

    async def ask(self, call: bytes) -> bytes:
        assert self._process.stdin is not None
        with suppress(ConnectionError):  # its end is told by what it does not answer
            self._process.stdin.write(_LENGTH.pack(len(call)) + call)
            await self._process.stdin.drain()
        return await self._read()

    async def _read(self) -> bytes:
        assert self._process.stdout is not None
        try:
            head = await self._process.stdout.readexactly(_LENGTH.size)
            return await self._process.stdout.readexactly(_LENGTH.unpack(head)[0])
        except asyncio.IncompleteReadError:
            code = await self._process.wait()
            raise WorkerError(f"a worker process ended before it gave a result (exit code {code})") from None

    async def end(self, *, kill: bool = False) -> None:
        if kill:
            with suppress(ProcessLookupError):
                self._process.kill()
        elif self._process.stdin is not None:
            self._process.stdin.close()
        while self._process.returncode is None:
            try:
                await self._process.wait()
            except asyncio.CancelledError:
                if not kill:
                    with suppress(ProcessLookupError):
                        self._process.kill()
                await self._process.wait()
                raise
