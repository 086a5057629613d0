"""An asyncio event loop on a virtual clock: it jumps to the next timer the moment nothing else can run.

A program that takes minutes of waiting then runs in milliseconds, with exactly the durations that it waited for and
none of its own CPU time. Work in threads runs in real time, during which the clock stands still.
"""

from __future__ import annotations

import asyncio
import selectors
import threading
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")


class _VirtualSelector(selectors.DefaultSelector):
    """Never waits for a timer: it moves the clock to it, unless a thread is still at work in real time."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None or self._loop.threads_at_work:
            return super().select(None)
        self._loop.advance(timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose `time()` is virtual; sockets and pipes still work, in no time at all."""

    def __init__(self) -> None:
        self._virtual_time = 0.0
        self.threads_at_work = 0
        super().__init__(_VirtualSelector(self))

    def time(self) -> float:
        """Return the virtual seconds since the loop was made."""
        return self._virtual_time

    def advance(self, seconds: float) -> None:
        """Move the clock forward."""
        self._virtual_time += seconds

    def run_in_executor(  # type: ignore[override]  # the stub's TypeVarTuple cannot be spelled by a subclass
        self, executor: Any, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """Run a function in a thread; the clock stands still until it is done or sleeps on it."""
        self.threads_at_work += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._thread_done)
        return future

    async def shutdown_default_executor(self, *_timeout: Any) -> None:
        """Wait for the worker threads without a time limit: Python 3.12 gives them 300 s, which would pass at once."""
        await super().shutdown_default_executor()

    def _thread_done(self, _: object) -> None:
        self.threads_at_work -= 1


def run_virtual(main: Callable[[], Coroutine[Any, Any, T]]) -> tuple[T, float]:
    """Run a coroutine function on a virtual clock; returns its result and the virtual seconds that it took."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        result = runner.run(main())
        return result, runner.get_loop().time()


def sleep_in_thread(loop: asyncio.AbstractEventLoop, seconds: float) -> None:
    """Sleep `seconds` on `loop`'s clock, in a worker thread that the loop's `run_in_executor` started."""
    done = threading.Event()

    def begin() -> None:
        _count(loop, -1)
        loop.call_later(seconds, end)

    def end() -> None:
        _count(loop, 1)
        done.set()

    loop.call_soon_threadsafe(begin)
    done.wait()


def _count(loop: asyncio.AbstractEventLoop, change: int) -> None:
    if isinstance(loop, VirtualLoop):
        loop.threads_at_work += change
