"""Time and CPU time of a thread, cheap enough for every step.

A thread's CPU clock takes a system call, ten times as dear as the other clocks. So a short part of a step counts as
CPU time as it stands, and the CPU clock is asked only for long ones (a blocking call uses none) and, for something to
subtract from, at most once in `REFRESH_NS`. What a long part is said to use is at most that much too high.
"""

from __future__ import annotations

import time
from threading import get_ident
from typing import Final

REFRESH_NS: Final = 100_000
LONG_NS: Final = 1_000_000
"""From here on a part of a step is measured with the CPU clock."""


class Clocks:
    """The last readings of each thread."""

    def __init__(self) -> None:
        self.offset = time.time_ns() - time.perf_counter_ns()
        """What turns the performance counter into Unix time."""
        self._readings: dict[int, tuple[int, int]] = {}

    def begin(self, now: int) -> int:
        """Note that a step begins at `now` (performance counter); returns the identity of the thread."""
        thread = get_ident()
        reading = self._readings.get(thread)
        if reading is None or now - reading[0] > REFRESH_NS:
            self._readings[thread] = (now, time.thread_time_ns())
            self.offset = time.time_ns() - time.perf_counter_ns()
        return thread

    def cpu_of(self, began: int, now: int) -> int:
        """Return the CPU time of the part of a step from `began` until `now`, which this thread runs."""
        if now - began < LONG_NS:
            return now - began
        before = self._readings.get(get_ident())
        used = time.thread_time_ns()
        self._readings[get_ident()] = (now, used)
        if before is None:
            return 0
        return min(now - began, used - before[1])
