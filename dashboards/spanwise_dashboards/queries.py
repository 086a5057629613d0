"""The queries of the panels, apart from how the panels look.

Each figure is of the runs of the last `$window`, counted as the alert rules count them (`promql.growth`), so that a
panel and an alert about it show the same number, also for a batch job that ran once. A budget is a line of its own for
each workflow, made from the budget file: Grafana's thresholds belong to a panel, and a panel shows several workflows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from spanwise import conventions as names
from spanwise.conventions import label_of as label
from spanwise_alerts.alert import scopes
from spanwise_alerts.promql import BYPASS, HIT, JOB, WORKFLOW, indent, number, selector, total

if TYPE_CHECKING:
    from collections.abc import Callable

    from spanwise_alerts.budgets import Budgets, WorkflowBudgets

AGENT: Final = label(names.AGENT_NAME)
CACHE: Final = label(names.CACHE_NAME)
ERROR: Final = label(names.ERROR_TYPE)
MODEL: Final = label(names.REQUEST_MODEL)
RESULT: Final = label(names.CACHE_RESULT)
TOKEN: Final = label(names.TOKEN_TYPE)
TOOL: Final = label(names.TOOL_NAME)
WAIT: Final = label(names.WAIT_KIND)

BUDGET: Final = "Budget"
"""Name of the query that draws budgets; a panel's style refers to it."""

_CHOSEN: Final = (f'{JOB}=~"$job"', f'{WORKFLOW}=~"$workflow"')
_RUN: Final = (JOB, WORKFLOW)
_RUN_LEGEND: Final = f"{{{{{WORKFLOW}}}}} ({{{{{JOB}}}}})"
_FAILED: Final = f'{ERROR}!=""'


@dataclass(frozen=True, kw_only=True)
class Query:
    """One query of a panel."""

    ref: str
    expr: str
    legend: str
    heatmap: bool = False
    exemplars: bool = False
    """Whether Grafana also asks for exemplars, which lead from a point to one trace."""


def runs() -> tuple[Query, ...]:
    """Runs in the window, and those of them that failed."""
    every = _grown(f"{names.WORKFLOW_DURATION.name}_count", _RUN)
    failed = f"{_grown(f'{names.WORKFLOW_DURATION.name}_count', _RUN, _FAILED)}\nor 0 * {every}"
    return (
        Query(ref="Runs", expr=every, legend=_RUN_LEGEND),
        Query(ref="Failed", expr=failed, legend=f"failed: {_RUN_LEGEND}"),
    )


def durations(budgets: Budgets) -> tuple[Query, ...]:
    """p50 and p95 of the runs' seconds, and the p95 that the budgets allow."""
    return (
        Query(ref="p50", expr=_quantile(0.5, names.WORKFLOW_DURATION, _RUN), legend=f"p50 {_RUN_LEGEND}"),
        Query(
            ref="p95", expr=_quantile(0.95, names.WORKFLOW_DURATION, _RUN), legend=f"p95 {_RUN_LEGEND}", exemplars=True
        ),
        *_budget(budgets, _p95),
    )


def duration_cells() -> tuple[Query, ...]:
    """Runs by their seconds, for a heatmap; the exemplars are the traces."""
    cells = total(_chosen(f"{names.WORKFLOW_DURATION.name}_bucket"), "$__interval", ("le",))
    return (Query(ref="Cells", expr=cells, legend="{{le}}", heatmap=True, exemplars=True),)


def token_rate(budgets: Budgets) -> tuple[Query, ...]:
    """Mean tokens a second of the runs, and the least that the budgets ask for."""
    return (
        Query(ref="Rate", expr=_mean(names.WORKFLOW_TOKENS_PER_SECOND, _RUN), legend=_RUN_LEGEND),
        *_budget(budgets, _least_rate),
    )


def tokens() -> tuple[Query, ...]:
    """Tokens in the window by type and agent."""
    by = (TOKEN, AGENT)
    return (
        Query(
            ref="Tokens",
            expr=_grown(f"{names.TOKEN_USAGE.name}_sum", by),
            legend=f"{{{{{AGENT}}}}} {{{{{TOKEN}}}}}",
        ),
    )


def agent_seconds() -> tuple[Query, ...]:
    """Seconds in each agent within the window."""
    return (_seconds(names.AGENT_DURATION, AGENT),)


def tool_seconds() -> tuple[Query, ...]:
    """Seconds in each tool within the window."""
    return (_seconds(names.TOOL_DURATION, TOOL),)


