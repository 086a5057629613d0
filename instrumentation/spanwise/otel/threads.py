"""Threads and thread pools that continue the span they were started or asked in, as tasks do.

Python starts a thread with an empty context before 3.14, and a pool's worker has whatever its thread began with. While
recording is on, `Thread.start` and `ThreadPoolExecutor.submit` are replaced by functions that take the current context
along; what somebody else put there is called by ours, and stays when ours goes.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import thread as pools
from typing import TYPE_CHECKING, Any, Final

from spanwise.otel.context import SPAN_KEY, attach, current, detach

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context

_OWN: Final = "spanwise-"
_POOL_WORKER: Final[object] = getattr(pools, "_worker", None)


class _Inside:
    """A function that runs in a context."""

    __slots__ = ("_context", "_function")

    def __init__(self, context: Context, function: Callable[..., Any]) -> None:
        self._context = context
        self._function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        token = attach(self._context)
        try:
            return self._function(*args, **kwargs)
        finally:
            detach(token)


class _Replaced:
    """One method of a class, replaced while it is wanted."""

    def __init__(self, owner: type, name: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
        self._owner, self._name, self._make = owner, name, make
        self._before: Callable[..., Any] | None = None
        self._ours: Callable[..., Any] | None = None

    def put(self) -> None:
        if self._ours is None:
            before = self._before = getattr(self._owner, self._name)
            self._ours = self._make(before)
            setattr(self._owner, self._name, self._ours)

    def take_back(self) -> None:
        if self._ours is not None and getattr(self._owner, self._name) is self._ours:
            setattr(self._owner, self._name, self._before)
            self._ours = None


_wanted = False


def carry() -> None:
    """Let threads and thread pools continue the current span from now on."""
    global _wanted  # noqa: PLW0603 - there is one `threading` in a process
    _wanted = True
    for one in _REPLACED:
        one.put()


def stop() -> None:
    """Put `Thread.start` and `ThreadPoolExecutor.submit` back; where somebody replaced ours, it does nothing more."""
    global _wanted  # noqa: PLW0603 - as above
    _wanted = False
    for one in _REPLACED:
        one.take_back()


def _carried() -> Context | None:
    context = current()
    return context if _wanted and SPAN_KEY in context else None


def _submit(before: Callable[..., Any]) -> Callable[..., Any]:
    def submit(self: ThreadPoolExecutor, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        context = _carried()
        return before(self, fn if context is None else _Inside(context, fn), *args, **kwargs)

    submit.__doc__ = before.__doc__
    return submit


def _start(before: Callable[..., Any]) -> Callable[..., Any]:
    def start(self: threading.Thread) -> None:
        context = _carried()
        # A pool's worker outlives the span that it happened to be started in; what it runs is carried by `submit`.
        if context is None or self.name.startswith(_OWN) or getattr(self, "_target", None) is _POOL_WORKER:
            before(self)
            return
        _start_inside(self, context, before)

    start.__doc__ = before.__doc__
    return start


def _start_inside(thread: threading.Thread, context: Context, start: Callable[[threading.Thread], None]) -> None:
    """Start a thread whose `run` runs in `context`; a thread that is kept does not keep the context."""
    run, own = thread.run, thread.__dict__.get("run")

    def put_back() -> None:
        if own is None:
            thread.__dict__.pop("run", None)
        else:
            thread.__dict__["run"] = own

    def inside() -> None:
        put_back()
        _Inside(context, run)()

    thread.__dict__["run"] = inside
    try:
        start(thread)
    except BaseException:
        put_back()
        raise


_REPLACED: Final = (
    _Replaced(ThreadPoolExecutor, "submit", _submit),
    _Replaced(threading.Thread, "start", _start),
)
