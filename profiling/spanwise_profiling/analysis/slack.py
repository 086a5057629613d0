"""How much later each span could have ended without the run ending later, and how much work a run is.

Whatever began after a span's end, below the same parent, might have waited for it; so might what the parent did when
the last of its children had ended. The slack is the least of what these leave: less than the truth where they had
nothing to do with one another, never more.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from spanwise_profiling.analysis.tree import CALLS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from spanwise_profiling.analysis.tree import Tree


def slacks_of(tree: Tree, critical: set[int]) -> list[int]:
    """Return the slack of each node in nanoseconds; 0 for those of `critical`."""
    slack = [0] * len(tree.spans)
    for parent, children in enumerate(tree.children):
        _among(tree, parent, children, critical, slack)
    return slack


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


def _among(tree: Tree, parent: int, children: Sequence[int], critical: set[int], slack: list[int]) -> None:
    """Fill in the slack of `children`, from the last to begin to the first: each depends on later ones alone."""
    joined = [tree.ends[child] for child in children if tree.kinds[child] != "wait" and not tree.is_detached(child)]
    latest = min(tree.ends[parent], max(joined, default=tree.ends[parent])) + slack[parent]
    starts: list[int] = []  # negated, ascending: of the children seen so far
    bounds: list[int] = []  # the least latest start among these
    for child in sorted(children, key=lambda node: tree.starts[node], reverse=True):
        after = bisect_left(starts, -tree.ends[child] + 1)
        bound = min(latest, bounds[after - 1]) if after else latest
        if tree.is_detached(child):
            bound = max(tree.ends[0], tree.ends[child])
        slack[child] = 0 if child in critical else max(0, bound - tree.ends[child])
        if tree.kinds[child] != "wait":
            starts.append(-tree.starts[child])
            bounds.append(min(bounds[-1] if bounds else latest, tree.starts[child] + slack[child]))


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
