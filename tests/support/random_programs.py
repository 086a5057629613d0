"""Random asyncio programs that know themselves what ended each of their waits.

A program is a tree of tasks; each does a few operations, drawn from its own seed. Every operation notes what its waits
must say, from what the program itself passes along (who put an item, who set a flag, who held the lock before, who
finished last), never from what causality sees.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from spanwise.causality import observed
from spanwise.causality.releases import running_driver
from spanwise.testing.virtual_clock import run_virtual

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from types import CoroutineType


class Cause(NamedTuple):
    kind: str
    resource: str
    by: str | None


SLEEP = Cause("timer", "sleep", None)
DEPTH = 3


class Shared:
    """A lock or semaphore that hands itself on in order, with a model of it beside."""

    def __init__(self, real: asyncio.Lock | asyncio.Semaphore, free: int, name: str) -> None:
        self.real, self.free, self.name = real, free, name
        self.waiting: deque[str] = deque()
        self.granted: dict[str, str] = {}

    async def use(self, task: Running) -> None:
        if self.free:
            self.free -= 1
            await self.real.acquire()
        else:
            self.waiting.append(task.name)
            await self.real.acquire()
            task.expect("lock", self.name, self.granted.pop(task.name))
        await task.sleep()
        if self.waiting:
            self.granted[self.waiting.popleft()] = task.name
        else:
            self.free += 1
        self.real.release()


class Program:
    """One run: the tasks by name, and what each must be found to have waited for."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.expected: dict[str, list[Cause]] = {}
        self.names: dict[Any, str] = {}
        self.finished: list[str] = []
        self.delays: dict[str, float] = {}
        """Seconds by which tasks end later than they would."""

    async def main(self) -> None:
        self.shared = [Shared(asyncio.Lock(), 1, "Lock"), Shared(asyncio.Semaphore(2), 2, "Semaphore")]
        await Running(self, "main").work(0)

    def run(self) -> tuple[dict[str, list[Cause]], dict[str, list[Cause]]]:
        """Return what must be found and what was, per task in the order of its waits."""
        with observed() as edges:
            run_virtual(self.main)
        found: dict[str, list[Cause]] = {name: [] for name in self.expected}
        for edge in edges:
            by = None if edge.released_by is None else self.names[edge.released_by]
            found[self.names[edge.waiter]].append(Cause(edge.kind, edge.resource, by))
        return self.expected, found


class Running:
    """A task of a program, from inside."""

    def __init__(self, program: Program, name: str) -> None:
        self.program, self.name = program, name
        self.draw = random.Random(f"{program.seed}/{name}")
        self.children = 0
        self.causes = program.expected.setdefault(name, [])

    def expect(self, kind: str, resource: str, by: str | None) -> None:
        self.causes.append(Cause(kind, resource, by))

    async def sleep(self, seconds: float | None = None) -> None:
        self.causes.append(SLEEP)
        await asyncio.sleep(self.draw.uniform(0.5, 2.0) if seconds is None else seconds)

    async def work(self, depth: int) -> None:
        self.program.names[running_driver()] = self.name
        for _ in range(self.draw.randint(1, 3) if depth else 6):
            operation = self.draw.choice(OPERATIONS) if depth < DEPTH else plain_sleep
            await operation(self, depth)
        self.program.finished.append(self.name)

    def child(self, body: Callable[[Running], Coroutine[Any, Any, Any]]) -> tuple[str, CoroutineType[Any, Any, None]]:
        """Return the name and the coroutine of a task below this one."""
        self.children += 1
        inner = Running(self.program, f"{self.name}.{self.children}")

        async def run() -> None:
            self.program.names[running_driver()] = inner.name
            await body(inner)
            if inner.name in self.program.delays:
                await inner.sleep(self.program.delays[inner.name])
            self.program.finished.append(inner.name)

        coroutine: Any = run()
        return inner.name, coroutine

    def workers(self, depth: int) -> tuple[list[str], list[CoroutineType[Any, Any, None]]]:
        made = [self.child(lambda inner: inner.work(depth + 1)) for _ in range(self.draw.randint(1, 4))]
        return [name for name, _ in made], [coroutine for _, coroutine in made]

    def last_of(self, names: Sequence[str]) -> str:
        return next(name for name in reversed(self.program.finished) if name in names)

    def first_of(self, names: Sequence[str]) -> str:
        return next(name for name in self.program.finished if name in names)


async def plain_sleep(task: Running, _: int) -> None:
    await task.sleep()


