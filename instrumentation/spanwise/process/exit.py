"""The ways in which a process ends, and what is done in each: what has ended gets written, the status stays.

Normal exit, `SystemExit` and an uncaught exception come through `atexit`. SIGTERM, which would end a process without
that, gets a handler: where the program had one, that one is called after the write; else the default does what it did
before. A worker of `multiprocessing` skips `atexit` and calls its own finalizers.
"""

from __future__ import annotations

import atexit
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

_before: Any = signal.SIG_DFL
_stop: Callable[[], object] = tuple
_write: Callable[[Callable[[], object]], bool] = bool


def watch(stop: Callable[[], object], write: Callable[[Callable[[], object]], bool]) -> None:
    """Have `stop` called at the end of the process.

    Args:
        stop: flushes within its deadline and ends recording; called again, it does nothing.
        write: writes what has ended and returns true; from inside a writing, it notes what is given to be called
            after that and returns false.
    """
    global _stop, _write, _before  # noqa: PLW0603 - a process ends once
    _stop, _write = stop, write
    atexit.unregister(stop)  # so that it is there once
    atexit.register(stop)
    handler = signal.getsignal(signal.SIGTERM)
    if handler is signal.SIG_DFL or (callable(handler) and handler is not _terminated):
        _before = handler
        with suppress(ValueError):  # only the main thread of the main interpreter may set it
            signal.signal(signal.SIGTERM, _terminated)


def unwatch(stop: Callable[[], object]) -> None:
    """Undo `watch`; a handler that somebody else has set since is left."""
    atexit.unregister(stop)
    if signal.getsignal(signal.SIGTERM) is _terminated:
        with suppress(ValueError):  # as above
            signal.signal(signal.SIGTERM, _before)


def _terminated(number: int, frame: FrameType | None) -> None:
    if not _write(lambda: signal.raise_signal(number)):
        return  # it comes again when the write that it interrupted is done
    if callable(_before):
        _before(number, frame)
        return
    _stop()
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)


def watch_worker() -> None:
    """Have a forked worker of `multiprocessing` stop recording at its end, too."""
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        # Its finalizers are cleared when the worker begins; what is registered here is called after that.
        util.register_after_fork(_worker, _Worker.begin)


class _Worker:
    @staticmethod
    def begin(_: object) -> None:
        from multiprocessing import util  # noqa: PLC0415 - it is there already

        util.Finalize(None, _stop, exitpriority=100)


_worker = _Worker()
