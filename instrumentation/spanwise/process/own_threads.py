"""Threads and locks for spanwise's own use. They stay as they are when somebody patches `threading` later.

`gevent.monkey.patch_all()` and `eventlet.monkey_patch()` put in their place ones that switch between greenlets.
A thread, a lock or a condition that was made before, and is used after that, mixes both kinds and fails. So this module
keeps the interpreter's own lock and thread functions, and builds the little that spanwise needs on them. Where the
patch came first, everything here is the patched kind, which is consistent as well.
"""

from __future__ import annotations

import _thread
import threading
import time
from collections import deque
from contextlib import suppress
from operator import attrgetter
from types import BuiltinFunctionType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

IS_NATIVE: Final = isinstance(_thread.allocate_lock, BuiltinFunctionType)
"""Whether `threading` was unpatched when this module was loaded."""
_new_lock: Final = _thread.allocate_lock
_new_thread: Final = _thread.start_new_thread

Lock: Final[Callable[[], Any]] = _new_lock
sleep: Final = time.sleep


class _NativeRLock:
    """A re-entrant lock of the interpreter. eventlet, which replaces all that it finds, does not find it in here."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = _thread.RLock()

    # Looked up and called without a line of Python, so that an interrupt cannot leave it half taken.
    __enter__ = acquire = property(attrgetter("_lock.acquire"))
    __exit__ = property(attrgetter("_lock.__exit__"))
    release = property(attrgetter("_lock.release"))


class _NativeCondition(_NativeRLock):
    """The part of `threading.Condition` that spanwise uses, on the interpreter's own locks."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        super().__init__()
        self._waiting: deque[Any] = deque()

    def notify_all(self) -> None:
        """Wake every thread that waits."""
        while self._waiting:
            with suppress(IndexError, RuntimeError):  # a signal handler may have woken it in between
                self._waiting.popleft().release()

    def wait_for(self, predicate: Callable[[], Any], timeout: float | None = None) -> Any:
        """Wait until `predicate()` is true or `timeout` seconds have passed; returns what it returned last."""
        until = None if timeout is None else time.monotonic() + timeout
        while not (result := predicate()):
            left = -1 if until is None else until - time.monotonic()
            if until is not None and left <= 0:
                break
            self._wait(left)
        return result

    def _wait(self, seconds: float) -> None:
        woken = _new_lock()
        woken.acquire()
        self._waiting.append(woken)
        lock: Any = self._lock
        held = lock._release_save()  # noqa: SLF001 - the lock may be held more than once, as in `threading`
        try:
            woken.acquire(True, min(seconds, threading.TIMEOUT_MAX))  # noqa: FBT003
        finally:
            lock._acquire_restore(held)  # noqa: SLF001
            with suppress(ValueError):
                self._waiting.remove(woken)


class _KnownThread(threading.Thread):
    """A thread that ends without an error also where `threading` was patched while it ran."""

    def _delete(self) -> None:
        getattr(threading, "_active", {}).pop(self.ident, None)


class _NativeThread:
    """The part of a daemon `threading.Thread` that spanwise uses, on the interpreter's own thread."""

    def __init__(self, target: Callable[[], object], name: str) -> None:
        self._target = target
        self.name = name
        self._running = _new_lock()
        self._alive = False

    def start(self) -> None:
        """Start it.

        Raises:
            RuntimeError: the interpreter is ending, or there are too many threads.
        """
        self._running.acquire()
        self._alive = True
        try:
            _new_thread(self._run, ())
        except BaseException:
            self._alive = False
            self._running.release()
            raise

    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._alive

    def join(self, timeout: float = -1) -> None:
        """Wait until it has ended, or for `timeout` seconds."""
        if self._running.acquire(True, timeout):  # noqa: FBT003
            self._running.release()

    def _run(self) -> None:
        here: Any = None
        with suppress(Exception):  # a name is not worth a failure
            here = threading.current_thread()
            here.name = self.name
        try:
            self._target()
        finally:
            if here is not None:
                getattr(threading, "_active", {}).pop(here.ident, None)
            self._alive = False
            self._running.release()


def Thread(target: Callable[[], object], name: str) -> Any:  # noqa: N802 - it stands for the class
    """Return a daemon thread that is not started.

    Args:
        target: what it runs.
        name: what debuggers, log records and `threading.enumerate` call it.
    """
    if IS_NATIVE and _thread.start_new_thread is not _new_thread:
        return _NativeThread(target, name)
    return (_KnownThread if IS_NATIVE else threading.Thread)(target=target, name=name, daemon=True)


RLock: Final[Callable[[], Any]] = _NativeRLock if IS_NATIVE else threading.RLock
Condition: Final[Any] = _NativeCondition if IS_NATIVE else threading.Condition
