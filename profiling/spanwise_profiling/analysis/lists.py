"""Children of many spans, sorted so that "who ended last by then" is a binary search: `siblings` for whole columns.

The children stand by parent and end in one array with one number as key. A child that was still going is found after
that place: the first with an earlier start, over pointers from each child to the next one that began before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from spanwise_profiling.analysis.rows import TIME_BITS

if TYPE_CHECKING:
    from spanwise_profiling.analysis.rows import Rows

    Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]


class Lists:
    """The children among `members` of all parents; answers are nodes, -1 for none."""

    def __init__(self, rows: Rows, members: Array) -> None:
        self._rows = rows
        members = members[(rows.end[members] > rows.start[members]) & (rows.end[members] > 0)]
        keys = self._keys(rows.parent[members], rows.end[members])
        order = np.argsort(keys, kind="stable")
        self.nodes, self.keys = members[order], keys[order]
        self._settle_ties()
        self.first = np.searchsorted(self.keys, self._keys(np.arange(len(rows.start)), 0))
        self.has = np.append(self.first[1:], len(self.keys)) > self.first
        self._next: Array | None = None

    def _keys(self, parents: Array, moments: Array | int) -> Array:
        return (parents.astype(np.int64) << TIME_BITS) | moments

    def _settle_ties(self) -> None:
        """Sort members of equal parents and ends: the longest last, then the first in the trace last."""
        same = np.flatnonzero(self.keys[1:] == self.keys[:-1])
        if not len(same):
            return
        places = np.unique(np.concatenate([same, same + 1]))
        nodes = self.nodes[places]
        rows = self._rows
        order = np.lexsort((~rows.span_id[nodes], ~rows.lost[nodes], -rows.start[nodes], self.keys[places]))
        self.nodes[places] = nodes[order]

    def place(self, parents: Array, moments: Array) -> Array:
        """Return how many children stand before what has not ended at `moments`; that of the first parent included."""
        return np.searchsorted(self.keys, self._keys(parents, moments), side="right")

    def at(self, parents: Array, places: Array) -> Array:
        """Return the child before each of `places`, -1 where that is another parent's."""
        found = places > self.first[parents]
        return np.where(found, self.nodes[places - 1], -1) if len(self.nodes) else np.full(len(parents), -1)

    def going(self, parents: Array, moments: Array, places: Array, limits: Array) -> Array:
        """Return who was going at `moments` and ended soonest, by `limits` at the latest; `places` as `place` says."""
        if not len(self.nodes):
            return np.full(len(parents), -1)
        if self._next is None:
            self._next = self._pointers()
        starts, last = self._rows.start, len(self.nodes)
        places = places.copy()
        looking = np.arange(len(places))
        while len(looking):
            here = places[looking]
            inside = here < last
            node = self.nodes[np.minimum(here, last - 1)]
            inside &= self._rows.parent[node] == parents[looking]
            looking = looking[inside & (starts[node] >= moments[looking])]
            places[looking] = self._next[places[looking]]
        node = self.nodes[np.minimum(places, last - 1)]
        found = (places < last) & (self._rows.parent[node] == parents) & (starts[node] < moments)
        return np.where(found & (self._rows.end[node] <= limits), node, -1)

    def _pointers(self) -> Array:
        """Return for each place the next one whose member began earlier, or has another parent."""
        last = len(self.nodes)
        starts, parents = self._rows.start[self.nodes], self._rows.parent[self.nodes]
        following = np.arange(1, last + 1)
        looking = np.arange(last)
        while len(looking):
            other = following[looking]
            inside = other < last
            other = np.minimum(other, last - 1)
            inside &= (parents[other] == parents[looking]) & (starts[other] >= starts[looking])
            looking = looking[inside]
            following[looking] = following[following[looking]]
        return following
