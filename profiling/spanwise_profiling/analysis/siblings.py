"""Which child of a span ended last before a moment: the question that a walk back along the critical path asks.

The moments only go back, so each child is looked at a constant number of times however many there are. A child that
ended by then is found by its end; one that was still going counts as ended then, and of several the one that ended
soonest, because it needs the least disbelief in the clocks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Siblings:
    """The children of one span, asked with moments that never increase."""

    __slots__ = ("_by_end", "_ends", "_going", "_starts", "_upto")

    def __init__(self, members: Iterable[int], starts: Sequence[int], ends: Sequence[int]) -> None:
        self._starts, self._ends = starts, ends
        # Of equal ends the longest is found first, then the first in the trace; of those going the other way round.
        lasting = [node for node in members if starts[node] < ends[node]]
        self._by_end = sorted(lasting, key=lambda node: (ends[node], -starts[node], -node))
        self._upto = len(self._by_end)
        self._going: list[int] = []

    def ended(self, moment: int) -> int:
        """Return the child that ended last, at `moment` or before; -1 where none did."""
        by_end, ends, upto = self._by_end, self._ends, self._upto
        while upto and ends[by_end[upto - 1]] > moment:
            upto -= 1
            self._going.append(by_end[upto])
        self._upto = upto
        return by_end[upto - 1] if upto else -1

    def drop(self) -> None:
        """Leave out from now on what `ended` returned last."""
        self._upto -= 1

    def last(self, moment: int) -> int:
        """Return the child that ended last, one that was still going at `moment` counting as ended then; or -1."""
        done = self.ended(moment)
        if done >= 0 and self._ends[done] == moment:
            return done
        while self._going and self._starts[self._going[-1]] >= moment:
            self._going.pop()
        return self._going[-1] if self._going else done

    def only_ended(self, moment: int) -> None:
        """From now on leave out children that were still going at `moment`."""
        self.ended(moment)
        self._going.clear()
