"""What is over before anybody waits for it is no wait, and what variants of the primitives and errors wait for."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest
from support.causes import Found, causes, plain

from spanwise.causality import observed

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    Program = Callable[[], Coroutine[Any, Any, Any]]


async def work(seconds: float = 1.0) -> None:
    await asyncio.sleep(seconds)


async def failing() -> None:
    await asyncio.sleep(1)
    raise OSError("x")


async def done() -> asyncio.Task[None]:
    task = asyncio.create_task(work())
    await asyncio.sleep(2)
    return task


async def awaits_it() -> None:
    await (await done())


async def leaves_a_group() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(work())
        await asyncio.sleep(2)


async def waits_for_all() -> None:
    await asyncio.wait([await done()])


async def waits_with_a_timeout() -> None:
    await asyncio.wait_for(await done(), 5)


async def is_within_its_time() -> None:
    task = await done()
    async with asyncio.timeout(5):
        await task


async def takes_what_is_completed() -> None:
    task = await done()
    for one in asyncio.as_completed([task]):
        await one


async def gathers() -> None:
    await asyncio.gather(await done())


async def shields() -> None:
    await asyncio.shield(await done())


async def comes_last_to_a_barrier() -> None:
    barrier = asyncio.Barrier(2)
    early = asyncio.create_task(barrier.wait())
    await asyncio.sleep(1)
    await barrier.wait()
    assert not early.cancelled()


@pytest.mark.parametrize(
    ("program", "resource"),
    [
        (awaits_it, ""),
        (leaves_a_group, ""),
        (is_within_its_time, ""),
        (shields, ""),
        (comes_last_to_a_barrier, ""),
        (waits_for_all, "wait"),
        (waits_with_a_timeout, "wait_for"),
        (takes_what_is_completed, "as_completed"),
        (gathers, "gather"),
    ],
)
def test_who_comes_after_the_end_has_nothing_else_to_wait_for(program: Program, resource: str) -> None:
    # some of asyncio's functions give the loop back once though all is done: what ended that is what was done
    found = [one for one in causes(program) if one[0] == program.__name__]
    assert found in ([], [(program.__name__, "task", resource, "work")] if resource else [])


def test_an_executors_and_a_threads_result_that_is_there_is_no_wait() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        told = loop.create_future()
        loop.call_soon_threadsafe(told.set_result, None)
        result = loop.run_in_executor(None, str)
        while not (told.done() and result.done()):  # noqa: ASYNC110 - waiting for them is what must not happen
            await asyncio.sleep(0.001)
        assert (await told, await result) == (None, "")

    with observed() as edges:
        asyncio.run(main())
    assert {edge.resource for edge in edges if edge.waiter.__name__ == "main"} == {"sleep"}


def test_what_a_connection_has_sent_already_is_no_wait() -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"x\ny\n")
        await writer.drain()
        writer.close()

    async def ask(reader: asyncio.StreamReader) -> bytes:
        return await reader.readline()

    async def main() -> list[bytes]:
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            lines = [await reader.readline(), await asyncio.create_task(ask(reader))]
            writer.close()
            await writer.wait_closed()
            return lines

    with observed() as edges:
        assert asyncio.run(main()) == [b"x\n", b"y\n"]
    assert [plain(edge) for edge in edges if edge.waiter.__name__ == "ask"] == []


async def takes_a_bounded_semaphore() -> None:
    held = asyncio.BoundedSemaphore(1)

    async def holder() -> None:
        async with held:
            await asyncio.sleep(1)

    task = asyncio.create_task(holder())
    await asyncio.sleep(0.5)
    async with held:
        pass
    await task


async def gets_from(queue: asyncio.Queue[int]) -> None:
    async def putter() -> None:
        await asyncio.sleep(1)
        queue.put_nowait(1)

    task = asyncio.create_task(putter())
    await queue.get()
    await task


async def gets_the_first() -> None:
    await gets_from(asyncio.PriorityQueue())


async def gets_the_last() -> None:
    await gets_from(asyncio.LifoQueue())


async def is_notified() -> None:
    condition = asyncio.Condition()

    async def notifier() -> None:
        await asyncio.sleep(1)
        async with condition:
            condition.notify(1)

    task = asyncio.create_task(notifier())
    async with condition:
        await condition.wait()
    await task


async def meets_a_broken_barrier() -> None:
    barrier = asyncio.Barrier(2)

    async def aborter() -> None:
        await asyncio.sleep(1)
        await barrier.abort()

    task = asyncio.create_task(aborter())
    with pytest.raises(asyncio.BrokenBarrierError):
        await barrier.wait()
    await task


async def gathers_an_error() -> None:
    with pytest.raises(OSError, match="x"):
        await asyncio.gather(failing(), work(3))


async def gathers_an_error_beside_another_end() -> None:
    async def late() -> None:
        await asyncio.sleep(1)  # ends in the same turn of the loop, after the one that failed

    with pytest.raises(OSError, match="x"):
        await asyncio.gather(failing(), late())


async def waits_for_an_error() -> None:
    tasks = [asyncio.create_task(failing()), asyncio.create_task(work(3))]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)


async def nests_groups() -> None:
    async with asyncio.TaskGroup() as outer:
        outer.create_task(work(2))
        async with asyncio.TaskGroup() as inner:
            inner.create_task(quick())


async def quick() -> None:
    await asyncio.sleep(1)


async def is_out_of_time() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout_at(asyncio.get_running_loop().time() + 1):
            await asyncio.get_running_loop().create_future()


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        (takes_a_bounded_semaphore, [("lock", "Semaphore", "holder")]),
        (gets_the_first, [("queue", "Queue", "putter")]),
        (gets_the_last, [("queue", "Queue", "putter")]),
        (is_notified, [("lock", "Condition", "notifier")]),
        (meets_a_broken_barrier, [("lock", "Barrier", "aborter")]),
        (gathers_an_error, [("task", "gather", "failing")]),
        (gathers_an_error_beside_another_end, [("task", "gather", "failing")]),
        (waits_for_an_error, [("task", "wait", "failing")]),
        (nests_groups, [("task", "TaskGroup", "quick"), ("task", "TaskGroup", "work")]),
        (is_out_of_time, [("timer", "timeout", None)]),
    ],
)
def test_what_ends_a_wait_at_a_variant_of_a_primitive(
    program: Program, expected: list[tuple[str, str, str | None]]
) -> None:
    assert [one[1:] for one in causes(program) if one[0] == program.__name__] == expected


def test_threads_with_loops_of_their_own_are_switched_on_and_off_while_they_run() -> None:
    begun, switched = threading.Barrier(3), threading.Barrier(3)

    async def main() -> None:
        await asyncio.sleep(0)
        begun.wait(10)
        switched.wait(10)
        await asyncio.create_task(work(0.001))

    threads = [threading.Thread(target=lambda: asyncio.run(main())) for _ in range(2)]
    for thread in threads:
        thread.start()
    begun.wait(10)
    with observed() as edges:
        switched.wait(10)
        for thread in threads:
            thread.join(10)
    # the tasks that ran before are not driven; what they begin afterwards is
    found: list[Found] = [plain(edge) for edge in edges]
    assert found == [("work", "timer", "sleep", None)] * 2
