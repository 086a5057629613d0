"""Concurrency where no limit is known: it grows while answers come as fast as ever, and shrinks when they do not.

Additive increase, multiplicative decrease: one place more after each round of calls that used all places; a tenth less
where first tokens take longer than `tolerance` times the best round, three tenths less where the provider refuses or
times out. A server that queues without refusing, as vLLM and llama.cpp do, is held where its queue begins.
"""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Final

from spanwise_pipeline.limits.concurrency import ConcurrencyLimit

if TYPE_CHECKING:
    from spanwise_pipeline.clock import Clock

_SLOWER: Final = 0.9
_REFUSED: Final = 0.7


class AdaptiveLimit(ConcurrencyLimit):
    """A concurrency limit that finds its own capacity between `least` and `most`."""

    def __init__(
        self, name: str, *, clock: Clock, start: int = 8, least: int = 1, most: int = 256, tolerance: float = 2.0
    ) -> None:
        if not 1 <= least <= start <= most or tolerance <= 1:
            raise ValueError(
                f"limit {name!r} needs 1 <= least <= start <= most and a tolerance above 1: "
                f"{least}, {start}, {most}, {tolerance}"
            )
        super().__init__(name, start)
        self._clock = clock
        self._least = least
        self._most = most
        self._tolerance = tolerance
        self._round: list[float] = []
        self._was_full = False
        self._best: float | None = None
        self._changed_at = -1.0

    def answered(self, first_token_s: float, began: float) -> None:
        """Take the seconds to first token of a call that began at `began` on the clock."""
        self._was_full = self._was_full or self._in_use >= self._capacity
        if began <= self._changed_at:
            return  # it was under way before the last change and says nothing about it
        self._round.append(first_token_s)
        if len(self._round) < self._capacity:
            return
        usual = statistics.median(self._round)
        self._best = usual if self._best is None else min(self._best, usual)
        if usual > self._tolerance * self._best:
            self._change(max(self._least, int(self._capacity * _SLOWER)))
        elif self._was_full:
            self._change(min(self._most, self._capacity + 1))
        self._round.clear()
        self._was_full = False

    def refused(self, began: float) -> None:
        """Take that a call that began at `began` was refused for load or took too long."""
        if began > self._changed_at:
            self._change(max(self._least, int(self._capacity * _REFUSED)))
            self._round.clear()

    def _change(self, capacity: int) -> None:
        if capacity < self._capacity:
            self._changed_at = self._clock.now()
        self.set_capacity(capacity)