async def contend(task: Running, _: int) -> None:
    await task.draw.choice(task.program.shared).use(task)


async def crowded(task: Running, depth: int) -> None:
    made = [task.child(lambda inner: contend(inner, depth)) for _ in range(task.draw.randint(3, 6))]
    await asyncio.gather(*(coroutine for _, coroutine in made))
    task.expect("task", "gather", task.last_of([name for name, _ in made]))


async def awaited_child(task: Running, depth: int) -> None:
    name, coroutine = task.child(lambda inner: inner.work(depth + 1))
    started = asyncio.create_task(coroutine)
    if task.draw.random() < 0.5:
        await task.sleep()
    if not started.done():
        await started
        task.expect("task", coroutine.__qualname__, name)


async def gathered(task: Running, depth: int) -> None:
    names, coroutines = task.workers(depth)
    await asyncio.gather(*coroutines)
    task.expect("task", "gather", task.last_of(names))


async def grouped(task: Running, depth: int) -> None:
    names, coroutines = task.workers(depth)
    async with asyncio.TaskGroup() as group:
        for coroutine in coroutines:
            group.create_task(coroutine)
    task.expect("task", "TaskGroup", task.last_of(names))


async def waited(task: Running, depth: int) -> None:
    names, coroutines = task.workers(depth)
    started = [asyncio.create_task(coroutine) for coroutine in coroutines]
    _, pending = await asyncio.wait(started, return_when=asyncio.FIRST_COMPLETED)
    task.expect("task", "wait", task.first_of(names))
    if pending:
        left = [name for name, one in zip(names, started, strict=True) if one in pending]
        await asyncio.wait(pending)
        task.expect("task", "wait", task.last_of(left))


async def shielded(task: Running, depth: int) -> None:
    name, coroutine = task.child(lambda inner: inner.work(depth + 1))
    await asyncio.shield(coroutine)
    task.expect("task", "shield", name)


async def completed(task: Running, _: int) -> None:
    made = [task.child(lambda inner: inner.sleep()) for _ in range(task.draw.randint(1, 4))]
    names = [name for name, _ in made]
    for count, one in enumerate(asyncio.as_completed([coroutine for _, coroutine in made]), start=1):
        await one
        task.expect("task", "as_completed", [name for name in task.program.finished if name in names][count - 1])


async def timed(task: Running, _: int) -> None:
    seconds, limit = task.draw.uniform(0.5, 2.0), task.draw.uniform(0.5, 2.0)
    if sys.version_info >= (3, 12):  # the awaitable runs in the same task
        task.expect(*(SLEEP if seconds < limit else Cause("timer", "timeout", None)))
        try:
            await asyncio.wait_for(asyncio.sleep(seconds), limit)
        except TimeoutError:
            assert seconds > limit
        return
    inner = Running(task.program, f"{task.name}.timed{task.children}")
    task.children += 1

    async def run() -> None:
        task.program.names[running_driver()] = inner.name
        inner.expect(*(SLEEP if seconds < limit else Cause("task", "wait_for", task.name)))
        await asyncio.sleep(seconds)

    try:
        await asyncio.wait_for(run(), limit)
        task.expect("task", "wait_for", inner.name)
    except TimeoutError:
        task.expect("timer", "timeout", None)
        task.expect("task", "wait_for", inner.name)


async def limited(task: Running, _: int) -> None:
    limit = task.draw.uniform(0.5, 2.0)
    task.expect("timer", "timeout", None)
    try:
        async with asyncio.timeout(limit):
            await asyncio.Event().wait()
    except TimeoutError:
        pass


async def queued(task: Running, _: int) -> None:
    queue: asyncio.Queue[str] = asyncio.Queue()
    items = task.draw.randint(1, 3)

    async def produce(inner: Running) -> None:
        for _ in range(items):
            await inner.sleep()
            queue.put_nowait(inner.name)

    made = [task.child(produce) for _ in range(task.draw.randint(1, 3))]
    producers = [asyncio.create_task(coroutine) for _, coroutine in made]
    for _ in range(items * len(made)):
        if task.draw.random() < 0.3:
            await task.sleep()
        empty = queue.empty()
        putter = await queue.get()
        if empty:
            task.expect("queue", "Queue", putter)
    for (name, coroutine), producer in zip(made, producers, strict=True):
        if not producer.done():
            await producer
            task.expect("task", coroutine.__qualname__, name)