def model_calls() -> tuple[Query, ...]:
    """p95 of the model calls' seconds, and of the time to their first chunk."""
    return (
        Query(ref="Call", expr=_quantile(0.95, names.OPERATION_DURATION, (MODEL,)), legend=f"call {{{{{MODEL}}}}}"),
        Query(
            ref="First",
            expr=_quantile(0.95, names.TIME_TO_FIRST_CHUNK, (MODEL,)),
            legend=f"first chunk {{{{{MODEL}}}}}",
        ),
    )


def cache_hit_rate(budgets: Budgets) -> tuple[Query, ...]:
    """Share of lookups that each cache answered, and the least that the budgets ask for."""
    by = (*_RUN, CACHE)
    asked = _grown(names.CACHE_LOOKUPS.name, by, f'{RESULT}!="{BYPASS}"')
    hits = _grown(names.CACHE_LOOKUPS.name, by, f'{RESULT}=~"{HIT}"')
    answered = f"{hits}\nor 0 * {asked}"
    rate = f"(\n{indent(answered)}\n)\n/ ({asked} > 0)"
    return (
        Query(ref="Rate", expr=rate, legend=f"{{{{{CACHE}}}}}: {_RUN_LEGEND}"),
        *_budget(budgets, _least_hit_rate),
    )


def waits() -> tuple[Query, ...]:
    """Seconds in recorded waits within the window, by kind."""
    return (Query(ref="Waits", expr=_grown(names.WAIT_SECONDS.name, (WAIT,)), legend=f"{{{{{WAIT}}}}}"),)


def faults() -> tuple[Query, ...]:
    """Retries and failed model calls within the window; 0 where there were runs and none of these."""
    none = f"0 * sum (\n{indent(_grown(f'{names.WORKFLOW_DURATION.name}_count', _RUN))}\n)"
    retries = _grown(names.RETRIES.name, (ERROR,))
    failed = _grown(f"{names.OPERATION_DURATION.name}_count", (ERROR,), _FAILED)
    return (
        Query(ref="Retries", expr=f"{retries}\nor on () {none}", legend=f"retries {{{{{ERROR}}}}}"),
        Query(ref="Failed", expr=f"{failed}\nor on () {none}", legend=f"failed calls {{{{{ERROR}}}}}"),
    )


def label_values(of: str, *matchers: str) -> str:
    """Return Grafana's question for the values that the label `of` has on runs."""
    return f"label_values({selector(f'{names.WORKFLOW_DURATION.name}_count', matchers)}, {of})"


def _chosen(name: str, *more: str) -> str:
    return selector(name, (*_CHOSEN, *more))


def _grown(name: str, by: tuple[str, ...], *more: str) -> str:
    return total(_chosen(name, *more), "$window", by)


def _quantile(share: float, metric: names.Metric, by: tuple[str, ...]) -> str:
    # Without an observation a quantile is not a number; ">= 0" leaves a gap in the line instead.
    buckets = _grown(f"{metric.name}_bucket", (*by, "le"))
    return f"histogram_quantile(\n  {share:g},\n{indent(buckets)}\n) >= 0"


def _mean(metric: names.Metric, by: tuple[str, ...]) -> str:
    return f"{_grown(f'{metric.name}_sum', by)}\n/ ({_grown(f'{metric.name}_count', by)} > 0)"


def _seconds(metric: names.Metric, by: str) -> Query:
    return Query(ref="Seconds", expr=_grown(f"{metric.name}_sum", (by,)), legend=f"{{{{{by}}}}}")


def _budget(budgets: Budgets, pick: Callable[[WorkflowBudgets], float | None]) -> tuple[Query, ...]:
    seen = f"{names.WORKFLOW_DURATION.name}_count"
    lines = [
        f"0 * count by ({WORKFLOW}) (last_over_time({_chosen(seen, *scope.matchers)}[$window])) + {number(value)}"
        for scope in scopes(budgets)
        if (value := pick(scope.budgets)) is not None
    ]
    if not lines:
        return ()
    return (Query(ref=BUDGET, expr="\nor ".join(lines), legend=f"budget {{{{{WORKFLOW}}}}}"),)


def _p95(given: WorkflowBudgets) -> float | None:
    return None if given.duration is None else given.duration.p95


def _least_rate(given: WorkflowBudgets) -> float | None:
    return None if given.tokens_per_second is None else given.tokens_per_second.minimum


def _least_hit_rate(given: WorkflowBudgets) -> float | None:
    return None if given.cache_hit_rate is None else given.cache_hit_rate.minimum
