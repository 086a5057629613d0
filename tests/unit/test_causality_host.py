"""The host is as it was: results, exceptions, cancellation, tasks as debuggers see them; and off means off."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import io
import logging
import sys
import traceback
from typing import TYPE_CHECKING, Any

import pytest
from support.causes import plain

from spanwise import causality
from spanwise.causality import observed
from spanwise.testing.virtual_clock import run_virtual

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator

LOOP_METHODS = ("create_future", "create_task", "call_soon_threadsafe")


async def both(program: Callable[[], Coroutine[Any, Any, Any]]) -> tuple[Any, Any]:
    """Return what a program gives without causality and with it."""
    without = await program()
    causality.start("on")
    try:
        return without, await program()
    finally:
        causality.stop()


async def failing(error: Exception) -> None:
    await asyncio.sleep(0)
    raise error


def test_an_exception_is_the_same_object_with_the_same_frames() -> None:
    async def program() -> tuple[bool, list[str], Any, Any]:
        error = OSError("x")
        try:
            await asyncio.create_task(failing(error))
        except OSError as caught:
            frames = [frame.name for frame in traceback.extract_tb(caught.__traceback__)]
            return caught is error, frames, caught.__context__, caught.__cause__
        raise AssertionError

    without, within = asyncio.run(both(program))
    assert within == without == (True, ["program", "failing"], None, None)


def test_results_and_stop_iteration_pass() -> None:
    async def stopping() -> None:
        raise StopAsyncIteration

    async def program() -> list[str]:
        async def value() -> int:
            return 3

        found = await asyncio.gather(value(), stopping(), asyncio.sleep(0, "s"), return_exceptions=True)
        return [repr(one) for one in found]

    without, within = asyncio.run(both(program))
    assert within == without == ["3", "StopAsyncIteration()", "'s'"]


def test_cancellation_keeps_its_message_its_count_and_what_uncancel_does() -> None:
    async def program() -> list[object]:
        found: list[object] = []

        async def stubborn() -> str:
            task = asyncio.current_task()
            assert task is not None
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError as error:
                found.append((error.args, task.cancelling(), task.uncancel()))
            await asyncio.sleep(0)
            return "went on"

        task = asyncio.create_task(stubborn())
        await asyncio.sleep(0)
        found.append(task.cancel("enough"))
        found.append(await task)
        unborn = asyncio.create_task(stubborn())
        unborn.cancel()
        found.append((await asyncio.gather(unborn, return_exceptions=True))[0].__class__)
        return found

    without, within = asyncio.run(both(program))
    assert within == without == [True, (("enough",), 1, 0), "went on", asyncio.CancelledError]


def test_tasks_look_as_they_looked() -> None:
    async def sleeper() -> None:
        await asyncio.sleep(10)

    async def program() -> dict[str, object]:
        coroutine = sleeper()
        task = asyncio.create_task(coroutine, name="the sleeper")
        await asyncio.sleep(0)
        printed = io.StringIO()
        task.print_stack(file=printed)
        found: dict[str, object] = {
            "coroutine": task.get_coro() is coroutine,
            "name": task.get_name(),
            "stack": [frame.f_code.co_name for frame in task.get_stack()],
            "printed": printed.getvalue(),
            "repr": repr(task).partition("wait_for=")[0],
            "current": (asyncio.current_task() or task).get_name() == "the sleeper",
            "kinds": (type(task).__name__, isinstance(task, asyncio.Task), type(asyncio.get_running_loop()).__name__),
            "future": repr(asyncio.get_running_loop().create_future()),
            "factory": asyncio.get_running_loop().get_task_factory(),
            "awaits": getattr(task.get_coro(), "cr_await", None) is not None,
        }
        task.cancel()
        await asyncio.wait([task])
        return found

    without, within = asyncio.run(both(program))
    assert within == without


async def child() -> None:
    await asyncio.sleep(1)


def test_a_task_factory_of_the_host_is_used_and_stays_in_place() -> None:
    class Own(asyncio.Task[Any]):
        pass

    def factory(loop: Any, coro: Any, **options: Any) -> Any:
        return Own(coro, loop=loop, **options)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(factory)
        task = asyncio.create_task(child(), name="c")
        assert loop.get_task_factory() is factory
        assert (type(task), task.get_name()) == (Own, "c")
        await asyncio.sleep(0)
        coroutine: Any = task.get_coro()
        assert (coroutine.__name__, coroutine.cr_code) == ("child", child.__code__)
        assert [frame.f_code.co_name for frame in task.get_stack()] == ["child"]
        await task
        loop.set_task_factory(None)

    with observed() as edges:
        run_virtual(main)
    assert [plain(edge) for edge in edges if edge.resource != "sleep"] == [("main", "task", "child", "child")]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
def test_eager_tasks_stay_eager() -> None:
    async def eager(suspends: bool) -> str:  # noqa: FBT001 - a test's own
        if suspends:
            await asyncio.sleep(1)
        return "done"

    async def main() -> None:
        asyncio.get_running_loop().set_task_factory(getattr(asyncio, "eager_task_factory"))  # noqa: B009 - not in 3.11
        coroutine = eager(suspends=False)
        task = asyncio.create_task(coroutine)
        assert (task.done(), task.get_coro()) in {(True, coroutine), (True, None)}
        assert await asyncio.create_task(eager(suspends=True)) == "done"

    with observed() as edges:
        run_virtual(main)
    assert [plain(edge)[1:2] + plain(edge)[3:] for edge in edges if edge.waiter.__name__ == "main"] == [
        ("task", "eager")
    ]


def test_switched_on_and_off_while_the_loop_runs_nothing_is_lost_and_all_is_put_back() -> None:
    before = {name: getattr(asyncio.BaseEventLoop, name) for name in LOOP_METHODS}

    async def worker(flag: asyncio.Event) -> str:
        await flag.wait()
        await asyncio.sleep(1)
        return "done"

    async def main() -> list[str]:
        flag = asyncio.Event()
        early = asyncio.create_task(worker(flag))
        await asyncio.sleep(1)
        with observed() as edges:
            within = asyncio.create_task(worker(flag))
            await asyncio.sleep(1)
            flag.set()
            await asyncio.sleep(0.5)
        assert {name: getattr(asyncio.BaseEventLoop, name) for name in LOOP_METHODS} == before
        assert [plain(edge) for edge in edges] == [("worker", "lock", "Event", None)]  # set by a task from before
        return [await early, await within, await asyncio.create_task(worker(flag))]

    assert run_virtual(main)[0] == ["done", "done", "done"]
    assert causality.active_mode() == "off"
    assert not any("OpenSpans" in repr(one) for one in gc.callbacks)


def test_what_another_tool_put_on_top_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(asyncio.BaseEventLoop, "create_task", asyncio.BaseEventLoop.create_task)
    causality.start("on")
    ours = asyncio.BaseEventLoop.create_task

    def theirs(self: Any, coro: Any, **options: Any) -> Any:
        calls.append("theirs")
        return ours(self, coro, **options)

    monkeypatch.setattr(asyncio.BaseEventLoop, "create_task", theirs)
    causality.stop()
    assert asyncio.BaseEventLoop.create_task is theirs

    async def main() -> type[Any]:
        return type(asyncio.current_task())

    assert asyncio.run(main()) is asyncio.Task
    assert calls


def test_what_is_not_a_coroutine_is_refused_as_before() -> None:
    async def main() -> str:
        try:
            asyncio.get_running_loop().create_task(3)  # type: ignore[arg-type]
        except TypeError as error:
            return str(error)
        return ""

    without = asyncio.run(main())
    with observed():
        assert asyncio.run(main()) == without == "a coroutine was expected, got 3"


def test_nothing_is_logged_and_debug_mode_works(caplog: pytest.LogCaptureFixture) -> None:
    async def nested() -> Generator[None] | None:
        await asyncio.gather(asyncio.sleep(0), asyncio.to_thread(str))
        return None

    with observed(), caplog.at_level(logging.WARNING):
        asyncio.run(nested(), debug=True)
        asyncio.run(nested())
    gc.collect()
    assert caplog.records == []


def test_an_error_that_nobody_looked_at_is_logged_as_before(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        task = asyncio.create_task(failing(OSError("unseen")))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert task.done()

    with observed(), caplog.at_level(logging.ERROR):
        asyncio.run(main())
        gc.collect()
    [record] = caplog.records
    assert record.getMessage().startswith("Task exception was never retrieved\nfuture: <Task finished name=")
    assert "coro=<failing() done, defined at" in record.getMessage()


def test_a_coroutine_inside_a_driver_is_one_for_all_who_ask() -> None:
    async def main() -> tuple[bool, bool]:
        task = asyncio.current_task()
        assert task is not None
        return inspect.iscoroutine(task.get_coro()), asyncio.iscoroutine(task.get_coro())

    with observed():
        assert asyncio.run(main()) == (True, True)


def test_what_ends_the_loop_from_a_timer_keeps_its_traceback() -> None:
    def names() -> list[str]:
        loop = asyncio.new_event_loop()
        loop.call_later(0, sys.exit, 3)
        with contextlib.closing(loop), pytest.raises(SystemExit) as stopped:
            loop.run_forever()
        return [frame.name for frame in traceback.extract_tb(stopped.value.__traceback__)]

    expected = names()
    with observed():
        assert names() == expected
