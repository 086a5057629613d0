"""A token bucket: how much of a limit a minute is left, and when more will be."""

from __future__ import annotations

from typing import Final

MINUTE: Final = 60.0
_ROUNDING: Final = 1e-9
"""Share of the bucket by which sums of fractions may miss what they should be."""


class Bucket:
    """Fills evenly up to `capacity`, and is full at first; times are system seconds."""

    def __init__(self, per_minute: float, capacity: float, now: float) -> None:
        self.per_minute = per_minute
        self.capacity = capacity
        self.level = capacity
        self.gained = 0.0
        """All that has flowed in so far."""
        self._filled_at = now

    def fill(self, now: float) -> None:
        """Bring the level up to `now`."""
        flow = max(0.0, now - self._filled_at) * self.per_minute / MINUTE
        gained = min(flow, self.capacity - self.level)
        self.level += gained
        self.gained += gained
        self._filled_at = now

    def wait(self, amount: float) -> float:
        """Return the seconds until `amount` is there; 0 where it is."""
        missing = amount - self.level
        return missing * MINUTE / self.per_minute if missing > self.capacity * _ROUNDING else 0.0

    def take(self, amount: float) -> None:
        """Take `amount`; a negative one gives back. Taking more than there is leaves a debt."""
        self.level = min(self.capacity, self.level - amount)
