"""Who shares a limit: the spans that hold a place of it, and the recorded waits for one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from spanwise import conventions as c
from spanwise.errors import InputError
from spanwise_profiling import kinds
from spanwise_profiling.prediction.selection import names_of
from spanwise_profiling.simulation.edits import Edits, Slots
from spanwise_profiling.simulation.inferred import is_faithful

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spanwise_profiling.analysis.tree import Tree
    from spanwise_profiling.prediction.changes import Cap
    from spanwise_profiling.simulation.graph import Graph

_AT_ONCE_NS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Limited:
    """Spans under one limit."""

    members: Sequence[int]
    waits: frozenset[int]
    """Recorded waits for a place."""


def limited_by(graph: Graph, nodes: Sequence[int], kind: str) -> Limited:
    """Return the spans that a limit is for, given them or the waits for it, and those waits.

    Args:
        graph: of the run.
        nodes: spans that hold a place, or waits of this kind; then all spans of the kind of those that waited count.
        kind: of the waits, `concurrency` or `rate_limit`.
    """
    tree = graph.tree
    waits = [node for node in nodes if _is_wait(tree, node, kind)]
    if not waits:
        members = set(nodes)
        held = {node: _holder(tree, node) for node in range(len(tree.spans)) if _is_wait(tree, node, kind)}
        return Limited(nodes, frozenset(wait for wait, holder in held.items() if holder in members))
    holders = {_holder(tree, wait) for wait in waits}
    of_kinds = {tree.kinds[holder] for holder in holders}
    subjects = {kinds.subject_of(tree.spans[holder]) for holder in holders}
    same = [
        node
        for node in range(len(tree.spans))
        if tree.kinds[node] in of_kinds and (len(subjects) > 1 or kinds.subject_of(tree.spans[node]) in subjects)
    ]
    return Limited(same, frozenset(waits))


def _is_wait(tree: Tree, node: int, kind: str) -> bool:
    return tree.kinds[node] == "wait" and kinds.text_of(tree.spans[node], c.WAIT_KIND) == kind


def _holder(tree: Tree, wait: int) -> int:
    """Return who got the place: the sibling that starts as the wait ends, else the span that waited."""
    parent, end = tree.parents[wait], tree.ends[wait]
    if parent < 0:
        return wait
    following = [
        child
        for child in tree.children[parent]
        if tree.kinds[child] != "wait" and 0 <= tree.starts[child] - end <= _AT_ONCE_NS
    ]
    return min(following, key=lambda child: (tree.starts[child], child)) if following else parent


def check(graph: Graph, limited: Limited, change: Cap, *, may_be_new: bool) -> None:
    """Raise where raising a limit cannot be predicted: it was not recorded, or is another one than it seems.

    Raises:
        InputError: says what is missing.
    """
    tree = graph.tree
    begins = {node: tree.starts[node] for node in limited.members}
    for wait in limited.waits:
        holder = _holder(tree, wait)
        begins[holder] = max(begins.get(holder, 0), tree.ends[wait])
    most = most_at_once([(begins[node], tree.ends[node]) for node in limited.members])
    if limited.waits:
        if not is_faithful(graph, Edits(gone=set(limited.waits), slots=[Slots(most, limited.members)])):
            raise InputError(
                f"{change.text}: the recorded waits do not fit {most} places shared by these spans; name exactly the "
                "spans that hold a place of this limit"
            )
    elif change.capacity > most and not may_be_new:
        name = names_of(tree, limited.members[0])[0]
        raise InputError(
            f"{change.text}: at most {most} of {name} ran at once and no wait for a place is recorded, so no limit is "
            "known to be raised; record waits (SPANWISE_CAUSALITY=on), or start spans after the place is had"
        )


def most_at_once(spans: Sequence[tuple[int, int]]) -> int:
    """Return how many of these (start, end) go on at once; one that ends as another starts does not count then."""
    events = sorted(event for start, end in spans for event in ((start, 1), (end, -1)) if start < end)
    going = most = 0
    for _, step in events:
        going += step
        most = max(most, going)
    return most
