"""Where one run's wall clock went: critical path, budget, slack, shares; all from its spans alone.

The path says what the answer waited for, so the budget is the path sorted into buckets and adds up to the run by
construction. Everything here is one pass over numbered spans.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from spanwise_profiling.analysis.buckets import Sorter, budget_of
from spanwise_profiling.analysis.doubt import with_doubts
from spanwise_profiling.analysis.second import second_path
from spanwise_profiling.analysis.shares import agents_of, roles_of, shares_of
from spanwise_profiling.analysis.slack import critical_nodes, slacks_of, work_of
from spanwise_profiling.analysis.tree import tree_of
from spanwise_profiling.analysis.walk import critical_path
from spanwise_profiling.profile import Profile

if TYPE_CHECKING:
    from spanwise_profiling.profile import Bucket
    from spanwise_profiling.runs import Run


def budget_ns(run: Run) -> dict[Bucket, int]:
    """Return the nanoseconds of `run` by bucket, as `profile_of` does, without all else."""
    tree = tree_of(run)
    sorter = Sorter(tree, [None] * len(tree.spans))
    return budget_of(segment for _, segment in sorter.segments(critical_path(tree)))


def profile_of(run: Run) -> Profile:
    """Return where the wall clock of `run` went; findings are added by whoever looks for them."""
    tree = tree_of(run)
    stretches = critical_path(tree)
    agents = agents_of(tree)
    sorter = Sorter(tree, agents)
    placed = with_doubts(tree, sorter.segments(stretches))
    path = tuple(segment for _, segment in placed)
    critical = critical_nodes(tree, (stretch.node for stretch in stretches))
    slacks = slacks_of(tree, critical)
    second = Sorter(tree, agents).segments(second_path(tree, critical))
    return Profile(
        run=run,
        path=path,
        second_path=tuple(segment for _, segment in second),
        budget_ns=budget_of(path),
        agents=shares_of(tree, agents, placed),
        roles=shares_of(tree, roles_of(tree), placed),
        slack_ns={span_id: slacks[node] for span_id, node in tree.numbers.items()},
        work_ns=work_of(tree),
        blockers=dict(sorter.blockers),
        findings=(),
        warnings=run.warnings,
    )
