"""Who resolves a future: the running task, or what the loop runs a callback for. What cannot be known is `unknown`.

A callback that the loop runs for a finished future has that future as its only argument, so the cause of gather,
wait, TaskGroup, shield and of the host's own callbacks is the cause of that future; timers, threads and transports
are known by the handle or the stack. A callback that was scheduled by hand has no cause that could be told.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import itertools
import sys
from operator import itemgetter
from threading import get_ident
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from opentelemetry import context as otel_context
from opentelemetry import trace

from spanwise.causality import primitives as p
from spanwise.causality.steps import current_context

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from opentelemetry.trace import SpanContext

    from spanwise.causality.driver import Driver

_running_loop: Final = asyncio._get_running_loop  # noqa: SLF001 - as public get_running_loop, but does not raise
# Before Python 3.12, current_task() is Python around this very dict
current_task: Final[Callable[[Any], Any]] = (
    asyncio.current_task if sys.version_info >= (3, 12) else getattr(asyncio.tasks, "_current_tasks").get  # noqa: B009
)
_Task: Final[type[Any]] = p.Task
# In Python 3.12.1, get_coro() of a task that ended eagerly brings the interpreter down; this does not
coroutine_of: Final[Callable[[Any], Any]] = cast("Any", p.Task)._coro.__get__  # noqa: SLF001
[span_key] = trace.set_span_in_context(trace.INVALID_SPAN, otel_context.Context())


next_number: Final = itertools.count(1).__next__
"""Return the number of a release: the later one has the higher number."""

Release: TypeAlias = "tuple[p.Place | None, Driver | None, SpanContext | None, int]"
"""The end of a wait, seen from the one who ended it, as a plain tuple, for one is made for every future.

It holds the primitive that was used (none: the future itself was resolved or cancelled, by a task), what drives the
task that did it, the span that was current there, and its number.
"""
UNKNOWN: Final[Release] = (p.UNKNOWN, None, None, 0)
_CONNECTION: Final = p.CONNECTION
_RUN_HANDLE: Final = p.RUN_HANDLE
_TRANSPORTS: Final = p.TRANSPORTS


timed: Final[set[int]] = set()
"""Identities of the threads whose loops run a timer's callback."""


def _by_nobody(place: p.Place, span: SpanContext | None = None) -> Release:
    return place, None, span, next_number()


class _Origin:
    """The span of a thread that schedules a callback; bound to the one context that the callback runs in."""

    __slots__ = ("context", "span")

    def __init__(self, context: contextvars.Context, span: SpanContext | None) -> None:
        self.context = context
        self.span = span


thread_origin: Final[contextvars.ContextVar[_Origin]] = contextvars.ContextVar("spanwise-thread-origin")


def from_this_thread() -> contextvars.Context:
    """Return a context for a callback that is handed to a loop by another thread: a copy that knows its origin."""
    context = contextvars.copy_context()
    context.run(thread_origin.set, _Origin(context, current_identity()))
    return context


def span_of(context: otel_context.Context) -> Any:
    """Return the span of `context`, or none."""
    return context.get(span_key)


def current_identity() -> SpanContext | None:
    """Return the identity of the current span, where there is one."""
    span: Any = current_context().get(span_key)
    try:
        return None if span is None else span.get_span_context()
    except AttributeError:  # somebody put something else there, which OpenTelemetry lets pass
        return None


def driver_of(task: Any) -> Driver | None:
    """Return what drives a task; none where causality does not."""
    coroutine: Any = coroutine_of(task) if isinstance(task, _Task) else task.get_coro()
    if coroutine is None:  # it ended eagerly
        return getattr(task, "eager_driver", None)
    return coroutine if getattr(coroutine, "is_driver", False) else None


def running_driver() -> Driver | None:
    """Return what drives the current task."""
    loop = _running_loop()
    task = current_task(loop) if loop is not None else None
    return None if task is None else driver_of(task)


def is_by_nobody(awaited: Any) -> bool:
    """Return whether it is known of what a task awaited that neither a task nor a span ended it."""
    if awaited is None:
        return True
    release = _noted(awaited)
    return release is not None and release[1] is None and release[2] is None


def _noted(future: Any) -> Release | None:
    release = getattr(future, "release", None)  # of the host's own futures it may be anything
    return cast("Release", release) if type(release) is tuple else None


