"""What a test can leave behind: tasks, threads, child processes, a tracer provider, a set-up of spanwise.

A look costs a few dozen microseconds, so that one can be taken before and after each test.
"""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opentelemetry import trace

from spanwise.recording import telemetry as runtime

if TYPE_CHECKING:
    from collections.abc import Iterator

_GRACE = 2.0
_FOREIGN_THREADS = ("pytest_timeout", "Dummy-")
"""Beginnings of names of threads that belong to pytest and to debuggers."""


@dataclass(frozen=True)
class State:
    """What there is at one moment."""

    threads: frozenset[threading.Thread]
    processes: frozenset[str]
    tasks: frozenset[asyncio.Task[Any]]
    provider: object
    telemetry: object


def look() -> State:
    """Return what there is now."""
    return State(
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


def leaks(before: State, *, grace: float = _GRACE) -> Iterator[str]:
    """Say what is there now and was not there `before`; threads get `grace` seconds to end."""
    deadline = time.monotonic() + grace
    for thread in frozenset(threading.enumerate()) - before.threads:
        if thread.name.startswith(_FOREIGN_THREADS):
            continue
        thread.join(max(0.0, deadline - time.monotonic()))
        if thread.is_alive():
            yield f"thread {thread.name!r} still runs"
    after = look()
    yield from (f"child process {pid} was not ended and waited for" for pid in after.processes - before.processes)
    yield from (f"task {task!r} was neither awaited nor cancelled" for task in after.tasks - before.tasks)
    if after.provider is not before.provider:
        yield "the global tracer provider was set: use the fixture isolated_provider"
    if after.telemetry is not before.telemetry:
        yield "spanwise.configure() was called and shutdown() was not"
