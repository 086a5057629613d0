"""What each agent and each role of steps has of a run: on the path, in all, in calls and tokens.

A span belongs to the nearest agent above it and to the nearest step with a role; what none did is under the empty name.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from spanwise import conventions
from spanwise_profiling import kinds
from spanwise_profiling.agents import union_ns
from spanwise_profiling.analysis.buckets import budget_of
from spanwise_profiling.profile import Share
from spanwise_profiling.runs import tokens_of_calls

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from spanwise_profiling.analysis.tree import Tree
    from spanwise_profiling.profile import Segment


def agents_of(tree: Tree) -> list[str | None]:
    """Return for each node the name of the nearest agent at or above it."""
    return _inherited(tree, (_agent(tree, node) for node in range(len(tree.spans))))


def roles_of(tree: Tree) -> list[str | None]:
    """Return for each node the nearest `spanwise.step.role` at or above it."""
    return _inherited(tree, (kinds.text_of(span, conventions.STEP_ROLE) for span in tree.spans))


def shares_of(tree: Tree, names: Sequence[str | None], path: Iterable[tuple[int, Segment]]) -> tuple[Share, ...]:
    """Return the share of each of `names` (one a node), most of the path first."""
    spans: defaultdict[str, list[int]] = defaultdict(list)
    for node, name in enumerate(names):
        spans[name or ""].append(node)
    segments: defaultdict[str, list[Segment]] = defaultdict(list)
    for node, segment in path:
        segments[names[node] or ""].append(segment)
    shares = [_share(tree, name, nodes, segments[name]) for name, nodes in spans.items()]
    return tuple(sorted(shares, key=lambda share: (-share.on_path_ns, -share.total_ns, share.name)))


def _agent(tree: Tree, node: int) -> str | None:
    span = tree.spans[node]
    return (kinds.subject_of(span) or span.name) if tree.kinds[node] == "agent" else None


def _inherited(tree: Tree, own: Iterable[str | None]) -> list[str | None]:
    names: list[str | None] = []
    for name, parent in zip(own, tree.parents, strict=True):
        names.append(name or (names[parent] if parent >= 0 else None))
    if tree.made_up:
        names[0] = None
    return names


def _share(tree: Tree, name: str, nodes: Sequence[int], path: Sequence[Segment]) -> Share:
    spans = [tree.spans[node] for node in nodes if node or not tree.made_up]
    calls = [tree.spans[node] for node in nodes if tree.kinds[node] == "chat"]
    written = [files for span in spans if (files := kinds.number_of(span, conventions.WRITE_FILES)) is not None]
    return Share(
        name=name,
        on_path_ns=sum(segment.duration_ns for segment in path),
        total_ns=union_ns(spans),
        budget_ns=budget_of(path),
        calls=len(calls),
        input_tokens=tokens_of_calls(calls, conventions.USAGE_INPUT_TOKENS),
        output_tokens=tokens_of_calls(calls, conventions.USAGE_OUTPUT_TOKENS),
        writes=len(written),
        files=int(sum(written)),
    )
