"""One alert for each budget: its condition, its text, and the search for the runs to blame.

A budget of seconds that is a bound of the histogram is judged by counting the runs over it, any other by the
interpolated quantile. Every condition also requires enough runs, so that silence or a single run raises no alert.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from spanwise.conventions import WORKFLOW_SECONDS_BUCKETS
from spanwise_alerts import recording
from spanwise_alerts.promql import JOB, WORKFLOW, bucket_bound, equals, none_of, number, selector

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spanwise_alerts.budgets import (
        Budgets,
        CacheBudget,
        DurationBudget,
        Regression,
        TokenRateBudget,
        Watch,
        WorkflowBudgets,
    )

SLOW: Final = "SpanwiseWorkflowSlow"
REGRESSED: Final = "SpanwiseWorkflowSlowerThanBefore"
TOKENS_LOW: Final = "SpanwiseWorkflowTokensPerSecondLow"
HITS_LOW: Final = "SpanwiseCacheHitRateLow"
ALERTS: Final = (SLOW, REGRESSED, TOKENS_LOW, HITS_LOW)
"""Every alert there can be; docs/alerts.md has a heading for each."""

_RUN: Final = f"{{{{ $labels.{WORKFLOW} }}}} ({{{{ $labels.{JOB} }}}})"
_SHARE: Final = "{{ $value | humanizePercentage }}"
_NUMBER: Final = '{{ $value | printf "%.4g" }}'
_CACHE: Final = f"{{{{ $labels.{recording.CACHE} }}}}"


@dataclass(frozen=True, kw_only=True)
class Alert:
    """An alert rule before links are added."""

    name: str
    budget: str
    """The key of the budget in its file; a label, so that no two alerts are the same and each leads to its line."""
    expr: str
    watch: Watch
    summary: str
    description: str
    min_seconds: float | None = None
    """Real seconds a run that is to blame took at least; None where any run may be."""


@dataclass(frozen=True, kw_only=True)
class Scope:
    """A set of budgets and the workflows that it is for."""

    path: str
    """Where the budgets stand in the file: `workflows.<name>` or `default`."""
    matchers: tuple[str, ...]
    budgets: WorkflowBudgets
    time_scale: float
    """System seconds in a real second of these workflows' runs."""

    def of(self, name: str, *more: str) -> str:
        """Return the series `name` of these workflows that also fit the matchers `more`."""
        return selector(name, (*self.matchers, *more))

    def real(self, seconds: float) -> float:
        """Return the real seconds in which these workflows get through `seconds` system seconds."""
        return seconds / self.time_scale


def alerts(budgets: Budgets) -> Iterator[Alert]:
    """Yield the alerts of `budgets`, workflow by workflow, the default last."""
    for scope in scopes(budgets):
        if scope.budgets.duration is not None:
            yield from _duration_alerts(scope, scope.budgets.duration)
        if scope.budgets.tokens_per_second is not None:
            yield _token_rate_alert(scope, scope.budgets.tokens_per_second)
        if scope.budgets.cache_hit_rate is not None:
            yield from _cache_alerts(scope, scope.budgets.cache_hit_rate)


def scopes(budgets: Budgets) -> Iterator[Scope]:
    """Yield each set of budgets with the workflows that it is for."""
    for name, given in budgets.workflows.items():
        yield _scope(f"workflows.{name}", (equals(WORKFLOW, name),), given, budgets)
    if budgets.default is not None:
        # Work outside any workflow has no budget; without a name there is nothing to search for either.
        matchers = (f'{WORKFLOW}!=""', *none_of(WORKFLOW, tuple(budgets.workflows)))
        yield _scope("default", matchers, budgets.default, budgets)


def _scope(path: str, matchers: tuple[str, ...], given: WorkflowBudgets, file: Budgets) -> Scope:
    scale = file.time_scale if given.time_scale is None else given.time_scale
    return Scope(path=path, matchers=matchers, budgets=given, time_scale=scale)


def is_counted(seconds: float) -> bool:
    """Say whether the runs over a budget of `seconds` can be counted, because it is a bound of the histogram."""
    return seconds in WORKFLOW_SECONDS_BUCKETS


def estimated_budgets(budgets: Budgets) -> tuple[float, ...]:
    """Return the p95 budgets that are judged by interpolation because they are no bound of the histogram."""
    durations = (scope.budgets.duration for scope in scopes(budgets))
    given = (duration.p95 for duration in durations if duration is not None)
    return tuple(p95 for p95 in given if p95 is not None and not is_counted(p95))


def _duration_alerts(scope: Scope, budget: DurationBudget) -> Iterator[Alert]:
    if budget.p95 is not None:
        yield (_counted_alert if is_counted(budget.p95) else _estimated_alert)(scope, budget, budget.p95)
    if budget.regression is not None:
        yield _regression_alert(scope, budget, budget.regression)


def _traffic(scope: Scope, name: str, least: int) -> str:
    return f"and {scope.of(name)} >= {least}"


