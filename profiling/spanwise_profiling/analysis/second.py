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
    return Walk(tree, begin).back_from(last, end)


def _chains(tree: Tree, parent: int, on_path: frozenset[int]) -> Sequence[tuple[int, int, int, int]]:
    """Return (start, end, -last, last) of each chain below `parent` that leaves the path."""
    work = [child for child in tree.children[parent] if tree.kinds[child] != "wait" and not tree.is_detached(child)]
    if all(child in on_path for child in work):
        return ()
    first, limit = max(tree.starts[0], tree.starts[parent]), tree.ends[parent]
    siblings = Siblings(work, tree.starts, tree.ends)
    asked = sorted(work, key=lambda child: (tree.starts[child], child), reverse=True)
    before = {child: siblings.last(tree.starts[child]) for child in asked}
    begins: dict[int, int] = {}
    for child in reversed(asked):  # what came before began before
        goes_on = before[child] >= 0 and before[child] not in on_path
        begins[child] = begins[before[child]] if goes_on else tree.starts[child]
    return [
        (max(begins[child], first), min(tree.ends[child], limit), -child, child)
        for child in work
        if child not in on_path and tree.ends[child] > first
    ]
