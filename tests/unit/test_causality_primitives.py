"""What ended a wait for each of asyncio's primitives, whoever comes first: the one who waits or the one who resolves.

`a` waits and `b` resolves. Whoever comes second finds nothing to wait for, so that there is no edge.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from support.causes import Found, causes, plain

from spanwise.causality import observed
from spanwise.testing.virtual_clock import run_virtual

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    Side = Callable[[], Coroutine[Any, Any, Any]]


class Event:
    def __init__(self) -> None:
        self.real = asyncio.Event()

    async def wait(self) -> None:
        await self.real.wait()

    async def resolve(self) -> None:
        self.real.set()


class Future:
    def __init__(self) -> None:
        self.real = asyncio.get_running_loop().create_future()

    async def wait(self) -> None:
        await self.real

    async def resolve(self) -> None:
        self.real.set_result(None)


class Failure(Future):
    async def wait(self) -> None:
        with pytest.raises(OSError, match="x"):
            await self.real

    async def resolve(self) -> None:
        self.real.set_exception(OSError("x"))


class Cancellation(Future):
    async def wait(self) -> None:
        with pytest.raises(asyncio.CancelledError):
            await self.real

    async def resolve(self) -> None:
        self.real.cancel()


class Shielded(Future):
    async def wait(self) -> None:
        await asyncio.shield(self.real)


class Gathered(Future):
    async def wait(self) -> None:
        await asyncio.gather(self.real)


class Waited(Future):
    async def wait(self) -> None:
        if not self.real.done():
            await asyncio.wait([self.real])


class Queue:
    def __init__(self) -> None:
        self.real: asyncio.Queue[int] = asyncio.Queue()

    async def wait(self) -> None:
        await self.real.get()

    async def resolve(self) -> None:
        await self.real.put(1)


class FullQueue(Queue):
    def __init__(self) -> None:
        self.real = asyncio.Queue(1)
        self.real.put_nowait(0)

    async def wait(self) -> None:
        await self.real.put(1)

    async def resolve(self) -> None:
        await self.real.get()


class Joined(Queue):
    def __init__(self) -> None:
        self.real = asyncio.Queue()
        self.real.put_nowait(0)

    async def wait(self) -> None:
        await self.real.join()

    async def resolve(self) -> None:
        self.real.task_done()


class Held:
    def __init__(self, real: asyncio.Lock | asyncio.Semaphore | None = None) -> None:
        self.real = asyncio.Lock() if real is None else real
        self.taken = asyncio.ensure_future(self.real.acquire())

    async def wait(self) -> None:
        async with self.real:
            pass

    async def resolve(self) -> None:
        self.real.release()


class Semaphore(Held):
    def __init__(self) -> None:
        super().__init__(asyncio.Semaphore(1))


class Condition:
    def __init__(self) -> None:
        self.real = asyncio.Condition()
        self.ready = False

    async def wait(self) -> None:
        async with self.real:
            await self.real.wait_for(lambda: self.ready)

    async def resolve(self) -> None:
        async with self.real:
            self.ready = True
            self.real.notify_all()


PRIMITIVES: list[tuple[type[Any], str, str]] = [
    (Event, "lock", "Event"),
    (Future, "future", "future"),
    (Failure, "future", "future"),
    (Cancellation, "future", "future"),
    (Shielded, "task", "shield"),
    (Gathered, "task", "gather"),
    (Waited, "task", "wait"),
    (Queue, "queue", "Queue"),
    (FullQueue, "queue", "Queue"),
    (Joined, "queue", "Queue"),
    (Held, "lock", "Lock"),
    (Semaphore, "lock", "Semaphore"),
    (Condition, "lock", "Condition"),
]


def in_order(primitive: type[Any], *, waiter_first: bool) -> Side:
    async def main() -> None:
        using = primitive()

        async def a() -> None:
            await asyncio.sleep(1 if waiter_first else 2)
            await using.wait()

        async def b() -> None:
            await asyncio.sleep(2 if waiter_first else 1)
            await using.resolve()

        async with asyncio.TaskGroup() as group:
            group.create_task(a())
            group.create_task(b())

    return main


@pytest.mark.parametrize(("primitive", "kind", "resource"), PRIMITIVES)
def test_who_waits_first_is_released_by_who_resolves(primitive: type[Any], kind: str, resource: str) -> None:
    found = causes(in_order(primitive, waiter_first=True))
    assert [one for one in found if one[0] == "a"] == [("a", kind, resource, "b")]


@pytest.mark.parametrize(("primitive", "kind", "resource"), PRIMITIVES)
def test_who_comes_after_the_resolver_does_not_wait(primitive: type[Any], kind: str, resource: str) -> None:
    found = [one for one in causes(in_order(primitive, waiter_first=False)) if one[0] == "a"]
    # gather() of what is done still gives the loop back once: what ended that is the same
    assert found in ([], [("a", kind, resource, "b")])
    assert not found or primitive is Gathered


async def short() -> None:
    await asyncio.sleep(1)


async def long() -> None:
    await asyncio.sleep(3)


async def awaits_a_child() -> None:
    await asyncio.create_task(short())


async def awaits_a_done_child() -> None:
    task = asyncio.create_task(short())
    await asyncio.sleep(2)
    await task


async def gathers() -> None:
    await asyncio.gather(long(), short())


async def groups() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(long())
        group.create_task(short())


async def waits_for_the_first() -> None:
    tasks = [asyncio.create_task(long()), asyncio.create_task(short())]
    _, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.wait(pending, timeout=0.5)
    await asyncio.wait(pending)


async def takes_as_completed() -> None:
    for one in asyncio.as_completed([long(), short()]):
        await one


async def times_out() -> None:
    try:
        async with asyncio.timeout(1):
            await asyncio.Event().wait()
    except TimeoutError:
        pass


async def is_cancelled() -> None:
    lock = asyncio.Lock()
    await lock.acquire()

    async def victim() -> None:
        await lock.acquire()

    task = asyncio.create_task(victim())
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.wait([task])


async def fails_in_a_group() -> None:
    async def failing() -> None:
        await asyncio.sleep(1)
        raise OSError

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(failing())
            group.create_task(long())
    except* OSError:
        pass


async def uses_a_thread() -> None:
    await asyncio.to_thread(str)


async def is_told_by_a_callback() -> None:
    told = asyncio.get_running_loop().create_future()
    asyncio.create_task(short()).add_done_callback(lambda _: told.set_result(None))
    await told


async def is_told_by_a_timer() -> None:
    loop = asyncio.get_running_loop()
    told = loop.create_future()
    loop.call_later(1, told.set_result, None)
    await told


async def is_told_by_a_scheduled_call() -> None:
    loop = asyncio.get_running_loop()
    told = loop.create_future()
    loop.call_soon(told.set_result, None)
    await told


async def awaits_a_future_of_nobody() -> None:
    told: asyncio.Future[None] = asyncio.Future()
    asyncio.create_task(short()).add_done_callback(lambda _: told.set_result(None))
    await told


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        (awaits_a_child, [("task", "short", "short")]),
        (awaits_a_done_child, []),
        (gathers, [("task", "gather", "long")]),
        (groups, [("task", "TaskGroup", "long")]),
        (waits_for_the_first, [("task", "wait", "short"), ("timer", "timeout", None), ("task", "wait", "long")]),
        (takes_as_completed, [("task", "as_completed", "short"), ("task", "as_completed", "long")]),
        (times_out, [("timer", "timeout", None)]),
        (fails_in_a_group, [("task", "TaskGroup", "failing"), ("task", "TaskGroup", "long")]),
        (uses_a_thread, [("executor", "executor", None)]),
        (is_told_by_a_callback, [("future", "future", "short")]),
        (is_told_by_a_timer, [("timer", "timer", None)]),
        (is_told_by_a_scheduled_call, [("unknown", "unknown", None)]),
        (awaits_a_future_of_nobody, [("unknown", "unknown", None)]),
    ],
)
def test_what_ended_each_wait(program: Side, expected: list[tuple[str, str, str | None]]) -> None:
    assert [one[1:] for one in causes(program) if one[0] == program.__name__] == expected


def test_a_cancelled_wait_was_for_what_it_was_for_and_was_ended_by_who_cancelled() -> None:
    assert ("victim", "lock", "Lock", "is_cancelled") in causes(is_cancelled)


def test_a_sleep_is_ended_by_the_timer_alone() -> None:
    assert causes(short, sleeps=True) == [("short", "timer", "sleep", None)]


def test_wait_for_is_ended_by_what_it_waits_for_or_by_its_timer() -> None:
    async def main() -> None:
        await asyncio.wait_for(short(), 2)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(long(), 1)

    found = [one for one in causes(main, sleeps=True) if one[0] == "main"]
    if sys.version_info >= (3, 12):  # what is waited for runs in the same task
        assert found == [("main", "timer", "sleep", None), ("main", "timer", "timeout", None)]
    else:
        assert found == [
            ("main", "task", "wait_for", "short"),
            ("main", "timer", "timeout", None),
            ("main", "task", "wait_for", "long"),
        ]


def test_a_barrier_is_opened_by_who_comes_last() -> None:
    async def main() -> None:
        barrier = asyncio.Barrier(2)

        async def early() -> None:
            await barrier.wait()

        async def late() -> None:
            await asyncio.sleep(1)
            await barrier.wait()

        await asyncio.gather(early(), late())

    assert [one for one in causes(main) if one[0] == "early"] == [("early", "lock", "Barrier", "late")]


def test_a_thread_that_hands_a_result_over_is_known_as_one() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        told = loop.create_future()
        thread = threading.Thread(target=loop.call_soon_threadsafe, args=(told.set_result, None))
        thread.start()
        await told
        later = loop.create_future()
        loop.call_soon(later.set_result, None)  # in a context that came from the thread's: not the thread's doing
        await later
        thread.join()

    with observed() as edges:
        asyncio.run(main())
    found: list[Found] = [plain(edge) for edge in edges if edge.waiter.__name__ == "main"]
    assert found == [("main", "executor", "thread", None), ("main", "unknown", "unknown", None)]


def test_data_from_a_connection_is_known_as_such() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        writer.close()

    async def ask(port: int) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.sleep(0)
        writer.write(b"x\n")
        line = await reader.readline()
        writer.close()
        await writer.wait_closed()
        return line

    async def main() -> bytes:
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            task = asyncio.create_task(ask(server.sockets[0].getsockname()[1]))
            return await task

    with observed() as edges:
        assert asyncio.run(main()) == b"x\n"
    assert {edge.kind for edge in edges if edge.waiter.__name__ in {"ask", "answer"}} <= {
        "connection", "timer", "unknown",
    }  # fmt: skip
    assert ("ask", "connection", "connection", None) in [plain(edge) for edge in edges]


def test_loops_in_several_threads_do_not_mix() -> None:
    found: dict[str, list[Found]] = {}

    def run() -> None:
        run_virtual(gathers)

    with observed() as edges:
        threads = [threading.Thread(target=run) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found["gathers"] = [plain(edge) for edge in edges if edge.waiter.__name__ == "gathers"]
    assert found["gathers"] == [("gathers", "task", "gather", "long")] * 3
