"""Switching causality on and off: methods of the loop classes and of their timers are replaced, and put back.

A method that another tool has replaced on top of ours is left alone when causality goes off; ours beneath it then only
passes on. uvloop's class takes part where it was imported before causality is switched on.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from contextlib import contextmanager, suppress
from threading import get_ident
from time import perf_counter_ns
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Final
from weakref import ref

from spanwise.causality.driver import Driver, state
from spanwise.causality.futures import TracedFuture, TracedTask
from spanwise.causality.primitives import are_replaced, run_loop
from spanwise.causality.releases import from_this_thread, timed
from spanwise.causality.spans import OpenSpans
from spanwise.causality.steps import leave_out
from spanwise.config.settings import Settings
from spanwise.otel import task_hook
from spanwise.process import on_import
from spanwise.recording import telemetry as active_telemetry

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from spanwise.causality.edges import Edge
    from spanwise.config.settings import Causality

ONE_IN: Final = 10
"""In mode `sampled`, waits of one trace in so many are recorded; its id decides, alike in all processes."""
_MISSING: Final = object()
_log: Final = logging.getLogger(__name__)
_eager_factory: Final[Any] = getattr(asyncio, "eager_task_factory", None)  # from Python 3.12 on
_mode: Causality = "off"
_replaced: list[tuple[type[Any], str, Any, Any]] = []


def active_mode() -> Causality:
    """Return what is switched on: `off`, `sampled` or `on`."""
    return _mode


def start(
    mode: Causality = "on", *, wait_threshold: float | None = None, sink: Callable[[Edge], None] | None = None
) -> None:
    """Switch causality on for every asyncio loop of the process, running ones included, or change its mode.

    Args:
        mode: `on`, `sampled`, or `off` to switch it off.
        wait_threshold: seconds from which a wait is recorded with its cause; default: the setting in force.
        sink: gets every edge as it is found, besides what is recorded.
    """
    global _mode  # noqa: PLW0603 - a process has one mode
    stop()
    if mode == "off":
        return
    if are_replaced():
        _log.warning(
            "causality stays off: something has replaced asyncio.Task and asyncio.Future (nest_asyncio does); "
            "without it, waits are recorded with their causes"
        )  # fmt: skip
        return
    _mode = mode
    state.threshold_ns = int((_threshold() if wait_threshold is None else wait_threshold) * 1e9)
    state.sink = sink
    state.since_ns = perf_counter_ns()
    state.open_spans = OpenSpans(ONE_IN if mode == "sampled" else 1, 0 if sink is not None else state.threshold_ns)
    state.open_spans.listen()
    task_hook.watcher = state.open_spans
    _replace_in_loop(asyncio.BaseEventLoop)
    _replace(asyncio.TimerHandle, {"_run": _timers})
    on_import.call("uvloop", _uvloop_is_loaded)


def stop() -> None:
    """Switch causality off: the loop classes are as they were; tasks that run go on."""
    global _mode  # noqa: PLW0603 - a process has one mode
    _mode = "off"
    on_import.forget(_uvloop_is_loaded)
    task_hook.watcher = None
    state.sink = None
    open_spans, state.open_spans = state.open_spans, None
    if open_spans is not None:
        open_spans.stop_listening()
    while _replaced:
        kind, name, ours, before = _replaced.pop()
        if vars(kind).get(name) is not ours:
            continue
        if before is _MISSING:
            delattr(kind, name)
        else:
            setattr(kind, name, before)


@contextmanager
def observed(mode: Causality = "on") -> Generator[list[Edge]]:
    """Switch causality on inside the block, for tests; yields the list that every edge is added to."""
    edges: list[Edge] = []
    start(mode, sink=edges.append)
    state.failures.clear()
    try:
        yield edges
    finally:
        stop()
    if state.failures:
        raise state.failures[0]


def _threshold() -> float:
    telemetry = active_telemetry.active()
    return (telemetry.settings if telemetry is not None else Settings()).wait_threshold


def _uvloop_is_loaded() -> None:
    if state.open_spans is not None:
        _replace_in_loop(sys.modules["uvloop"].Loop)


def _replace_in_loop(kind: type[Any]) -> None:
    makers = {"create_future": _futures, "create_task": _tasks, "call_soon_threadsafe": _threads}
    if not issubclass(kind, asyncio.BaseEventLoop):
        makers["run_forever"] = run_loop
    _replace(kind, makers)


def _replace(kind: type[Any], makers: dict[str, Callable[..., Any]]) -> None:
    for name, maker in makers.items():
        before = vars(kind).get(name, _MISSING)
        ours = maker(getattr(kind, name))
        ours.__name__, ours.__qualname__ = name, f"{kind.__qualname__}.{name}"
        setattr(kind, name, ours)
        _replaced.append((kind, name, ours, before))


def _futures(original: Callable[..., Any]) -> Callable[..., Any]:
    def create_future(self: Any) -> Any:
        if state.open_spans is None or are_replaced():
            return original(self)
        return TracedFuture(loop=self)

    return create_future


def _drivable(coro: Any) -> bool:
    return type(coro) is CoroutineType or (asyncio.iscoroutine(coro) and not isinstance(coro, Driver))


def _tasks(original: Callable[..., Any]) -> Callable[..., Any]:
    def create_task(self: Any, coro: Any, **options: Any) -> Any:
        if state.open_spans is None or are_replaced() or self.is_closed() or not _drivable(coro):
            return original(self, coro, **options)
        factory = self.get_task_factory()
        eager = factory is not None and factory is _eager_factory
        driver = Driver(coro)
        if factory is not None and not eager:
            made = original(self, driver, **options)
            with suppress(TypeError):  # a host's task is anything
                driver.task = ref(made)
            return made
        started: dict[str, Any] = {"eager_start": True} if eager else {}
        task = TracedTask(driver, loop=self, **options, **started)
        driver.task = ref(task)
        if eager:
            task.eager_driver = driver
        if task._source_traceback:  # type: ignore[attr-defined]  # noqa: SLF001 - as in the loop's own method
            del task._source_traceback[-1]  # type: ignore[attr-defined]  # noqa: SLF001
        return task

    return create_task


def _threads(original: Callable[..., Any]) -> Callable[..., Any]:
    def call_soon_threadsafe(self: Any, callback: Any, *arguments: Any, context: Any = None) -> Any:
        if state.open_spans is not None and context is None and asyncio._get_running_loop() is not self:  # noqa: SLF001
            context = from_this_thread()
        return original(self, callback, *arguments, context=context)

    return call_soon_threadsafe


def _timers(original: Callable[..., Any]) -> Callable[..., Any]:
    def run(self: Any) -> None:
        thread = get_ident()
        timed.add(thread)
        try:
            original(self)
        except BaseException as error:  # that ends the loop
            leave_out(error)
            raise
        finally:
            timed.discard(thread)

    return run


def _begin_anew() -> None:
    """Go on in a forked child as in its parent, which keeps what was gathered until then."""
    start(_mode, wait_threshold=state.threshold_ns / 1e9)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
