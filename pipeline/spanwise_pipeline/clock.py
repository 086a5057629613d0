"""The one clock of a pipeline: every configured duration is in system seconds and slept through it.

A system may run N times faster than it would (`speed`); spans keep real time, so nothing else may divide by speed.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from spanwise.testing.virtual_clock import VirtualLoop, sleep_in_thread

if TYPE_CHECKING:
    from collections.abc import Generator

_loop: Final[contextvars.ContextVar[asyncio.AbstractEventLoop | None]] = contextvars.ContextVar(
    "spanwise_pipeline_loop", default=None
)


def remember_loop() -> None:
    """Let `Clock.sleep_in_thread` find the running loop from the threads that this context is copied to."""
    _loop.set(asyncio.get_running_loop())


class Clock:
    """System time: real time times `speed`."""

    def __init__(self, speed: float = 1.0) -> None:
        if speed <= 0:
            raise ValueError(f"speed must be above 0, this is {speed}")
        self.speed = speed

    def now(self) -> float:
        """Return a monotonic time in system seconds; inside a running loop, that loop's."""
        try:
            real = asyncio.get_running_loop().time()
        except RuntimeError:
            real = time.monotonic()
        return real * self.speed

    def real(self, seconds: float) -> float:
        """Return how many real seconds `seconds` of the system take."""
        return seconds / self.speed

    async def sleep(self, seconds: float) -> None:
        """Sleep `seconds` of system time."""
        await asyncio.sleep(seconds / self.speed)

    def sleep_in_thread(self, seconds: float) -> None:
        """Block a worker thread for `seconds` of system time; never call it on an event loop's thread."""
        loop = _loop.get()
        if isinstance(loop, VirtualLoop):
            if _runs_a_loop():
                raise RuntimeError("sleep_in_thread was called on the event loop's thread; run the function in a pool")
            sleep_in_thread(loop, seconds / self.speed)
        else:
            time.sleep(seconds / self.speed)

    @contextmanager
    def at_least_in_thread(self, seconds: float) -> Generator[None]:
        """Let the block take `seconds` of system time on a worker thread, or as long as its own work takes.

        On a virtual clock own work takes no time, so that the block takes exactly `seconds`.
        """
        began = time.monotonic()
        yield
        worked = 0.0 if isinstance(_loop.get(), VirtualLoop) else (time.monotonic() - began) * self.speed
        self.sleep_in_thread(max(0.0, seconds - worked))


def _runs_a_loop() -> bool:
    """Return whether this thread runs an event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
