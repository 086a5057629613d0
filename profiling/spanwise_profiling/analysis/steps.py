"""The walk of `walk`, taken by many runs in step; every rule stands here once more, over arrays of runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias

import numpy as np

from spanwise_profiling.analysis.lists import Lists
from spanwise_profiling.analysis.rows import ADMISSION, SUSPENDED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spanwise_profiling.analysis.rows import Rows

    Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

_ENDLESS: Final = 2**62


@dataclass(frozen=True, slots=True)
class Steps:
    """Stretches of paths that are one node's own time; one element each."""

    node: Array
    start: Array
    end: Array
    observed: Array
    overlap: Array

    @classmethod
    def joined(cls, parts: Sequence[Steps]) -> Self:
        """Return all of `parts`, one after the other."""
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in cls.__slots__))

    def taken(self, places: Array) -> Self:
        """Return the elements at `places`."""
        return type(self)(*(getattr(self, name)[places] for name in self.__slots__))

    def between(self, start: Array, end: Array, *, empty: bool = False) -> Self:
        """Return the same with other times; those without length only where `empty` says so."""
        given = type(self)(self.node, start, end, self.observed, self.overlap)
        return given if empty else given.taken(np.flatnonzero(start < end))

    def order(self, rows: Rows) -> Array:
        """Return the places by run and time."""
        return np.lexsort((self.start, rows.run[self.node]))

    def in_order(self, rows: Rows) -> Self:
        """Return them by run and time."""
        return self.taken(self.order(rows))


def walked(rows: Rows) -> Steps:
    """Return the critical paths of all runs that are exact, in no order."""
    walk = _Walk(rows)
    active = np.flatnonzero(rows.exact & (rows.durations > 0))
    node, moment = rows.roots[active], rows.durations[active]
    while len(node):
        leaves = moment <= rows.start[node]
        for takes, chosen in ((walk.left, np.flatnonzero(leaves)), (walk.stepped, np.flatnonzero(~leaves))):
            node[chosen], moment[chosen] = takes(node[chosen], moment[chosen])
        on = moment > 0
        node, moment = node[on], moment[on]
    return Steps.joined(walk.found)


class _Walk:
    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        children = np.flatnonzero(rows.parent >= 0)
        work = children[rows.role[children] != SUSPENDED]
        self.work = Lists(rows, work[~rows.detached(work)])
        self.waits = Lists(rows, children[(rows.releaser[children] >= 0) | (rows.role[children] == ADMISSION)])
        self.left_waits = np.full(len(rows.start), _ENDLESS)
        """Of each node, the place in `waits` from which on they were followed."""
        self.limit = np.full(len(rows.start), _ENDLESS)
        self.observed = np.zeros(len(rows.start), bool)
        self.overlap = np.zeros(len(rows.start), bool)
        self.found: list[Steps] = [self._empty()]

    def _empty(self) -> Steps:
        none = np.empty(0, np.int64)
        return Steps(none, none, none, none.astype(bool), none.astype(bool))

    def _own(self, node: Array, start: Array, end: Array) -> None:
        start = np.maximum(start, 0)
        kept = np.flatnonzero(start < end)
        if len(kept):
            node = node[kept]
            self.found.append(Steps(node, start[kept], end[kept], self.observed[node], self.overlap[node]))

    def _end(self, node: Array) -> Array:
        return np.where(node >= 0, self.rows.end[node], 0)

    def _last_wait(self, node: Array, moment: Array) -> tuple[Array, Array]:
        if not len(self.waits.nodes):
            return np.full(len(node), -1), node
        place = np.minimum(self.waits.place(node, moment), self.left_waits[node])
        return self.waits.at(node, place), place

    def stepped(self, node: Array, moment: Array) -> tuple[Array, Array]:
        """Return where the walks that are in `node` at `moment` go on."""
        rows = self.rows
        begin = np.maximum(rows.start[node], 0)
        wait, wait_place = self._last_wait(node, moment)
        place = self.work.place(node, moment)
        done = self.work.at(node, place)
        follows = (wait >= 0) & (self._end(wait) > begin) & (self._end(done) <= self._end(wait))
        child = done.copy()
        look = np.flatnonzero(self.work.has[node] & ~follows & (self._end(done) != moment))
        going = self.work.going(node[look], moment[look], place[look], self.limit[node[look]])
        child[look] = np.where(going >= 0, going, done[look])
        down = ~follows & (self._end(child) > begin)
        until = np.where(follows, self._end(wait), np.where(down, np.minimum(self._end(child), moment), begin))
        self._own(node, until, moment)
        goes = np.flatnonzero(down)
        self.observed[child[goes]] = False
        self.overlap[child[goes]] = self.overlap[node[goes]] | (rows.end[child[goes]] > until[goes])
        node = np.where(down, child, node)
        goes = np.flatnonzero(follows)
        if len(goes):
            self.observed[wait[goes]], self.overlap[wait[goes]] = True, False
            released = rows.releaser[wait[goes]] >= 0
            node[goes[~released]] = wait[goes[~released]]
            goes = goes[released]
            self.left_waits[node[goes]] = wait_place[goes] - 1
            wait = wait[goes]
            node[goes], until[goes] = self._entered(rows.releaser[wait], wait, until[goes])
        return node, until

    def left(self, node: Array, moment: Array) -> tuple[Array, Array]:
        """Return where the walks that are done with `node` at `moment` go on."""
        rows = self.rows
        other, parent = rows.starter[node], rows.parent[node]
        node = parent.copy()
        named = np.flatnonzero((other >= 0) & (rows.start[other] < moment) & (rows.end[other] > 0))
        if len(named):
            at, above, other = moment[named], parent[named], other[named]
            last = self._end(self.work.at(above, self.work.place(above, at)))
            last = np.maximum(last, self._end(self._last_wait(above, at)[0]))
            kept = last <= np.minimum(rows.end[other], at)
            named = named[kept]
            moment = moment.copy()
            node[named], moment[named] = self._entered(other[kept], above[kept], at[kept])
        return node, moment

    def _entered(self, node: Array, between: Array, moment: Array) -> tuple[Array, Array]:
        """Go on in nodes that are known to have caused what happened at `moment`; delays are those of `between`."""
        end = self.rows.end[node]
        self.observed[node], self.overlap[node] = True, False
        within = end > moment
        self.limit[node[within]] = moment[within]
        until = np.where(within, moment, np.maximum(end, 0))
        self._own(between, until, moment)
        return node, until
