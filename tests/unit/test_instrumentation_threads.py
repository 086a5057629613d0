"""Threads and pools continue the span they were started or asked in, and are Python's own again afterwards."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace

import spanwise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SUBMIT, START = ThreadPoolExecutor.submit, threading.Thread.start


@pytest.fixture
def recording(isolated_provider: None) -> Iterator[None]:
    del isolated_provider
    spanwise.configure()
    yield
    spanwise.shutdown()
    assert (ThreadPoolExecutor.submit, threading.Thread.start) == (SUBMIT, START)


def here() -> int:
    return trace.get_current_span().get_span_context().span_id


class Own(threading.Thread):
    """A thread with a `run` of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.found = -1

    def run(self) -> None:
        self.found = here()


def by_function() -> int:
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(here()))
    thread.start()
    thread.join()
    return found[0]


def by_subclass() -> int:
    thread = Own()
    thread.start()
    thread.join()
    return thread.found


def by_timer() -> int:
    found: list[int] = []
    timer = threading.Timer(0.0, lambda: found.append(here()))
    timer.start()
    timer.join()
    return found[0]


def by_pool() -> int:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(here).result()


def by_map() -> int:
    with ThreadPoolExecutor(1) as pool:
        return next(pool.map(lambda _: here(), [0]))


def by_executor() -> int:
    async def main() -> int:
        return await asyncio.get_running_loop().run_in_executor(None, here)

    return asyncio.run(main())


@pytest.mark.parametrize("way", [by_function, by_subclass, by_timer, by_pool, by_map, by_executor])
@pytest.mark.usefixtures("recording")
def test_what_runs_in_another_thread_continues_the_span(way: Callable[[], int]) -> None:
    with spanwise.step("outer") as outer:
        assert way() == outer.context.span_id
    assert way() == 0


@pytest.mark.usefixtures("recording")
def test_a_pools_worker_keeps_no_span_beyond_the_work_it_was_asked_for_in() -> None:
    with ThreadPoolExecutor(1) as pool:
        with spanwise.step("first") as first:
            assert pool.submit(here).result() == first.context.span_id
        assert pool.submit(here).result() == 0
        with spanwise.step("second") as second:
            assert pool.submit(here).result() == second.context.span_id


@pytest.mark.usefixtures("recording")
def test_results_exceptions_and_arguments_are_what_they_were() -> None:
    error = ValueError("broken")

    def work(*args: Any, **kwargs: Any) -> Any:
        if not args:
            raise error
        return args, kwargs

    with spanwise.step("outer"), ThreadPoolExecutor(1) as pool:
        assert pool.submit(work, 1, fn=2).result() == ((1,), {"fn": 2})
        assert pool.submit(work).exception() is error


@pytest.mark.usefixtures("recording")
def test_a_thread_that_is_kept_keeps_no_span_and_starts_only_once() -> None:
    thread = Own()
    with spanwise.step("outer"):
        thread.start()
        thread.join()
        with pytest.raises(RuntimeError, match="once"):
            thread.start()
    assert "run" not in vars(thread)


@pytest.mark.usefixtures("isolated_provider")
@pytest.mark.parametrize(("setting", "variable"), [(False, "false"), (None, "true")])
def test_it_can_be_left_alone_and_is_when_recording_is_disabled(
    setting: bool | None,  # noqa: FBT001 - a parameter of the test
    variable: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", variable)
    spanwise.configure(thread_context=setting)
    assert (ThreadPoolExecutor.submit, threading.Thread.start) == (SUBMIT, START)
    spanwise.shutdown()


@pytest.mark.usefixtures("isolated_provider")
def test_what_somebody_put_over_ours_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    spanwise.configure()
    ours = ThreadPoolExecutor.submit

    def theirs(self: ThreadPoolExecutor, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        return ours(self, fn, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(ThreadPoolExecutor, "submit", theirs)
        spanwise.shutdown()
        assert ThreadPoolExecutor.submit is theirs
        with spanwise.step("outer"):
            assert by_pool() == 0
    spanwise.configure()
    spanwise.shutdown()
    assert ThreadPoolExecutor.submit is SUBMIT
