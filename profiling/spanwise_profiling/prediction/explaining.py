"""The critical path before and after a change, side by side, and what is left when the changed spans take no time."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from spanwise_profiling.prediction.result import Explanation, Part
from spanwise_profiling.prediction.selection import inherited, names_of
from spanwise_profiling.simulation.edits import Edits
from spanwise_profiling.simulation.graph import end_of
from spanwise_profiling.simulation.simulate import StandstillError, simulate

if TYPE_CHECKING:
    from spanwise_profiling.prediction.planning import Plan
    from spanwise_profiling.runs import Run
    from spanwise_profiling.simulation.graph import Graph
    from spanwise_profiling.simulation.simulate import Outcome


def explanation_of(run: Run, plan: Plan, outcome: Outcome) -> Explanation:
    """Return what the path of `run` loses and gains by the change."""
    before = path_of(plan.graph, simulate(plan.graph, Edits()))
    after = path_of(plan.graph, outcome)
    parts = [Part(name, run.scaled(before.get(name, 0)), run.scaled(length)) for name, length in after.items()]
    parts += [Part(name, run.scaled(length), 0.0) for name, length in before.items() if name not in after]
    return Explanation(
        run_id=run.run_id,
        before=run.scaled(plan.graph.times[1] - plan.graph.times[0]),
        after=run.scaled(outcome.duration_ns),
        parts=tuple(parts),
        floor=run.scaled(_floor(plan, outcome)),
    )


def _floor(plan: Plan, outcome: Outcome) -> int:
    gone = {node for nodes in plan.matched for node in nodes if node}
    try:
        return simulate(plan.graph, replace(plan.edits, gone=plan.edits.gone | gone)).duration_ns
    except StandstillError:
        return outcome.duration_ns


def path_of(graph: Graph, outcome: Outcome) -> dict[str, int]:
    """Return the nanoseconds of the path by agent, or by span outside of agents, in the order of their first time."""
    tree, times, spans = graph.tree, outcome.times, 2 * len(graph.tree.spans)
    agents = inherited(tree, "agent")
    pieces: list[tuple[str, int]] = []
    event = end_of(0)
    while (cause := outcome.causes[event]) >= 0:
        if event < spans:
            # What passes before a start is its parent's, what passes before an end is the span's own.
            node = event // 2 if event % 2 else max(tree.parents[event // 2], 0)
            pieces.append((agents[node] or names_of(tree, node)[0], times[event] - times[cause]))
        event = cause
    found: defaultdict[str, int] = defaultdict(int)
    for name, length in reversed(pieces):
        if length:
            found[name] += length
    return dict(found)
