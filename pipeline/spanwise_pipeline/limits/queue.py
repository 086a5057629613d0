"""Who is served next: inside a run first come, first served, whatever the size; between runs, turns by what they took.

Start-time fair queueing (Goyal, Vin and Cheng, 1996): each entry is tagged with the service that its run had been given
when the entry's turn begins, and the smallest tag is served first. A run that comes late is served beside those that
wait already, and a run that was idle has saved nothing up.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Generic, TypeVar

from opentelemetry import trace

if TYPE_CHECKING:
    from collections.abc import Hashable

T = TypeVar("T")


class FairQueue(Generic[T]):
    """Entries in the order of service. One that leaves early stays in the heap, and is passed over at its turn."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, T]] = []
        self._queued: set[int] = set()
        """Identities of the entries that have not left."""
        self._ends: dict[Hashable, float] = {}
        """Where the service of each run ends, counted in the service that one run is given."""
        self._now = 0.0
        self._pushed = 0

    def __len__(self) -> int:
        return len(self._queued)

    def push(self, entry: T, run: Hashable, cost: float) -> None:
        """Queue `entry` of `run`, whose service will cost as much."""
        begins = max(self._now, self._ends.get(run, 0.0))
        self._ends[run] = begins + cost
        self._pushed += 1
        self._queued.add(id(entry))
        heapq.heappush(self._heap, (begins, self._pushed, entry))

    def first(self) -> T:
        """Return the entry that is served next; there must be one."""
        while id(self._heap[0][2]) not in self._queued:
            heapq.heappop(self._heap)
        return self._heap[0][2]

    def pop(self) -> T:
        """Take the entry that is served next; there must be one."""
        entry = self.first()
        self._now = heapq.heappop(self._heap)[0]
        self.remove(entry)
        return entry

    def remove(self, entry: T) -> bool:
        """Take `entry` out of its turn; returns whether it was queued."""
        if id(entry) not in self._queued:
            return False
        self._queued.remove(id(entry))
        if not self._queued:
            self._heap.clear()
            self._ends.clear()
            self._now = 0.0
        return True


def current_run() -> int:
    """Return what tells runs apart: the current trace; 0 outside any."""
    return trace.get_current_span().get_span_context().trace_id
