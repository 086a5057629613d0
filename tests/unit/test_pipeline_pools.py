"""Named pools: queues that show, threads that keep the context, processes that keep nothing else."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import operator
import threading
from typing import Any

import pytest

import spanwise
from spanwise.testing import capture, run_virtual
from spanwise_pipeline import Clock, Pool, PoolClosedError, PoolStatistics, ProcessPool, ThreadPool

PLACE = contextvars.ContextVar("place", default="outside")
CLOCK = Clock()


def sleep(seconds: float) -> str:
    CLOCK.sleep_in_thread(seconds)
    return threading.current_thread().name


def fail() -> None:
    raise ValueError("broken")


def a_function() -> Any:
    return fail.__class__.__call__


async def fill(pool: Pool, *seconds: float) -> list[str]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(pool.run(sleep, n)) for n in seconds]
    await pool.close()
    return [task.result() for task in tasks]


def test_a_thread_pool_runs_so_many_functions_at_once_in_its_own_threads() -> None:
    async def main() -> PoolStatistics:
        pool = ThreadPool("files", 2)
        names = await fill(pool, 1, 1, 1)
        assert {name.rsplit("_", 1)[0] for name in names} == {"files"}
        return pool.statistics()

    expected = PoolStatistics("files", workers=2, busy=0, waiting=0, peak_busy=2, calls=3, waits=1)
    assert run_virtual(main) == (expected, 2.0)


def test_a_pool_shows_how_it_stands() -> None:
    async def main() -> str:
        pool = ThreadPool("files", 1)
        tasks = [asyncio.create_task(pool.run(sleep, 1)) for _ in range(3)]
        await asyncio.sleep(0.5)
        shown = f"{pool!r} {pool.statistics().waiting}"
        await asyncio.gather(*tasks)
        await pool.close()
        return shown

    assert run_virtual(main)[0] == "<ThreadPool files: 1/1 busy with 2 waiting> 2"


def test_the_queue_time_is_a_wait_that_the_call_before_released() -> None:
    async def call(pool: ThreadPool, name: str) -> None:
        with spanwise.step(name):
            await pool.run(sleep, 2)

    async def main() -> None:
        pool = ThreadPool("files", 1)
        with spanwise.workflow("desk"):
            await asyncio.gather(call(pool, "first"), call(pool, "second"))
        await pool.close()

    with capture() as spans:
        run_virtual(main)
    found = {span["name"]: span for span in spans()}
    wait = found["wait files"]
    assert wait["attributes"] | {"spanwise.wait.kind": "executor"} == wait["attributes"]
    assert wait["parent_id"] == found["step second"]["span_id"]
    assert [linked for linked, _ in wait["links"]] == [found["step first"]["span_id"]]


def test_functions_run_in_the_caller_s_context_and_their_errors_come_back() -> None:
    async def main() -> str:
        pool = ThreadPool("files", 1)
        PLACE.set("here")
        with pytest.raises(ValueError, match="broken"):
            await pool.run(fail)
        place = await pool.run(PLACE.get)
        assert await pool.run(int, "ff", base=16) == 255
        await pool.close()
        return place

    assert run_virtual(main)[0] == "here"


def test_a_cancelled_call_keeps_its_worker_until_the_thread_is_done() -> None:
    async def main() -> tuple[int, float]:
        pool = ThreadPool("files", 1)
        first = asyncio.create_task(pool.run(sleep, 5))
        queued = asyncio.create_task(pool.run(sleep, 1))
        await asyncio.sleep(1)
        first.cancel()
        queued.cancel()
        await asyncio.wait([first, queued])
        busy = pool.statistics().busy
        await pool.run(sleep, 1)
        ended = asyncio.get_running_loop().time()
        await pool.close()
        return busy, ended

    assert run_virtual(main)[0] == (1, 6.0)


def test_closing_waits_for_what_runs_and_then_refuses() -> None:
    async def main() -> float:
        pool = ThreadPool("files", 1)
        task = asyncio.create_task(pool.run(sleep, 3))
        await asyncio.sleep(1)
        await pool.close()
        closed = asyncio.get_running_loop().time()
        assert await task == "files_0"
        with pytest.raises(PoolClosedError, match="pool 'files' is closed; run what needs it before the run ends"):
            await pool.run(sleep, 1)
        return closed

    assert run_virtual(main)[0] == 3.0


@pytest.mark.parametrize("kind", [ThreadPool, ProcessPool])
def test_a_pool_needs_a_worker(kind: Any) -> None:
    with pytest.raises(ValueError, match="pool 'files' needs at least 1 worker, this is 0"):
        kind("files", 0)


def test_a_process_pool_on_a_virtual_clock_takes_the_time_that_its_processes_would() -> None:
    async def main(**options: Any) -> tuple[PoolStatistics, float]:
        pool = ProcessPool("analysis", 2, start_seconds=1.5, **options)
        await fill(pool, 2, 2, 2, 2)
        return pool.statistics(), asyncio.get_running_loop().time()

    statistics, kept = run_virtual(main)[0]
    assert statistics == PoolStatistics("analysis", workers=2, busy=0, waiting=0, peak_busy=2, calls=4, waits=2)
    assert kept == 1.5 + 2 + 2
    assert run_virtual(lambda: main(reuse=False))[0][1] == 2 * (1.5 + 2)


def test_a_process_pool_on_a_virtual_clock_pickles_as_one_with_processes_does() -> None:
    given = [1]

    async def main() -> list[int]:
        pool = ProcessPool("analysis", 1)
        with pytest.raises(ValueError, match="broken"):
            await pool.run(fail)
        with pytest.raises(TypeError, match="a process pool takes functions of modules and plain values"):
            await pool.run(lambda: 1)
        with pytest.raises(TypeError, match="a_function: its outcome cannot be pickled"):
            await pool.run(a_function)
        result: list[int] = await pool.run(operator.iadd, given, [2])
        await pool.close()
        return result

    assert run_virtual(main)[0] == [1, 2]
    assert given == [1]


def test_a_function_that_fails_after_its_caller_was_cancelled_says_nothing() -> None:
    said: list[dict[str, Any]] = []

    def sleep_and_fail() -> None:
        CLOCK.sleep_in_thread(2.0)
        fail()

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: said.append(context))
        pool = ThreadPool("files", 1)
        call = asyncio.create_task(pool.run(sleep_and_fail))
        await asyncio.sleep(1)
        call.cancel()
        await asyncio.wait([call])
        await pool.close()
        del call
        gc.collect()

    run_virtual(main)
    assert said == []