async def backpressed(task: Running, _: int) -> None:
    queue: asyncio.Queue[int] = asyncio.Queue(1)

    async def produce(inner: Running) -> None:
        for item in range(4):
            full = queue.full()
            await queue.put(item)
            if full:
                inner.expect("queue", "Queue", task.name)

    name, coroutine = task.child(produce)
    producer = asyncio.create_task(coroutine)
    for _ in range(4):
        await task.sleep()
        empty = queue.empty()
        await queue.get()
        if empty:
            task.expect("queue", "Queue", name)
    if not producer.done():
        await producer
        task.expect("task", coroutine.__qualname__, name)


async def flagged(task: Running, _: int) -> None:
    flag = asyncio.Event()

    async def wait(inner: Running) -> None:
        if inner.draw.random() < 0.3:
            await inner.sleep(1.2)
        if not flag.is_set():
            await flag.wait()
            inner.expect("lock", "Event", setter)

    async def set_it(inner: Running) -> None:
        await inner.sleep()
        flag.set()

    setter, coroutine = task.child(set_it)
    made = [task.child(wait) for _ in range(task.draw.randint(1, 3))]
    await asyncio.gather(coroutine, *(one for _, one in made))
    task.expect("task", "gather", task.last_of([setter, *(name for name, _ in made)]))


async def conditioned(task: Running, _: int) -> None:
    condition = asyncio.Condition()

    async def wait(inner: Running) -> None:
        async with condition:
            await condition.wait()
        inner.expect("lock", "Condition", notifier)

    async def notify(inner: Running) -> None:
        await inner.sleep()
        async with condition:
            condition.notify_all()

    notifier, coroutine = task.child(notify)
    made = [task.child(wait) for _ in range(task.draw.randint(1, 3))]
    await asyncio.gather(coroutine, *(one for _, one in made))
    task.expect("task", "gather", task.last_of([notifier, *(name for name, _ in made)]))


async def barred(task: Running, _: int) -> None:
    parties = task.draw.randint(2, 4)
    barrier = asyncio.Barrier(parties)
    arrived: list[str] = []

    async def meet(inner: Running) -> None:
        await inner.sleep()
        arrived.append(inner.name)
        last = len(arrived) == parties
        await barrier.wait()
        if not last:
            inner.expect("lock", "Barrier", arrived[-1])

    made = [task.child(meet) for _ in range(parties)]
    await asyncio.gather(*(one for _, one in made))
    task.expect("task", "gather", task.last_of([name for name, _ in made]))


async def by_hand(task: Running, _: int) -> None:
    future = asyncio.get_running_loop().create_future()

    async def resolve(inner: Running) -> None:
        await inner.sleep()
        if inner.draw.random() < 0.5:
            future.set_result(None)
        else:
            future.set_exception(OSError())

    name, coroutine = task.child(resolve)
    resolver = asyncio.create_task(coroutine)
    with contextlib.suppress(OSError):
        await future
    task.expect("future", "future", name)
    if not resolver.done():
        await resolver
        task.expect("task", coroutine.__qualname__, name)


async def by_callback(task: Running, depth: int) -> None:
    future = asyncio.get_running_loop().create_future()
    name, coroutine = task.child(lambda inner: inner.work(depth + 1))
    resolver = asyncio.create_task(coroutine)
    resolver.add_done_callback(lambda _: future.set_result(None))
    await future
    task.expect("future", "future", name)


async def by_timer(task: Running, _: int) -> None:
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    loop.call_later(task.draw.uniform(0.5, 2.0), future.set_result, None)
    await future
    task.expect("timer", "timer", None)


async def by_schedule(task: Running, _: int) -> None:
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    loop.call_soon(future.set_result, None)
    await future
    task.expect("unknown", "unknown", None)


async def cancelled(task: Running, _: int) -> None:
    async def endless(inner: Running) -> None:
        inner.expect("timer", "sleep", task.name)
        await asyncio.sleep(1000)

    name, coroutine = task.child(endless)
    victim = asyncio.create_task(coroutine)
    await task.sleep()
    victim.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await victim
    task.expect("task", coroutine.__qualname__, name)


OPERATIONS: tuple[Callable[[Running, int], Coroutine[Any, Any, None]], ...] = (
    plain_sleep, contend, crowded, crowded, awaited_child, gathered, grouped, waited, shielded, completed, timed,
    limited, queued, backpressed, flagged, conditioned, barred, by_hand, by_callback, by_timer, by_schedule, cancelled,
)  # fmt: skip
