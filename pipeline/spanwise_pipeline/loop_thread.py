"""Async agents from a program that is not async: one event loop in a thread of its own, for as long as it is open.

    with EventLoopThread() as loop:
        desk = loop.run(open_desk)          # makes clients and caches, on the loop
        for ticker in tickers:
            print(loop.run(desk.decide, ticker))

`asyncio.run` for each call makes a new loop each time, and with it loses every pooled connection, cache and limit. Here
they live on, because all calls run on the same loop.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from types import TracebackType

R = TypeVar("R")
_PATIENCE: Final = 0.2
"""Seconds after which a waiting thread looks whether it was interrupted."""


class EventLoopThread:
    """An event loop in a thread; `run` may be called from any other thread, from several at once too."""

    def __init__(self, name: str = "spanwise event loop") -> None:
        self._runner = asyncio.Runner()
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._ready = threading.Event()

    def __enter__(self) -> Self:
        """Start the loop."""
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        """Cancel what still runs on the loop, and end it."""
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop = None

    def run(self, function: Callable[..., Coroutine[Any, Any, R]], /, *args: Any, **kwargs: Any) -> R:
        """Call a coroutine function on the loop, with the caller's context, and return its result.

        An exception in the caller's thread while it waits (Ctrl-C) cancels the call and is raised once that has ended.

        Raises:
            RuntimeError: outside of the `with` block, or on the loop's own thread, where waiting would never end.
        """
        loop = self._loop
        if loop is None:
            raise RuntimeError("the event loop is not open; use it inside its 'with' block")
        if threading.current_thread() is self._thread:
            raise RuntimeError("run was called on the event loop's own thread; await the coroutine there")
        coroutine = function(*args, **kwargs)
        outcome: concurrent.futures.Future[R] = concurrent.futures.Future()
        tasks: list[asyncio.Task[R]] = []

        def start() -> None:
            tasks.append(loop.create_task(coroutine))
            tasks[0].add_done_callback(lambda task: _copy(task, outcome))

        def cancel() -> None:
            tasks[0].cancel()

        loop.call_soon_threadsafe(start)  # which runs in the context of this call
        try:
            while not outcome.done():  # Ctrl-C right before a wait begins does not end that wait
                with suppress(TimeoutError):
                    return outcome.result(_PATIENCE)
            return outcome.result()
        except BaseException:
            if not outcome.done():
                loop.call_soon_threadsafe(cancel)
                concurrent.futures.wait([outcome])
            raise

    def _serve(self) -> None:
        async def serve() -> None:
            self._stop = asyncio.Event()
            self._loop = asyncio.get_running_loop()
            self._ready.set()
            await self._stop.wait()

        with self._runner:
            self._runner.run(serve())


def _copy(task: asyncio.Task[R], outcome: concurrent.futures.Future[R]) -> None:
    if task.cancelled():
        outcome.set_exception(asyncio.CancelledError())
    elif (error := task.exception()) is not None:
        outcome.set_exception(error)
    else:
        outcome.set_result(task.result())