def _counted_alert(scope: Scope, budget: DurationBudget, p95: float) -> Alert:
    runs, within = recording.runs(budget.window), recording.runs_up_to(budget.window)
    # A quotient of whole numbers: exactly one run in twenty is exactly 0.05, which "1 - within / runs" would miss.
    over = f"({scope.of(runs)} - sum without (le) ({scope.of(within, bucket_bound(p95))}))"
    return Alert(
        name=SLOW,
        budget=f"{scope.path}.duration.p95",
        expr=f"{over} / ({scope.of(runs)} > 0) > 0.05\n{_traffic(scope, runs, budget.min_runs)}",
        watch=budget,
        summary="More than one run in twenty takes longer than the workflow's budget.",
        description=f"{_SHARE} of the runs of {_RUN} in the last {budget.window} took longer than the budget of "
        f"{number(p95)} s; the budget allows 5%.",
        min_seconds=scope.real(p95),
    )


def _estimated_alert(scope: Scope, budget: DurationBudget, p95: float) -> Alert:
    runs = recording.runs(budget.window)
    over = f"{scope.of(recording.p95(budget.window))} > {number(p95)}"
    return Alert(
        name=SLOW,
        budget=f"{scope.path}.duration.p95",
        expr=f"{over}\n{_traffic(scope, runs, budget.min_runs)}",
        watch=budget,
        summary="The 95th percentile of the run duration is over the workflow's budget.",
        description=f"The 95th percentile of the runs of {_RUN} in the last {budget.window} is about {_NUMBER} s; "
        f"the budget is {number(p95)} s.",
        min_seconds=scope.real(p95),
    )


def _regression_alert(scope: Scope, budget: DurationBudget, regression: Regression) -> Alert:
    window, offset, start = budget.window, regression.offset, _bucket_start(regression.floor)
    p95, runs = scope.of(recording.p95(window)), scope.of(recording.runs(window))
    # The median over a window, not one moment: at that very moment there may have been no run.
    before = f"quantile_over_time(0.5, {p95}[{window}] offset {offset})"
    conditions = (
        f"{p95} > {number(regression.factor)} * {before}",
        f"and {p95} > {number(regression.floor)}",
        _traffic(scope, recording.runs(window), budget.min_runs),
        f"and max_over_time({runs}[{window}] offset {offset}) >= {budget.min_runs}",
    )
    return Alert(
        name=REGRESSED,
        budget=f"{scope.path}.duration.regression",
        expr="\n".join(conditions),
        watch=budget,
        summary="The 95th percentile of the run duration has grown against the baseline.",
        description=f"The 95th percentile of the runs of {_RUN} in the last {window} is about {_NUMBER} s, "
        f"more than {number(regression.factor)} times what it was {offset} ago.",
        min_seconds=None if start is None else scope.real(start),
    )


def _bucket_start(seconds: float) -> float | None:
    # An interpolated quantile over the floor may come from runs anywhere in the floor's bucket.
    below = [bound for bound in WORKFLOW_SECONDS_BUCKETS if bound <= seconds]
    return below[-1] if below else None


def _token_rate_alert(scope: Scope, budget: TokenRateBudget) -> Alert:
    rate = scope.of(recording.token_rate(budget.window))
    traffic = _traffic(scope, recording.rated_runs(budget.window), budget.min_runs)
    return Alert(
        name=TOKENS_LOW,
        budget=f"{scope.path}.tokens_per_second.minimum",
        expr=f"{rate} < {number(budget.minimum)}\n{traffic}",
        watch=budget,
        summary="The workflow gets through fewer tokens a second than its budget asks for.",
        description=f"The runs of {_RUN} in the last {budget.window} got through {_NUMBER} tokens a second on "
        f"average; the budget asks for {number(budget.minimum)}.",
    )


def _cache_alerts(scope: Scope, budget: CacheBudget) -> Iterator[Alert]:
    if budget.minimum is not None:
        yield _cache_alert(scope, budget, budget.minimum, cache=None)
    for cache, minimum in budget.caches.items():
        yield _cache_alert(scope, budget, minimum, cache=cache)


def _cache_alert(scope: Scope, budget: CacheBudget, minimum: float, *, cache: str | None) -> Alert:
    by_cache = cache is not None
    more = () if cache is None else (equals(recording.CACHE, cache),)
    rate = scope.of(recording.hit_rate(budget.window, by_cache=by_cache), *more)
    lookups = scope.of(recording.lookups(budget.window, by_cache=by_cache), *more)
    subject = f"The cache {_CACHE}" if by_cache else "The caches"
    return Alert(
        name=HITS_LOW,
        budget=f"{scope.path}.cache_hit_rate.{f'caches.{cache}' if by_cache else 'minimum'}",
        expr=f"{rate} < {number(minimum)}\nand {lookups} >= {budget.min_lookups}",
        watch=budget,
        summary="Caches answer a smaller share of lookups than the budget asks for.",
        description=f"{subject} of {_RUN} answered {_SHARE} of the lookups in the last {budget.window}; "
        f"the budget asks for {number(round(minimum * 100, 6))}%.",
    )
