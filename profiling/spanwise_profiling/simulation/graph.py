"""The graph of a run: after which events each start and each end of a span came, and how long after.

Within a span work goes on in order: a child starts some time after the last thing that the span can have waited for.
That is the span's own start, the end of each sibling that had ended by then, and the release of each recorded wait.
Waiting for every sibling that had ended is the careful guess: it promises too little where siblings had nothing to do
with one another, and never overlooks a branch that binds. A pair of siblings that other runs show the other way round
is no such pair (the refutation of The Mystery Machine, OSDI 2014).

An event comes `lag` nanoseconds after the last of the events `before` it, so that a graph without a change gives back
every recorded time. Events are numbers: `2 * node` starts a span, `2 * node + 1` ends it, and greater ones stand for
sets of ends that many starts waited for.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from functools import cached_property
from heapq import heapify, heappop, heappush
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from spanwise import conventions as c
from spanwise_profiling import kinds
from spanwise_profiling.analysis.tree import tree_of
from spanwise_profiling.simulation.roles import Known, course_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from spanwise_profiling.analysis.tree import Tree
    from spanwise_profiling.runs import Run

MICROSECOND: Final = 1_000
_MILLISECOND: Final = 1_000_000
_SHARED: Final = 4
"""A longer set of ends becomes an event of its own, which the starts after it share."""


@dataclass(frozen=True)
class Graph:
    """The events of one run; lists are indexed by event, times are nanoseconds since 1970."""

    tree: Tree
    before: Sequence[Sequence[int]]
    lags: Sequence[int]
    """After the last of the events before it; of an event with none, its recorded time."""
    times: Sequence[int]
    """Recorded."""
    order: Sequence[int]
    """All events, each after those before it."""
    rank: Sequence[int]
    """Place of each event in `order`."""

    @cached_property
    def after(self) -> Sequence[Sequence[int]]:
        """Events to those that come after them: `before`, the other way round."""
        after: list[list[int]] = [[] for _ in self.before]
        for event, causes in enumerate(self.before):
            for cause in causes:
                after[cause].append(event)
        return after

    def causes(self, event: int) -> list[int]:
        """Return the starts and ends before an event, shared sets taken apart."""
        spans = 2 * len(self.tree.spans)
        found: list[int] = []
        for cause in self.before[event]:
            found.extend(self.before[cause] if cause >= spans else (cause,))
        return found

    def followers(self, event: int) -> list[int]:
        """Return the starts and ends that come after an event, shared sets taken apart."""
        spans = 2 * len(self.tree.spans)
        found: list[int] = []
        for follower in self.after[event]:
            found.extend(self.after[follower] if follower >= spans else (follower,))
        return found


def start_of(node: int) -> int:
    """Return the event that starts a node."""
    return 2 * node


def end_of(node: int) -> int:
    """Return the event that ends a node."""
    return 2 * node + 1


def graph_of(run: Run, known: Known | None = None, *, bold: bool = False) -> Graph:
    """Return the graph of a run.

    Args:
        run: repaired (`normalise`).
        known: what other runs of the same program show of its steps.
        bold: of the siblings that had ended when a span started, only the last counts as waited for. The truth lies
            between this and the careful guess.
    """
    return _Builder(tree_of(run), known, bold=bold).graph()


class _Builder:
    def __init__(self, tree: Tree, known: Known | None, *, bold: bool) -> None:
        self._tree, self._known, self._bold = tree, known or Known(), bold
        self._roles = [0] * len(tree.spans) if known is None else known.roles_of(tree)
        count = len(tree.spans)
        self._times = [time for both in zip(tree.starts, tree.ends, strict=True) for time in both]
        self._keys = _keys(tree)
        self._order = sorted(range(2 * count), key=self._keys.__getitem__)
        self._rank = _places(self._order)
        self._before: list[list[int]] = [[] for _ in range(2 * count)]
        self._detached = [node > 0 and self._is_detached(node) for node in range(count)]
        self._unexplained = {node for children in tree.children for node in _alone(tree, children)}
        self._beside = {node for children in tree.children for node in _other_tasks(tree, children)}

    def graph(self) -> Graph:
        tree, before, times = self._tree, self._before, self._times
        for node in range(len(tree.spans)):
            self._add(end_of(node), start_of(node))
            if tree.releasers[node] >= 0:
                self._released(end_of(node), tree.releasers[node])
            for other in tree.starters_of(node):
                self._released(start_of(node), other)
            self._children(node)
        for event in range(2 * len(tree.spans), len(before)):
            causes = before[event]
            times.append(max(times[cause] for cause in causes))
            self._keys.append((*self._keys[max(causes, key=self._rank.__getitem__)][:3], 1))
        order = _in_order(before, self._keys)
        lags = [
            times[event] - (max([times[cause] for cause in causes]) if causes else 0)
            for event, causes in enumerate(before)
        ]
        return Graph(tree, before, lags, times, order, _places(order))

    def _is_detached(self, node: int) -> bool:
        return self._tree.is_detached(node) or self._roles[node] in self._known.detached

    def _add(self, event: int, cause: int) -> None:
        if self._rank[cause] < self._rank[event]:
            self._before[event].append(cause)

    def _released(self, event: int, other: int) -> None:
        """Let `event` come after the end of `other`, or after the last that had happened in it where it went on."""
        end, above = end_of(other), self._above(event // 2)
        if other not in above and self._keys[end][0] <= self._keys[event][0]:
            self._before[event].append(end)
            return
        tree, keys = self._tree, self._keys
        ended = [child for child in tree.children[other] if child not in above and self._counts(child)]
        reached = [start_of(other), *map(end_of, ended)]
        # Of the same moment counts too: on a virtual clock that is what released it.
        reached = [cause for cause in reached if keys[cause][0] <= keys[event][0] and cause != event]
        if reached:
            self._before[event].append(max(reached, key=keys.__getitem__))

    def _above(self, node: int) -> set[int]:
        found = {node}
        while (node := self._tree.parents[node]) >= 0:
            found.add(node)
        return found

    def _counts(self, child: int) -> bool:
        """Whether a span waits for the end of this child."""
        if self._detached[child] or child in self._beside:
            return False
        waits = self._tree.roles[child] == "suspended" and self._tree.releasers[child] < 0
        return not waits or child in self._unexplained

    def _children(self, parent: int) -> None:
        tree, rank = self._tree, self._rank
        children = tree.children[parent]
        if not children:
            return
        ended = sorted((child for child in children if self._counts(child)), key=lambda child: rank[end_of(child)])
        for child in ended:
            self._add(end_of(parent), end_of(child))
        refuted = self._known.refuted.get(course_of(tree, parent, self._roles), {}) if self._known.refuted else {}
        ranks = [rank[end_of(child)] for child in ended]
        shared: dict[tuple[int, int], int] = {}
        upto, latest = 0, -1
        for child in sorted(children, key=lambda child: rank[start_of(child)]):
            start = start_of(child)
            self._add(start, start_of(parent))
            while upto < len(ended) and ranks[upto] < rank[start]:
                latest = max(latest, rank[start_of(ended[upto])])
                upto += 1
            if upto and self._bold:
                self._before[start].append(end_of(ended[upto - 1]))
            elif upto and self._roles[child] in refuted:
                self._before[start].extend(self._unrefuted(ended[:upto], child, refuted))
            elif upto:
                # What ended before another one started that has ended is before that one already.
                self._wait_for(start, ended, (bisect_right(ranks, latest), upto), shared)

    def _wait_for(
        self, start: int, ended: Sequence[int], which: tuple[int, int], shared: dict[tuple[int, int], int]
    ) -> None:
        first, upto = which
        if upto - first <= _SHARED:
            self._before[start].extend(end_of(other) for other in ended[first:upto])
            return
        if which not in shared:
            shared[which] = len(self._before)
            self._before.append([end_of(other) for other in ended[first:upto]])
        self._before[start].append(shared[which])

    def _unrefuted(self, ended: Sequence[int], child: int, refuted: Mapping[int, frozenset[int]]) -> list[int]:
        """Return the ends that a start came after, without those that come before others of them anyway."""
        rank, roles, found = self._rank, self._roles, list[int]()
        for other in reversed(ended):
            implied = any(
                rank[end_of(other)] < rank[start_of(later)] and roles[other] not in refuted.get(roles[later], ())
                for later in found
            )
            if not implied and roles[other] not in refuted[roles[child]]:
                found.append(other)
        return [end_of(other) for other in found]


def _alone(tree: Tree, children: Sequence[int]) -> Iterator[int]:
    """Yield the waits of which nobody knows who ended them, and during which nothing else below the parent went on.

    What a call waits for is the call's own business.
    """
    waits = [
        child
        for child in children
        if tree.roles[child] == "suspended" and tree.releasers[child] < 0 and tree.calls[child] < 0
    ]
    if not waits:
        return
    work = sorted((tree.starts[child], tree.ends[child]) for child in children if tree.roles[child] != "suspended")
    begins, reached = [start for start, _ in work], list(accumulate((end for _, end in work), max))
    for wait in waits:
        before = bisect_left(begins, tree.ends[wait])
        if not before or reached[before - 1] <= tree.starts[wait]:
            yield wait


def _other_tasks(tree: Tree, children: Sequence[int]) -> Iterator[int]:
    """Yield the sleeps during which the parent waited for something else all along: another task of its slept."""
    waits = sorted(
        (child for child in children if tree.kinds[child] == "wait"),
        key=lambda child: (tree.starts[child], -tree.ends[child]),
    )
    reached = 0
    for wait in waits:
        sleeps = tree.roles[wait] == "admission" and kinds.text_of(tree.spans[wait], c.WAIT_KIND) == "timer"
        if sleeps and tree.ends[wait] <= reached:
            yield wait
        reached = max(reached, tree.ends[wait])


def _in_order(before: list[list[int]], keys: Sequence[tuple[int, int, int, int]]) -> list[int]:
    """Return all events, each after those before it, else by their keys; what would make a circle is left out."""
    after: list[list[int]] = [[] for _ in before]
    missing = [len(causes) for causes in before]
    for event, causes in enumerate(before):
        for cause in causes:
            after[cause].append(event)
    ready = [(keys[event], event) for event, count in enumerate(missing) if not count]
    heapify(ready)
    order: list[int] = []
    done = [False] * len(before)
    left = iter(sorted(range(len(before)), key=keys.__getitem__))
    while len(order) < len(before):
        if ready:
            event = heappop(ready)[1]
        else:
            event = next(event for event in left if not done[event])
            before[event] = [cause for cause in before[event] if done[cause]]
        if done[event]:
            continue
        done[event] = True
        order.append(event)
        for follower in after[event]:
            missing[follower] -= 1
            if not missing[follower] and not done[follower]:
                heappush(ready, (keys[follower], follower))
    return order


def _places(order: Sequence[int]) -> list[int]:
    places = [0] * len(order)
    for place, event in enumerate(order):
        places[event] = place
    return places


def tolerance_of(times: Iterable[int]) -> int:
    """Return by how much an order of times may be wrong: a millisecond where they were recorded so, a microsecond."""
    return _MILLISECOND if all(time % _MILLISECOND == 0 for time in times) else MICROSECOND


def _keys(tree: Tree) -> list[tuple[int, int, int, int]]:
    """Return a sort key for each event: by time, causes before effects where times are equal, as on a virtual clock.

    First what has nothing below it ends, then waits, then what is above them and waits that it releases, the last of
    the tree first; then spans start, and those of no length end. An end counts as if it had come a moment earlier:
    clocks round.
    """
    slack = tolerance_of((*tree.starts, *tree.ends))
    keys: list[tuple[int, int, int, int]] = []
    for node, (start, end) in enumerate(zip(tree.starts, tree.ends, strict=True)):
        keys.append((start, 3, node, 0))
        above = tree.children[node] or tree.releasers[node] >= 0
        rank = 2 if above else 1 if tree.kinds[node] == "wait" else 0
        keys.append((end - slack, rank, -node, 0) if end - slack > start else (start, 4, -node, 0))
    return keys
