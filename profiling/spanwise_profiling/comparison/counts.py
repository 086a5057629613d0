"""What a run comes to exactly: calls, attempts, tokens, lookups, and the shape of its tree.

These need no statistics where no run differs from the others of its side, and a change of them is certain after one
run of each. Elsewhere they are compared as any other metric.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, TypeAlias

from spanwise_profiling import kinds
from spanwise_profiling.comparison import statistics
from spanwise_profiling.comparison.result import Change, Count, Shape

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from spanwise_profiling.profile import Profile
    from spanwise_profiling.runs import Run, Totals

    Edges: TypeAlias = Counter[tuple[str, str]]

COUNTS: Final[Mapping[str, Callable[[Totals], int]]] = {
    "model calls": lambda totals: totals.llm_calls,
    "retries": lambda totals: totals.retries,
    "tool calls": lambda totals: totals.tool_calls,
    "agents": lambda totals: totals.agents,
    "input tokens": lambda totals: totals.input_tokens,
    "output tokens": lambda totals: totals.output_tokens,
    "cache lookups": lambda totals: totals.cache_lookups,
    "cache hits": lambda totals: totals.cache_hits,
    "errors": lambda totals: totals.errors,
}
_MOST_NAMES: Final = 12


def counts_of(a: Sequence[Profile], b: Sequence[Profile], *, paired: bool) -> list[Count]:
    """Return each count of both sides, without those that are 0 everywhere; p values are not corrected yet."""
    found = [
        _count(name, [value(one.run.totals) for one in a], [value(one.run.totals) for one in b], paired=paired)
        for name, value in COUNTS.items()
    ]
    return [count for count in found if any((*count.a, *count.b))]


def _count(name: str, a: Sequence[int], b: Sequence[int], *, paired: bool) -> Count:
    first, second = (min(a), max(a)), (min(b), max(b))
    if first[0] == first[1] and second[0] == second[1]:
        return Count(name, first, second, _direction(second[0] - first[0]), None)
    if paired and list(a) == list(b):
        return Count(name, first, second, "same", None)
    if paired:
        p = statistics.signed_rank([two - one for one, two in zip(a, b, strict=True)])
    else:
        p = statistics.rank_sum(a, b)
    return Count(name, first, second, _direction(sum(b) / len(b) - sum(a) / len(a)), p)


def _direction(difference: float) -> Change:
    return "less" if difference < 0 else "more" if difference > 0 else "same"


def shape_of(a: Sequence[Profile], b: Sequence[Profile]) -> Shape:
    """Return whether all runs of both sides have the same tree, order and times aside."""
    first, second = ([_edges(one.run) for one in side] for side in (a, b))
    same = all(edges == first[0] for edges in (*first, *second))
    return Shape(same, _only(first, second), _only(second, first))


def _edges(run: Run) -> Edges:
    """Return how often each kind of span stands below each other one; waits depend on moments and are left out."""
    edges: Edges = Counter()
    above: list[str] = []
    for depth, span in run.walk():
        del above[depth:]
        kind = kinds.kind_of(span)
        label = f"{kind} {kinds.subject_of(span) or span.name}"
        if kind != "wait":
            edges[above[-1] if above else "", label] += 1
        above.append(label)
    return edges


def _only(these: Sequence[Edges], those: Sequence[Edges]) -> tuple[str, ...]:
    """Return what stands in all of `these` and in none of `those`."""
    having = Counter(label for edges in these for label in {label for _, label in edges})
    others = {label for edges in those for _, label in edges}
    only = [label for label, runs in having.items() if runs == len(these) and label not in others]
    return tuple(sorted(only)[:_MOST_NAMES])
