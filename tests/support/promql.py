"""Read PromQL the way the servers do, for tests that hold rules and dashboards against the names in conventions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import promql_parser

from spanwise.conventions import METRICS

if TYPE_CHECKING:
    from collections.abc import Iterator

JOB_LABELS = frozenset({"job", "instance"})


@dataclass(frozen=True)
class Read:
    """What an expression reads: a metric's name and the labels it is matched by."""

    name: str
    labels: frozenset[str]


def emitted() -> dict[str, frozenset[str]]:
    """Return every series that spanwise exposes, by its name, and its labels."""
    series: dict[str, frozenset[str]] = {}
    for metric in METRICS:
        labels = JOB_LABELS | set(metric.all_labels)
        if metric.kind != "histogram":
            series[metric.name] = labels
            continue
        series |= {f"{metric.name}_count": labels, f"{metric.name}_sum": labels}
        series[f"{metric.name}_bucket"] = labels | {"le"}
    return series


def reads(expr: str) -> tuple[Read, ...]:
    """Return what `expr` reads; raises `ValueError` where it is not PromQL."""
    found: list[Read] = []
    for node in _nodes(promql_parser.parse(expr)):
        if isinstance(node, promql_parser.VectorSelector):
            matchers = node.matchers.matchers
            found.append(Read(str(node.name), frozenset(str(matcher.name) for matcher in matchers)))
    return tuple(found)


def groupings(expr: str) -> frozenset[str]:
    """Return every label that `expr` sums by or leaves out."""
    labels: set[str] = set()
    for node in _nodes(promql_parser.parse(expr)):
        if isinstance(node, promql_parser.AggregateExpr) and node.modifier is not None:
            labels |= set(node.modifier.labels)
    return frozenset(labels)


def _nodes(root: Any) -> Iterator[Any]:
    yield root
    for part in ("expr", "lhs", "rhs", "vs", "vector_selector", "param"):
        child = getattr(root, part, None)
        if isinstance(child, promql_parser.Expr):
            yield from _nodes(child)
    for argument in getattr(root, "args", ()) or ():
        yield from _nodes(argument)