def release_from(frame: FrameType, loop: Any, given: object) -> Release:
    """Return who resolves a future of `loop` right now.

    Args:
        frame: of the code that called `set_result`, `set_exception` or `cancel`.
        loop: the future's.
        given: what it was called with.
    """
    try:
        # A loop of the standard library says which thread runs it; to ask for the running loop takes a system call
        if getattr(loop, "_thread_id", None) != get_ident() and _running_loop() is not loop:
            return _by_nobody(p.UNKNOWN)  # from a thread that must not
        task = current_task(loop)
        if task is None:
            if frame.f_code is not _RUN_HANDLE:
                return _from_callback(frame)
            # The loop itself resolves it; to ask the frame for the handle costs more than all else here
            if not timed and thread_origin.get(None) is None and not asyncio.isfuture(given):
                return p.UNKNOWN, None, None, next_number()
            return _from_handle(frame.f_locals["self"], None)
        place = p.RELEASING.get(id(frame.f_code))
        if place is not None and place.resource in p.PARTS:
            place = _outermost(frame)
        return place, driver_of(task), current_identity(), next_number()
    except Exception:  # noqa: BLE001 - whatever is wrong with causality, the host's future is resolved
        return UNKNOWN


def _outermost(frame: FrameType | None) -> p.Place | None:
    """Return the place of the outermost of asyncio's functions that call one another to resolve a future."""
    place: p.Place | None = None
    while frame is not None and (found := p.RELEASING.get(id(frame.f_code))) is not None:
        place, frame = found, frame.f_back
    return place


def _from_callback(callback: FrameType) -> Release:
    node: FrameType | None = callback
    frame = callback
    while node is not None:
        code = node.f_code
        if code is _RUN_HANDLE:
            return _from_handle(node.f_locals["self"], _outermost(frame))
        if id(code) in _TRANSPORTS:
            return _CONNECTION, None, None, next_number()
        if code is p.RUN_LOOP:
            return _from_bare_callback(callback, _outermost(frame))
        callback, node = node, node.f_back
    return _by_nobody(p.UNKNOWN)


def _from_handle(handle: Any, place: p.Place | None) -> Release:
    if isinstance(handle, p.TimerHandle):
        return _by_nobody(_after_time(place))
    arguments: tuple[Any, ...] = handle._args or ()  # noqa: SLF001 - what the loop calls back with
    if len(arguments) == 1 and arguments[0] is not None and asyncio.isfuture(arguments[0]) and arguments[0].done():
        return place or p.FUTURE, *cause_of(arguments[0])[1:3], next_number()
    origin = thread_origin.get(None)
    if origin is not None and origin.context is handle._context:  # noqa: SLF001 - not a copy of it
        return _by_nobody(_unless_bare(place, p.THREAD), origin.span)
    return p.UNKNOWN if place is None or place is p.SLEEP else place, None, None, next_number()


def _from_bare_callback(callback: FrameType, place: p.Place | None) -> Release:
    """Return who resolves a future where handles cannot be seen: asyncio's own functions say it themselves."""
    values = callback.f_locals
    if callback.f_code.co_name in p.PROTOCOL_METHODS and isinstance(values.get("self"), asyncio.BaseProtocol):
        return _by_nobody(p.CONNECTION)
    if place is None or place is p.SLEEP:
        return _by_nobody(p.UNKNOWN if place is None else p.PERHAPS_SLEEP)
    if place.kind != "task":
        return _by_nobody(place)
    given = _last_argument(callback)
    if not asyncio.isfuture(given):
        return _by_nobody(p.TIMEOUT)  # the others that call these functions give them what is done
    return place, *cause_of(given)[1:3], next_number()


def _last_argument(frame: FrameType) -> Any:
    code, values = frame.f_code, frame.f_locals
    if code.co_flags & inspect.CO_VARARGS:
        rest = values[code.co_varnames[code.co_argcount + code.co_kwonlyargcount]]
        return rest[-1] if rest else None
    return values[code.co_varnames[code.co_argcount - 1]] if code.co_argcount else None


def _unless_bare(place: p.Place | None, otherwise: p.Place) -> p.Place:
    """Return `place`, but not of the helper that anything may be scheduled with and that ends a sleep, too."""
    return otherwise if place is None or place is p.SLEEP else place


def _after_time(place: p.Place | None) -> p.Place:
    if place is None:
        return p.TIMER
    return p.TIMEOUT if place.kind == "task" else place


def cause_of(future: Any) -> Release:
    """Return what ended a future that is done: a task, a gather, or whoever resolved it."""
    driver = driver_of(future) if hasattr(future, "get_coro") else None
    if driver is not None:
        return driver.end or UNKNOWN
    if isinstance(future, p.Gathering):
        return _cause_of_gather(future)
    return _noted(future) or UNKNOWN


def _cause_of_gather(outer: Any) -> Release:
    children = [child for child in outer._children if child.done()]  # noqa: SLF001 - what gather() waits for
    causes = [cause_of(child) for child in children]
    if not causes or any(cause is UNKNOWN for cause in causes):
        return _by_nobody(p.Place("task", "gather"))
    error = outer._exception  # noqa: SLF001 - `exception()` would mark it as seen
    failed = [
        cause
        for child, cause in zip(children, causes, strict=True)
        if error is not None and child._exception is error  # noqa: SLF001 - likewise
    ]
    last = failed[0] if failed else max(causes, key=itemgetter(3))
    return p.Place("task", "gather"), *last[1:3], next_number()
