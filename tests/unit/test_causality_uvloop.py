"""The same causes on uvloop; what its callbacks hide is unknown there, never guessed."""

from __future__ import annotations

import asyncio
import importlib
from typing import TYPE_CHECKING, Any

import pytest
from support.causes import plain

from spanwise.causality import observed

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

uvloop: Any = importlib.import_module("uvloop")


async def short() -> None:
    await asyncio.sleep(0.001)


async def long() -> None:
    await asyncio.sleep(0.01)


async def groups() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(long())
        group.create_task(short())
    await asyncio.gather(short(), long())
    for one in asyncio.as_completed([long(), short()]):
        await one
    await asyncio.shield(short())


async def waits() -> None:
    tasks = [asyncio.create_task(long()), asyncio.create_task(short())]
    _, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.wait(pending, timeout=0.001)
    await asyncio.wait(pending)
    try:
        async with asyncio.timeout(0.001):
            await asyncio.Event().wait()
    except TimeoutError:
        pass


async def hands_over() -> None:
    lock, queue = asyncio.Lock(), asyncio.Queue[int]()

    async def other() -> None:
        async with lock:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.001)
        queue.put_nowait(1)

    task = asyncio.create_task(other())
    await asyncio.sleep(0)
    async with lock:
        pass
    await queue.get()
    await task
    loop = asyncio.get_running_loop()
    told = loop.create_future()
    loop.call_later(0.001, told.set_result, None)
    await told


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        (
            groups,
            [
                ("task", "TaskGroup", "long"),
                ("task", "gather", "long"),
                ("task", "as_completed", "short"),
                ("task", "as_completed", "long"),
                ("task", "shield", "short"),
            ],
        ),
        (
            waits,
            [
                ("task", "wait", "short"),
                ("timer", "timeout", None),
                ("task", "wait", "long"),
                ("timer", "timeout", None),
            ],
        ),
        (
            hands_over,
            [
                ("timer", "sleep", None),
                ("lock", "Lock", "other"),
                ("queue", "Queue", "other"),
                ("unknown", "unknown", None),
            ],
        ),
    ],
)
def test_what_ended_each_wait_on_uvloop(
    program: Callable[[], Coroutine[Any, Any, None]], expected: list[tuple[str, str, str | None]]
) -> None:
    before = dict(vars(uvloop.Loop))
    with observed() as edges, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(program())
        found = [plain(edge)[1:] for edge in edges if edge.waiter.__name__ == program.__name__]
    assert found == expected
    assert dict(vars(uvloop.Loop)) == before
