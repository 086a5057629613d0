"""CPU time of a thread, cheap enough for every step.

A thread's CPU clock takes a system call, ten times as dear as the other clocks. So a short part of a step counts as
CPU time as it stands, and the CPU clock is asked only for long ones (a blocking call uses none) and, for something to
subtract from, at most once in `REFRESH_NS`. What a long part is said to use is at most that much too high.
"""

from __future__ import annotations

import threading
from time import thread_time_ns
from typing import Final

from spanwise.causality.steps import LONG_NS, REFRESH_NS, Reading


def _none_yet(thread: int) -> Reading:
    reading = Reading()
    reading.due, reading.cpu, reading.thread = -1, 0, thread
    return reading


NEVER: Final = _none_yet(0)
"""The reading of a thread that is not known yet: it is always due."""
_here: Final = threading.local()


def read_at(now: int) -> Reading:
    """Return the current thread's reading, made anew where it is due at `now`."""
    reading: Reading | None = getattr(_here, "reading", None)
    if reading is None:
        reading = _here.reading = _none_yet(threading.get_ident())
    if now > reading.due:
        reading.due, reading.cpu = now + REFRESH_NS, thread_time_ns()
    return reading


def cpu_of(began: int, now: int) -> int:
    """Return the CPU time of the part of a step from `began` until `now`, which this thread runs."""
    if now - began < LONG_NS:
        return now - began
    reading: Reading | None = getattr(_here, "reading", None)
    if reading is None:
        return 0
    before = reading.cpu
    reading.due, reading.cpu = now + REFRESH_NS, thread_time_ns()
    return min(now - began, reading.cpu - before)
