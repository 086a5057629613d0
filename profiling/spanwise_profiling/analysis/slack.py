"""How much later each span could have ended without the run ending later, and how much work a run is.

Whatever began after a span's end, below the same parent, might have waited for it, and so might what the parent did
when the last of its children had ended. Recorded waits and links add who waited elsewhere in the run. The slack is the
least of what these leave: less than the truth where they had nothing to do with one another, more only where somebody
waited and no record says so. Spans are settled from the last end to the first, since each depends on later ones alone.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from spanwise_profiling.analysis.tree import CALLS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from spanwise_profiling.analysis.tree import Tree


def slacks_of(tree: Tree, critical: set[int]) -> list[int]:
    """Return the slack of each node in nanoseconds; 0 for those of `critical`."""
    settling = _Settling(tree, critical)
    for node in settling.order():
        settling.settle(node)
    return settling.slack


def work_of(tree: Tree) -> int:
    """Return the sum of the spans' own times, waits left out."""
    return sum(
        _own(tree, node) for node, kind in enumerate(tree.kinds) if kind != "wait" and (node or not tree.made_up)
    )


def critical_nodes(tree: Tree, nodes: Iterable[int]) -> set[int]:
    """Return `nodes`, which have a part of the path, and all above them."""
    found: set[int] = set()
    for node in nodes:
        here = node
        while here >= 0 and here not in found:
            found.add(here)
            here = tree.parents[here]
    return found


class _Settling:
    """The slack of the nodes that are settled, and by when what follows in each span has to go on."""

    def __init__(self, tree: Tree, critical: set[int]) -> None:
        self._tree, self._critical = tree, critical
        self.slack = [0] * len(tree.spans)
        self._settled = [False] * len(tree.spans)
        self._ends = list(tree.ends)
        for node in range(1, len(tree.spans)):  # parents come before their children
            if not tree.is_detached(node):
                self._ends[node] = min(tree.ends[node], self._ends[tree.parents[node]])
        self._following: dict[int, _Following] = {}
        self._waiters: dict[int, list[int]] = {}
        self._started: dict[int, list[int]] = {}
        for node in range(len(tree.spans)):
            if tree.releasers[node] >= 0:
                self._waiters.setdefault(tree.releasers[node], []).append(node)
            for starter in tree.starters_of(node):
                self._started.setdefault(starter, []).append(node)

    def order(self) -> list[int]:
        """Return the nodes by end, the last first; parents before children that end with them."""
        ends = self._ends
        return sorted(range(len(ends)), key=lambda node: (-ends[node], node))

    def settle(self, node: int) -> None:
        tree, end = self._tree, self._ends[node]
        self._settled[node] = True
        if node in self._critical or node == 0:
            return
        if tree.is_detached(node):
            self.slack[node] = max(0, tree.ends[0] - end)
            return
        self.slack[node] = max(0, min(self._room(node, end)))

    def _room(self, node: int, end: int) -> Iterator[int]:
        """Yield how much later than `end` each of those that depend on `node` lets it end."""
        tree = self._tree
        yield self._goes_on(tree.parents[node], end, end) - end
        for wait in self._waiters.get(node, ()):
            if (released := tree.ends[wait]) >= end:
                yield self._goes_on(tree.parents[wait], released, end) - released
        for started in self._started.get(node, ()):
            if tree.starts[started] >= end:
                yield tree.starts[started] + self.slack[started] * self._settled[started] - end

    def _goes_on(self, node: int, moment: int, now: int) -> int:
        """Return by when what `node` did after `moment` has to go on; all that ends after `now` is settled."""
        if not self._settled[node]:
            return moment
        following = self._following.get(node)
        if following is None:
            following = self._following[node] = _Following(self._tree, node)
        bound = following.least(moment, now, self._tree.starts, self.slack)
        latest = max(following.joined, moment) + self.slack[node]
        return latest if bound is None else min(bound, latest)


class _Following:
    """The children of a span that its course had to reach, by start; asked with times that go back."""

    def __init__(self, tree: Tree, node: int) -> None:
        joined = [child for child in tree.children[node] if tree.roles[child] != "suspended"]
        joined = [child for child in joined if not tree.is_detached(child) and tree.starts[child] < tree.ends[child]]
        self.joined = min(tree.ends[node], max((tree.ends[child] for child in joined), default=tree.ends[node]))
        """When the last of them had ended."""
        self._coming = sorted(joined, key=lambda child: tree.starts[child])
        self._starts: list[int] = []  # negated, ascending
        self._bounds: list[int] = []  # the least moment by which this or a later one has to begin

    def least(self, moment: int, now: int, starts: Sequence[int], slack: Sequence[int]) -> int | None:
        """Return the least moment by which what began at `moment` or later has to begin; `now` is not after it."""
        while self._coming and starts[self._coming[-1]] >= now:
            child = self._coming.pop()
            bound = starts[child] + slack[child]
            self._starts.append(-starts[child])
            self._bounds.append(min(bound, self._bounds[-1]) if self._bounds else bound)
        after = bisect_left(self._starts, -moment + 1)
        return self._bounds[after - 1] if after else None


def _own(tree: Tree, node: int) -> int:
    start, end = tree.starts[node], tree.ends[node]
    own, reached = end - start, start
    in_call = tree.kinds[node] in CALLS or tree.calls[node] >= 0
    for child in tree.children[node]:  # by start
        if in_call and tree.roles[child] == "suspended":
            continue
        covered = min(tree.ends[child], end) - max(tree.starts[child], reached)
        if covered > 0:
            own -= covered
            reached = min(tree.ends[child], end)
    return own
