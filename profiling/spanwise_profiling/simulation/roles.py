"""Which step of a program a span is, so that several runs of it can say together what waits for what.

A role is the path of kinds and names down to a span, each with its place among siblings of the same name. What one run
shows of a role holds for all: a child that outlives its parent in any run is waited for in none, and a sibling that was
still going in any run when another one started is not what that one waits for.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

from spanwise_profiling import kinds

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from spanwise_profiling.analysis.tree import Tree

_MOST: Final = 300
"""Children of one span; of more, pairs are not compared."""


_Course: TypeAlias = tuple[int, frozenset[int]]
"""Role of a parent, and the roles of its children but for waits: runs that took another branch say nothing of this."""


@dataclass(slots=True)
class Known:
    """What several runs of a program show of its steps; made by `known_from`."""

    detached: set[int] = field(default_factory=set[int])
    """Roles that nobody waits for."""
    refuted: dict[_Course, dict[int, frozenset[int]]] = field(
        default_factory=dict["_Course", "dict[int, frozenset[int]]"]
    )
    """Course of a parent to the role of a child to those of siblings that it does not wait for."""
    numbers: dict[tuple[int, str, str, int], int] = field(default_factory=dict["tuple[int, str, str, int]", int])

    def roles_of(self, tree: Tree) -> list[int]:
        """Return the role of each node."""
        roles = [0] * len(tree.spans)
        for parent, children in enumerate(tree.children):
            seen: defaultdict[tuple[str, str], int] = defaultdict(int)
            for child in sorted(children, key=lambda node: (tree.starts[node], node)):
                what = tree.kinds[child], _name(tree, child)
                key = (roles[parent], *what, seen[what])
                seen[what] += 1
                roles[child] = self.numbers.setdefault(key, len(self.numbers) + 1)
        return roles


def course_of(tree: Tree, parent: int, roles: Sequence[int]) -> _Course:
    """Return what a parent did in one run."""
    return roles[parent], frozenset(roles[child] for child in tree.children[parent] if tree.kinds[child] != "wait")


def _name(tree: Tree, node: int) -> str:
    span = tree.spans[node]
    return kinds.subject_of(span) or span.name


def known_from(trees: Iterable[Tree], tolerance: int) -> Known:
    """Return what `trees`, runs of the same program, show of its steps.

    Args:
        trees: of the runs; nodes are in tree order, so that parents come before their children.
        tolerance: nanoseconds by which an order of times may be wrong.
    """
    known = Known()
    pairs: defaultdict[_Course, _Pairs] = defaultdict(_Pairs)
    for tree in trees:
        roles = known.roles_of(tree)
        for parent, children in enumerate(tree.children):
            known.detached.update(roles[child] for child in children if tree.is_detached(child))
            if 1 < len(children) <= _MOST:
                pairs[course_of(tree, parent, roles)].note(tree, children, roles, tolerance)
    known.refuted = {course: found for course, seen in pairs.items() if (found := seen.refuted())}
    return known


class _Pairs:
    """The children of one role in all runs: which had ended, and which had not, when another one started."""

    def __init__(self) -> None:
        self._ended: defaultdict[int, set[int]] = defaultdict(set)
        self._going: defaultdict[int, set[int]] = defaultdict(set)

    def note(self, tree: Tree, children: Sequence[int], roles: Sequence[int], tolerance: int) -> None:
        lasting = [child for child in children if tree.kinds[child] != "wait"]
        for child in lasting:
            start, own = tree.starts[child] + tolerance, roles[child]
            for other in lasting:
                seen = self._going if tree.ends[other] > start else self._ended
                seen[own].add(roles[other])

    def refuted(self) -> dict[int, frozenset[int]]:
        both = {role: frozenset(ended & self._going[role]) for role, ended in self._ended.items()}
        return {role: others for role, others in both.items() if others}
