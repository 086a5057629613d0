"""What every test is held to: it leaves no task, thread, child process or tracer provider behind.

The check costs a few dozen microseconds, so that it can run around each test. Fixtures of a wider scope are set up
before it looks, so what they start is not a test's leak.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.util._once import Once

import spanwise
from spanwise import runtime

if TYPE_CHECKING:
    from collections.abc import Iterator

_GRACE = 2.0
_FOREIGN_THREADS = ("pytest_timeout", "Dummy-")
"""Beginnings of names of threads that belong to pytest and to debuggers."""


@dataclass(frozen=True)
class _State:
    threads: frozenset[threading.Thread]
    processes: frozenset[str]
    tasks: frozenset[asyncio.Task[Any]]
    provider: object
    telemetry: object


def _state() -> _State:
    return _State(
        threads=frozenset(threading.enumerate()),
        processes=_children(),
        tasks=frozenset(_pending_tasks()),
        provider=trace._TRACER_PROVIDER,
        telemetry=runtime.active(),
    )


def _children() -> frozenset[str]:
    """Return the ids of this process's children, also of those that ended and were not waited for (Linux only)."""
    found: set[str] = set()
    for thread in Path("/proc/self/task").glob("*/children"):
        try:
            found.update(thread.read_text(encoding="ascii").split())
        except OSError:  # the thread ended meanwhile
            continue
    return frozenset(found)


def _pending_tasks() -> Iterator[asyncio.Task[Any]]:
    # asyncio.all_tasks() wants a running loop; a leaked task's loop is mostly closed. The set was renamed in 3.12.
    known: Any = getattr(asyncio.tasks, "_all_tasks", None) or getattr(asyncio.tasks, "_scheduled_tasks", ())
    return (task for task in list(known) if not task.done())


def _leaks(before: _State) -> Iterator[str]:
    deadline = time.monotonic() + _GRACE
    for thread in frozenset(threading.enumerate()) - before.threads:
        if thread.name.startswith(_FOREIGN_THREADS):
            continue
        thread.join(max(0.0, deadline - time.monotonic()))
        if thread.is_alive():
            yield f"thread {thread.name!r} still runs"
    after = _state()
    yield from (f"child process {pid} was not ended and waited for" for pid in after.processes - before.processes)
    yield from (f"task {task!r} was neither awaited nor cancelled" for task in after.tasks - before.tasks)
    if after.provider is not before.provider:
        yield "the global tracer provider was set: use the fixture isolated_provider"
    if after.telemetry is not before.telemetry:
        yield "spanwise.configure() was called and shutdown() was not"


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    before = _state()
    yield
    leaks = list(_leaks(before))
    assert not leaks, "; ".join(leaks)


@pytest.fixture
def isolated_provider(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, nothing_left_behind: None) -> Iterator[None]:
    """Let a test call `spanwise.configure()`: no provider, no settings from outside, an empty working directory.

    OpenTelemetry lets a process set its provider once and offers no way back, so its private state is put aside.
    """
    for name in list(os.environ):
        if name.startswith(("OTEL_", "SPANWISE_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER_SET_ONCE", Once())
    monkeypatch.setattr(runtime, "_newest", None)
    yield
    spanwise.shutdown()
