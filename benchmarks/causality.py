"""What causality adds to a step of an asyncio task, beside the plain loop in the same run.

Run from the repository's folder, on a quiet machine, three times:

    .venv/bin/python benchmarks/causality.py

A step is one resumption of a task to its next suspension. `yield` gives the loop back and goes on, `future` awaits one
that another task resolves, `callback` one that the loop resolves (`call_soon`), `queue` passes items through an
asyncio.Queue of one place, `task` makes a task and awaits it. Rounds without, with causality but outside of any span,
and inside a recorded span are interleaved; each figure is CPU time of the thread, the median over the
rounds. Trust the differences and ratios within a run.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time
from typing import TYPE_CHECKING

import spanwise
from spanwise import causality
from spanwise.testing import capture

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

STEPS = 4_000
ROUNDS = 15
MODES = ("off", "on", "in a span")


async def yields() -> int:
    """Give the loop back."""
    for _ in range(STEPS):
        await asyncio.sleep(0)
    return STEPS


async def futures() -> int:
    """Two tasks that wake one another through futures."""
    loop = asyncio.get_running_loop()
    slots = [loop.create_future()]

    async def wake() -> None:
        for _ in range(STEPS // 2):
            while slots[0].done():  # noqa: ASYNC110 - a step is what is measured
                await asyncio.sleep(0)
            slots[0].set_result(None)

    waker = asyncio.create_task(wake())
    for _ in range(STEPS // 2):
        await slots[0]
        slots[0] = loop.create_future()
    await waker
    return STEPS


async def callbacks() -> int:
    """A task that waits until the loop calls back."""
    loop = asyncio.get_running_loop()
    for _ in range(STEPS):
        future = loop.create_future()
        loop.call_soon(future.set_result, None)
        await future
    return STEPS


async def queues() -> int:
    """A producer and a consumer that wait for one another."""
    queue: asyncio.Queue[int] = asyncio.Queue(1)

    async def produce() -> None:
        for item in range(STEPS // 2):
            await queue.put(item)

    producer = asyncio.create_task(produce())
    for _ in range(STEPS // 2):
        await queue.get()
    await producer
    return STEPS


async def tasks() -> int:
    """A task that awaits one after another; each is two steps."""

    async def nothing() -> None:
        pass

    for _ in range(STEPS // 2):
        await asyncio.create_task(nothing())
    return STEPS


def microseconds(program: Callable[[], Coroutine[Any, Any, int]], mode: str) -> float:
    """Return CPU microseconds a step."""

    async def timed() -> float:
        with spanwise.step("measured") if mode == "in a span" else contextlib.nullcontext():
            began = time.thread_time_ns()
            steps = await program()
            return (time.thread_time_ns() - began) / steps / 1000

    if mode != "off":
        causality.start("on")
    try:
        return asyncio.run(timed())
    finally:
        causality.stop()


def main() -> None:
    """Print the table."""
    print(f"{'step':8} {'plain':>8} {'on':>8} {'in a span':>10} {'added':>8} {'ratio':>6}   (us a step)")
    programs = {"yield": yields, "future": futures, "callback": callbacks, "queue": queues, "task": tasks}
    with capture(wait_threshold=10.0):
        for name, program in programs.items():
            found: dict[str, list[float]] = {mode: [] for mode in MODES}
            for _ in range(ROUNDS):
                for mode in MODES:
                    found[mode].append(microseconds(program, mode))
            off, on, inside = (statistics.median(found[mode]) for mode in MODES)
            print(f"{name:8} {off:8.2f} {on:8.2f} {inside:10.2f} {inside - off:+8.2f} {inside / off:6.2f}")


if __name__ == "__main__":
    main()
