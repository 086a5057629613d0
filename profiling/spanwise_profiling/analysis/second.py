"""The second path: the longest stretch of work beside the critical path, which binds when the path is made shorter.

Beside the path is a chain of spans below one parent that is on it: each began when the one before had ended, none has
a part of the path. It starts where it leaves the path and ends where the path no longer waits for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from spanwise_profiling.analysis.siblings import Siblings
from spanwise_profiling.analysis.walk import Walk

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from spanwise_profiling.analysis.tree import Tree
    from spanwise_profiling.analysis.walk import Stretch


def second_path(tree: Tree, critical: Iterable[int]) -> list[Stretch]:
    """Return the longest way beside the path; `critical` are the spans with a part of it and all above them."""
    on_path = frozenset(critical)
    chains = [chain for parent in sorted(on_path) for chain in _chains(tree, parent, on_path)]
    if not chains:
        return []
    begin, end, _, last = max(chains, key=lambda chain: (chain[1] - chain[0], chain[2]))
    return Walk(tree, begin, without=on_path).back_from(last, end)


def _chains(tree: Tree, parent: int, on_path: frozenset[int]) -> Sequence[tuple[int, int, int, int]]:
    """Return (start, end, -last, last) of each chain below `parent` that leaves the path."""
    work = [child for child in tree.children[parent] if tree.kinds[child] != "wait" and not tree.is_detached(child)]
    aside = [child for child in work if child not in on_path]
    if not aside:
        return ()
    first, limit = max(tree.starts[0], tree.starts[parent]), tree.ends[parent]
    siblings = Siblings(aside, tree.starts, tree.ends)
    critical = Siblings((child for child in work if child in on_path), tree.starts, tree.ends)
    asked = sorted(aside, key=lambda child: (tree.starts[child], child), reverse=True)
    before = {child: _before(tree, siblings, critical, tree.starts[child]) for child in asked}
    begins: dict[int, int] = {}
    for child in reversed(asked):  # what came before began before
        begins[child] = begins[before[child]] if before[child] >= 0 else tree.starts[child]
    return [
        (max(begins[child], first), min(tree.ends[child], limit), -child, child)
        for child in aside
        if tree.ends[child] > first
    ]


def _before(tree: Tree, aside: Siblings, critical: Siblings, moment: int) -> int:
    """Return what a span that began at `moment` went on from, -1 where that was the path."""
    found, joined = aside.last(moment), critical.ended(moment)
    return -1 if found < 0 or (joined >= 0 and tree.ends[joined] >= min(tree.ends[found], moment)) else found
