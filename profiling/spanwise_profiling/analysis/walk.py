"""The critical path of a run: walked back from its end, along recorded waits where there are any, else by times.

At a moment in a span the walk asks what the span had waited for. A recorded wait answers that: the walk goes on in the
span that ended it, at the moment of release and wherever it hangs (CPT, Google 2022), or in the wait itself where that
was for a limit, a timer or a person. So do the links of a span that was started by another. Without a record it is the
child that ended last, and a child that was still going counts as ended then (the clipped walk): overlapping siblings
are neither lost nor counted twice. Times that no child explains are the span's own. The stretches partition the run
exactly, whatever the spans look like.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from spanwise_profiling.analysis.siblings import Siblings

if TYPE_CHECKING:
    from spanwise_profiling.analysis.tree import Tree


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of the path that is one span's own time."""

    node: int
    start_ns: int
    end_ns: int
    observed: bool
    overlap: bool


class Walk:
    """One walk back through a tree; keeps what may be looked at only once.

    Args:
        tree: to walk in.
        begin: where to end, nanoseconds.
        without: children that are not gone down to.
    """

    def __init__(self, tree: Tree, begin: int, without: frozenset[int] = frozenset()) -> None:
        self.tree = tree
        self._without = without
        self._begin = begin
        self._work: dict[int, Siblings] = {}
        self._waits: dict[int, Siblings] = {}
        self._how: dict[int, tuple[bool, bool]] = {}
        self._stretches: list[Stretch] = []

    def back_from(self, node: int, moment: int) -> list[Stretch]:
        """Return the path that ends in `node` at `moment`, from the first stretch to the last."""
        self._how[node] = (False, False)
        while moment > self._begin:
            node, moment = self._step(node, moment) if moment > self.tree.starts[node] else self._leave(node, moment)
        self._stretches.reverse()
        return self._stretches

    def _step(self, node: int, moment: int) -> tuple[int, int]:
        tree = self.tree
        if not tree.children[node]:
            return self._own_from_start(node, moment)
        wait = self._last_wait(node, moment)
        work = self._siblings(node)
        done = work.ended(moment)
        begin = max(tree.starts[node], self._begin)
        if wait >= 0 and tree.ends[wait] > begin and self._end_of(done) <= tree.ends[wait]:
            return self._waited(node, wait, moment)
        child = work.last(moment)
        if self._end_of(child) <= begin:
            return self._own_from_start(node, moment)
        end = min(tree.ends[child], moment)
        self._own(node, end, moment)
        _, overlap = self._how[node]
        self._how[child] = (False, overlap or end < tree.ends[child])
        return child, end

    def _waited(self, node: int, wait: int, moment: int) -> tuple[int, int]:
        """Go on where a wait of `node` was released; in the wait itself, where that is for admission."""
        tree = self.tree
        released, other = tree.ends[wait], tree.releasers[wait]
        self._own(node, released, moment)
        self._how[wait] = (True, False)
        if other < 0:
            return wait, released
        self._waits[node].drop()
        return self._enter(other, wait, released)

    def _leave(self, node: int, moment: int) -> tuple[int, int]:
        """Go on at what started `node`: a span that a link names, else the parent's own course."""
        tree = self.tree
        parent = tree.parents[node]
        other, released = self._starter(node, moment)
        if other >= 0:
            last = max(
                self._end_of(self._siblings(parent).ended(moment)), self._end_of(self._last_wait(parent, moment))
            )
            if last <= released:
                self._how.setdefault(parent, (False, False))
                return self._enter(other, parent, moment)
        self._how.setdefault(parent, (False, False))
        return parent, moment

    def _enter(self, node: int, between: int, moment: int) -> tuple[int, int]:
        """Go on in a span that is known to have caused what happened at `moment`; the delay is that of `between`."""
        tree = self.tree
        self._how[node] = (True, False)
        if tree.ends[node] > moment:
            # It went on by itself, so it had not waited for what was still going then.
            self._siblings(node).only_ended(moment)
            return node, moment
        self._own(between, max(tree.ends[node], self._begin), moment)
        return node, max(tree.ends[node], self._begin)

    def _starter(self, node: int, moment: int) -> tuple[int, int]:
        tree, best = self.tree, (-1, self._begin)
        for other in tree.starters_of(node):
            if tree.starts[other] < moment and min(tree.ends[other], moment) > best[1]:
                best = other, min(tree.ends[other], moment)
        return best

    def _own(self, node: int, start: int, end: int) -> None:
        start = max(start, self._begin)
        if start < end:
            observed, overlap = self._how[node]
            self._stretches.append(Stretch(node, start, end, observed, overlap))

    def _own_from_start(self, node: int, moment: int) -> tuple[int, int]:
        begin = max(self.tree.starts[node], self._begin)
        self._own(node, begin, moment)
        return node, begin

    def _end_of(self, node: int) -> int:
        return self.tree.ends[node] if node >= 0 else self._begin

    def _siblings(self, node: int) -> Siblings:
        known = self._work.get(node)
        if known is None:
            tree = self.tree
            work = [child for child in tree.children[node] if tree.roles[child] != "suspended"]
            work = [child for child in work if child not in self._without and not tree.is_detached(child)]
            known = self._work[node] = Siblings(work, tree.starts, tree.ends)
        return known

    def _last_wait(self, node: int, moment: int) -> int:
        known = self._waits.get(node)
        tree = self.tree
        if known is None:
            waits = [one for one in tree.children[node] if tree.releasers[one] >= 0 or tree.roles[one] == "admission"]
            known = self._waits[node] = Siblings(waits, tree.starts, tree.ends)
        return known.ended(moment)


def critical_path(tree: Tree) -> list[Stretch]:
    """Return what the run waited for, from its start to its end without gaps."""
    return Walk(tree, tree.starts[0]).back_from(0, tree.ends[0])
