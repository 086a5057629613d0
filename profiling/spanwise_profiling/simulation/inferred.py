"""Limits that nobody recorded, seen in when siblings start: each as another one ends, with always as many going.

A pattern of times is no proof, so that a limit found here counts only where a simulation with it gives back the
recorded run.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from spanwise_profiling import kinds
from spanwise_profiling.simulation.edits import Edits, Slots
from spanwise_profiling.simulation.simulate import StandstillError, simulate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from spanwise_profiling.analysis.tree import Tree
    from spanwise_profiling.simulation.graph import Graph

NULL_SHARE: Final = 0.01
"""What a simulation without a change may be off by, as a share of the run."""
_FEWEST_LATER: Final = 2
_NEAR_NS: Final = 1_000_000
_NEAR_SHARE: Final = 200


def is_faithful(graph: Graph, edits: Edits) -> bool:
    """Whether a simulation with these edits, meant to change nothing, gives back the recorded duration within 1 %."""
    recorded = graph.times[1] - graph.times[0]
    try:
        found = simulate(graph, edits).duration_ns
    except StandstillError:
        return False
    return abs(found - recorded) <= NULL_SHARE * recorded


def limits_of(graph: Graph) -> list[Slots]:
    """Return the limits on siblings that the recorded times show."""
    found: list[Slots] = []
    for children in graph.tree.children:
        for group in _alike(graph.tree, children):
            capacity = _plateau(graph.tree, group)
            if capacity:
                found.append(Slots(capacity, group))
    return found


def _alike(tree: Tree, children: Sequence[int]) -> Iterator[list[int]]:
    groups: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for child in children:
        if tree.kinds[child] != "wait":
            span = tree.spans[child]
            groups[tree.kinds[child], kinds.subject_of(span) or span.name].append(child)
    return (sorted(group, key=lambda node: (tree.starts[node], node)) for group in groups.values())


def _plateau(tree: Tree, group: Sequence[int]) -> int:
    """Return how many of a group go on at once wherever a later one starts as another ends; 0 where that is not so."""
    lengths = sorted(tree.ends[node] - tree.starts[node] for node in group)
    near = max(_NEAR_NS, lengths[len(lengths) // 2] // _NEAR_SHARE)
    first = tree.starts[group[0]]
    capacity = sum(1 for node in group if tree.starts[node] <= first + near)
    later = group[capacity:]
    if capacity < 2 or len(later) < _FEWEST_LATER:  # noqa: PLR2004 - one at a time is a sequence
        return 0
    ends: list[int] = sorted(tree.ends[node] for node in group)
    for place, node in enumerate(later):
        # The one that this start came after is the next to end; the others were still going.
        if not 0 <= tree.starts[node] - ends[place] <= near or ends[place + 1] <= tree.starts[node]:
            return 0
    return capacity
