"""Where the path is in doubt: for how long something else was going that the run could have waited for instead.

A stretch of the path lies in a span, and so in each span above it. It is in doubt while a second child of one of those
was going: only the order of times says then which of the two was waited for. Children that outlive their parent are no
candidates, nor is a child while a record says that it waited itself.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import replace
from typing import TYPE_CHECKING

from spanwise_profiling.analysis.tree import ROUNDING_NS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from spanwise_profiling.analysis.tree import Tree
    from spanwise_profiling.profile import Segment

    Interval = tuple[int, int]

_LEAST_SHARE = 1_000
"""Overlaps shorter than this part of the run, and than a millisecond, are what clocks and formats round."""


def with_doubts(tree: Tree, placed: Sequence[tuple[int, Segment]]) -> list[tuple[int, Segment]]:
    """Return the segments of a path, each with its node, with `doubt_ns` filled in; observed ones have none."""
    doubts = _Doubts(tree)
    return [
        (node, segment if segment.edge == "observed" else replace(segment, doubt_ns=doubts.within(node, segment)))
        for node, segment in placed
    ]


class _Doubts:
    """Per node of the path, when a second candidate was going somewhere above it."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._least = min(ROUNDING_NS, (tree.ends[0] - tree.starts[0]) // _LEAST_SHARE)
        self._crowded: dict[int, list[Interval]] = {}
        self._above: dict[int, list[Interval]] = {0: []}

    def within(self, node: int, segment: Segment) -> int:
        intervals = self._of(node)
        total = 0
        for start, end in intervals[max(0, bisect_right(intervals, (segment.start_ns,)) - 1) :]:
            if start >= segment.end_ns:
                break
            total += max(0, min(end, segment.end_ns) - max(start, segment.start_ns))
        return total

    def _of(self, node: int) -> list[Interval]:
        """Return when something beside `node`, or beside a span above it, was going."""
        chain = [node]
        while chain[-1] not in self._above:
            chain.append(self._tree.parents[chain[-1]])
        for here in reversed(chain[:-1]):
            parent = self._tree.parents[here]
            crowded, above = self._crowded_in(parent), self._above[parent]
            self._above[here] = _crowded([*crowded, *above], 1) if crowded and above else crowded or above
        return self._above[node]

    def _crowded_in(self, parent: int) -> list[Interval]:
        known = self._crowded.get(parent)
        if known is None:
            tree = self._tree
            candidates = [
                interval
                for child in tree.children[parent]
                if tree.roles[child] != "suspended" and not tree.is_detached(child)
                for interval in self._going(child)
            ]
            known = [one for one in _crowded(candidates, 2) if one[1] - one[0] > self._least]
            self._crowded[parent] = known
        return known

    def _going(self, node: int) -> Iterator[Interval]:
        """Yield when `node` was going: not while it waited, as a record says, for something that is not below it."""
        tree, begin = self._tree, self._tree.starts[node]
        for wait in tree.children[node]:  # by start
            if tree.releasers[wait] >= 0 and not self._is_below(tree.releasers[wait], node):
                yield begin, tree.starts[wait]
                begin = max(begin, tree.ends[wait])
        yield begin, tree.ends[node]

    def _is_below(self, node: int, above: int) -> bool:
        while node > above:  # parents have smaller numbers
            node = self._tree.parents[node]
        return node == above


def _crowded(intervals: Iterable[Interval], least: int) -> list[Interval]:
    """Return when at least `least` of `intervals` were going, from first to last, without those that touch."""
    events = sorted(event for start, end in intervals if start < end for event in ((start, 1), (end, -1)))
    found: list[Interval] = []
    going, begin = 0, 0
    for moment, change in events:  # an end comes before a start of the same moment
        going += change
        if change > 0 and going == least:
            begin = moment
        elif change < 0 and going == least - 1 and moment > begin:
            found.append((begin, moment))
    return found
