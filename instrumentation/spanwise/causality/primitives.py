"""asyncio's own waiting and releasing functions, found by their code objects, and what they stand for.

Whoever resolves a future is on the stack at that moment, and whoever waits for one is in the chain of awaits: their
code says which primitive it is, in subclasses too, without wrapping a single one of them. Names are looked up in the
asyncio that runs, whose helpers differ between versions; what is not found is not claimed.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
from asyncio import (
    events,
    futures,
    locks,
    queues,
    selector_events,
    sslproto,
    streams,
    taskgroups,
    tasks,
    timeouts,
    unix_events,
)
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spanwise.conventions import WaitKind


class Place(NamedTuple):
    """What a wait is recorded as."""

    kind: WaitKind
    resource: str


SLEEP: Final = Place("timer", "sleep")
TIMEOUT: Final = Place("timer", "timeout")
TIMER: Final = Place("timer", "timer")
EXECUTOR: Final = Place("executor", "executor")
THREAD: Final = Place("executor", "thread")
CONNECTION: Final = Place("connection", "connection")
TASK: Final = Place("task", "task")
FUTURE: Final = Place("future", "future")
UNKNOWN: Final = Place("unknown", "unknown")
PERHAPS_SLEEP: Final = Place("unknown", "sleep")
"""Of asyncio's helper that ends sleeps and may be scheduled with anything: the waiter knows whether it sleeps."""

_TASK_FUNCTIONS: Final = {
    "_AsCompletedIterator": "as_completed", "as_completed": "as_completed",
    "_cancel_and_wait": "wait_for", "_release_waiter": "wait_for", "_wait": "wait", "gather": "gather",
    "shield": "shield", "wait_for": "wait_for",
}  # fmt: skip


def _codes(module: ModuleType) -> Iterator[CodeType]:
    for value in vars(module).values():
        if getattr(value, "__module__", None) == module.__name__:
            members: list[Any] = list(vars(value).values()) if isinstance(value, type) else [value]
            for member in members:
                if isinstance(member, FunctionType):
                    yield from _nested(member.__code__)


def _nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _nested(constant)


def _head(code: CodeType) -> str:
    return code.co_qualname.partition(".")[0]


def _lock_places() -> Iterator[tuple[CodeType, Place]]:
    for code in _codes(locks):
        # Condition.wait releases its lock: that is a release of the lock, as is the end of any `async with`
        if not _head(code).startswith("_") and code.co_qualname not in {"Condition.wait", "Condition.wait_for"}:
            yield code, Place("lock", _head(code))


def _task_places() -> Iterator[tuple[CodeType, Place]]:
    for code in _codes(tasks):
        if name := _TASK_FUNCTIONS.get(_head(code)):
            yield code, Place("task", name)
    for code in _codes(taskgroups):
        if code.co_qualname in {"TaskGroup._on_task_done", "TaskGroup._abort"}:
            yield code, Place("task", "TaskGroup")


def _releasing() -> Iterator[tuple[CodeType, Place]]:
    yield from _lock_places()
    yield from _task_places()
    for code in _codes(queues):
        yield code, Place("queue", "Queue")
    for code in _codes(timeouts):
        if code.co_qualname == "Timeout._on_timeout":
            yield code, TIMEOUT
    for code in _codes(futures):
        if _head(code) in {"_chain_future", "_copy_future_state"}:
            yield code, EXECUTOR
        elif _head(code) == "_set_result_unless_cancelled":
            yield code, SLEEP


def _waiting() -> Iterator[tuple[CodeType, Place]]:
    for code in _codes(locks):
        if not _head(code).startswith("_"):
            yield code, Place("lock", _head(code))
    for code in _codes(queues):
        yield code, Place("queue", "Queue")
    for code in _codes(tasks):
        name = _TASK_FUNCTIONS.get(_head(code))
        # From Python 3.12 on, wait_for awaits its argument in the same task: what that waits for is the place
        if name and (name != "wait_for" or sys.version_info < (3, 12)):
            yield code, Place("task", name)
        elif code.co_qualname == "sleep":
            yield code, SLEEP
    for code in _codes(taskgroups):
        yield code, Place("task", "TaskGroup")
    for code in _codes(streams):
        yield code, CONNECTION


def _transports() -> Iterator[CodeType]:
    yield from _codes(selector_events)
    yield from _codes(sslproto)
    for code in _codes(unix_events):
        if "PipeTransport" in _head(code):
            yield code


_KEPT: Final = (tuple(_releasing()), tuple(_waiting()), tuple(_transports()))
# By identity, for a code object works its hash out anew each time; what is kept above cannot lose its identity
PARTS: Final = frozenset({"Condition", "Event"})
"""Primitives that others are made of: a barrier, the end of a queue."""
RELEASING: Final = {id(code): place for code, place in _KEPT[0]}
"""Functions that resolve or cancel the futures of a primitive, by the identity of their code."""
WAITING: Final = {id(code): place for code, place in _KEPT[1]}
"""Coroutines that are suspended while one waits for a primitive, likewise."""
TRANSPORTS: Final = frozenset(id(code) for code in _KEPT[2])
"""Functions that run because a socket or a pipe is ready, likewise."""
PROTOCOL_METHODS: Final = frozenset({
    "buffer_updated", "connection_lost", "connection_made", "data_received", "datagram_received", "eof_received",
    "resume_writing",
})  # fmt: skip
"""What a loop calls on a protocol because of its connection."""
RUN_HANDLE: Final = events.Handle._run.__code__  # noqa: SLF001 - the frame in which the loop runs a callback
Gathering: Final[type[Any]] = tasks._GatheringFuture  # type: ignore[attr-defined]  # noqa: SLF001 - the outcome of gather()
TimerHandle: Final = asyncio.TimerHandle
# Not from `asyncio`, in which nest_asyncio puts those in Python: ours are made of the ones in C
if TYPE_CHECKING:
    from asyncio import Future as Future  # noqa: PLC0414 - the alias says that it is meant for others
    from asyncio import Task as Task  # noqa: PLC0414
else:
    _in_c = importlib.import_module("_asyncio")  # after asyncio, which does without it if it is loaded first
    Future, Task = _in_c.Future, _in_c.Task


def are_replaced() -> bool:
    """Return whether somebody replaced asyncio's own tasks and futures, which causality then leaves to them."""
    return tasks.Task is not Task or futures.Future is not Future


def run_loop(original: Any) -> Any:
    """Return `run_forever` of a loop that runs callbacks without Python frames: its own frame then marks their end."""

    def run_forever(self: Any) -> Any:
        return original(self)

    return run_forever


RUN_LOOP: Final = run_loop(None).__code__
