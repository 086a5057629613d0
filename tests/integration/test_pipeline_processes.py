"""Process pools with real processes, and Ctrl-C in the middle of a flow."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from spanwise_pipeline import Clock, ProcessPool, WorkerError

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

pytestmark = pytest.mark.slow
TESTS = str(Path(__file__).parents[1])


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def run(main: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(main)


def test_a_process_is_kept_for_the_next_call_or_not() -> None:
    async def main(*, reuse: bool) -> list[int]:
        pool = ProcessPool("analysis", 1, reuse=reuse)
        pids = [await pool.run(os.getpid) for _ in range(2)]
        await pool.close()
        return pids

    kept, new = run(main(reuse=True)), run(main(reuse=False))

    assert (len(set(kept)), len(set(new))) == (1, 2)
    assert os.getpid() not in {*kept, *new}
    assert not any(alive(pid) for pid in {*kept, *new})


def test_what_functions_print_and_raise_does_not_get_between_the_outcomes() -> None:
    async def main() -> int:
        pool = ProcessPool("analysis", 1)
        await pool.run(print, "hello")
        await pool.run(os.write, 1, b"raw")
        with pytest.raises(ZeroDivisionError):
            await pool.run(divmod, 1, 0)
        length = await pool.run(len, b"x" * 3_000_000)
        await pool.close()
        return length

    assert run(main()) == 3_000_000


def test_processes_run_at_the_same_time() -> None:
    async def main() -> float:
        pool = ProcessPool("analysis", 2)
        await asyncio.gather(*(pool.run(time.sleep, 0) for _ in range(2)))
        began = time.monotonic()
        await asyncio.gather(*(pool.run(time.sleep, 1.0) for _ in range(2)))
        seconds = time.monotonic() - began
        await pool.close()
        return seconds

    assert run(main()) < 1.9


def test_a_process_that_dies_is_told_and_the_next_call_gets_a_new_one() -> None:
    async def main() -> int:
        pool = ProcessPool("analysis", 1)
        with pytest.raises(WorkerError, match=r"a worker process ended before it gave a result \(exit code 3\)"):
            await pool.run(os._exit, 3)
        pid = await pool.run(os.getpid)
        await pool.close()
        return pid

    assert run(main()) > 0


def test_a_cancelled_call_ends_its_process() -> None:
    async def main() -> tuple[int, float]:
        pool = ProcessPool("analysis", 1)
        pid = await pool.run(os.getpid)
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await pool.run(time.sleep, 60)
        await pool.close()
        return pid, time.monotonic() - began

    pid, seconds = run(main())
    assert seconds < 5
    assert not alive(pid)


def test_starting_a_process_takes_at_least_what_it_is_said_to_take() -> None:
    async def main() -> float:
        pool = ProcessPool("analysis", 1, clock=Clock(10), start_seconds=30)
        began = time.monotonic()
        await pool.run(os.getpid)
        seconds = time.monotonic() - began
        await pool.close()
        return seconds

    assert run(main()) >= 3.0


def test_a_prepared_process_answers_its_first_call_after_the_simulated_start_alone() -> None:
    async def main() -> tuple[float, float, set[int]]:
        pool = ProcessPool("analysis", 1, clock=Clock(100), reuse=False, start_seconds=3)
        await pool.prepare(["xml.dom.minidom"])
        began = time.monotonic()
        first = await pool.run(os.getpid)
        prepared = time.monotonic() - began
        began = time.monotonic()
        second = await pool.run(os.getpid)
        unprepared = time.monotonic() - began
        await pool.close()
        return prepared, unprepared, {first, second}

    prepared, unprepared, pids = run(main())
    assert 0.03 <= prepared < unprepared
    assert len(pids) == 2
    assert not any(alive(pid) for pid in pids)


def test_a_prepared_process_that_is_not_needed_ends_with_its_pool() -> None:
    async def main() -> list[int]:
        pool = ProcessPool("analysis", 2, start_seconds=1)
        await pool.prepare()
        pids = [worker._process.pid for worker in pool._prepared]  # pyright: ignore[reportPrivateUsage]
        await pool.close()
        return pids

    pids = run(main())
    assert len(pids) == 2
    assert not any(alive(pid) for pid in pids)


PROGRAM = """
import asyncio, sys, time
from spanwise_pipeline import EventLoopThread, Flow, ProcessPool, ThreadPool

async def slow():
    print("begun", flush=True)
    try:
        await asyncio.sleep(60)
    finally:
        print("cleaned", flush=True)

async def work():
    processes = ProcessPool("analysis", 1)
    try:
        async with Flow() as flow:
            flow.step("slow", slow)
            flow.blocking_step("busy", time.sleep, flow.step("seconds", seconds), pool=processes)
    finally:
        await processes.close()
        print("left", len(asyncio.all_tasks()) - (2 if sys.argv[1] == "thread" else 1), flush=True)

async def seconds():
    return 60

try:
    if sys.argv[1] == "thread":
        with EventLoopThread() as loop:
            loop.run(work)
    else:
        asyncio.run(work())
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.mark.parametrize("how", ["run", "thread"])
def test_ctrl_c_in_the_middle_ends_every_step_and_process(how: str) -> None:
    program = subprocess.Popen([sys.executable, "-c", textwrap.dedent(PROGRAM), how], stdout=subprocess.PIPE, text=True)
    assert program.stdout is not None
    assert program.stdout.readline() == "begun\n"
    began = time.monotonic()
    program.send_signal(signal.SIGINT)
    rest, _ = program.communicate(timeout=20)

    assert rest.splitlines() == ["cleaned", "left 0", "interrupted"]
    assert (program.returncode, time.monotonic() - began < 10) == (0, True)
