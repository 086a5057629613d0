"""When a recording process looks after its folder: soon after it began to write, after each segment, and hourly."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from spanwise.errors import InputError
from spanwise.process.imports import apart_from_forks

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from spanwise.journal.stream import Stream

_FIRST: Final = 1.0
"""Seconds, so that a process which is soon over leaves it to others."""
_AGAIN: Final = 3600.0


class Housekeeping:
    """Compresses closed segments of a stream's folder and keeps the folder within its bounds.

    Args:
        stream: this process's.
        max_bytes: how much all segments may take.
        max_age: seconds that a segment is kept.
    """

    def __init__(self, stream: Stream, max_bytes: int, max_age: float) -> None:
        self._stream = stream
        self._max_bytes = max_bytes
        self._max_age = max_age
        self._sequence = 1
        self._due: float | None = None

    def __call__(self, is_busy: Callable[[], bool]) -> None:
        """Do it if it is time, until `is_busy` says that there is something more urgent."""
        if not self._stream.is_open:
            return
        now, sequence = time.monotonic(), self._stream.segments.position.sequence
        if self._due is None:
            self._due = now + _FIRST
        if now < self._due and sequence == self._sequence:
            return
        self._due, self._sequence = now + _AGAIN, sequence
        # Another process does it later, too: what this one may not do, does not understand, or cannot load since it was
        # installed anew, costs the host nothing.
        with suppress(OSError, InputError, ImportError):
            _bounds().keep(
                self._stream.folder, now=time.time(), max_bytes=self._max_bytes, max_age=self._max_age, is_busy=is_busy
            )


def _bounds() -> ModuleType:
    with apart_from_forks():
        from spanwise.journal import bounds  # noqa: PLC0415 - 8 ms, and only processes that last a second need it
    return bounds
