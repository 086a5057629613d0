"""From the budget file to the limits of a gate: the thresholds that alerts have, over recorded runs.

A budget is judged as its alert judges it: of a p95, at most one run in twenty may be over it. A budget of `default` is
of every workflow that has no budgets of its own, and says nothing where a workflow has nothing of the kind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from spanwise_profiling.gate import Limit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spanwise.config.run_budget import RunBudget
    from spanwise_alerts.budgets import Budgets, CacheBudget, DurationBudget, WorkflowBudgets


def limits_of(budgets: Budgets, workflow: str) -> list[Limit]:
    """Return the limits that `budgets` set on runs of `workflow`; none where it has no budgets."""
    own = budgets.workflows.get(workflow)
    given, path = (own, f"workflows.{workflow}") if own is not None else (budgets.default, "default")
    return [] if given is None else list(_limits(given, path, optional=own is None))


def run_limits(budget: RunBudget, place: str) -> list[Limit]:
    """Return the limits on single runs; `place` is where they are written."""
    return [
        Limit(name=f"run.{name}", measure=name, bound=bound, place=f"{place}.{name}")
        for name, bound in budget.limits().items()
    ]


def _limits(given: WorkflowBudgets, path: str, *, optional: bool) -> Iterator[Limit]:
    if given.run is not None:
        yield from run_limits(given.run, f"{path}.run")
    if given.duration is not None:
        yield from _durations(given.duration, f"{path}.duration")
    if given.tokens_per_second is not None:
        rate = given.tokens_per_second
        yield Limit(
            name="tokens_per_second", measure="tokens_per_second", bound=rate.minimum, least=True, over="mean",
            fewest=rate.min_runs, place=f"{path}.tokens_per_second.minimum",
        )  # fmt: skip
    if given.cache_hit_rate is not None:
        yield from _caches(given.cache_hit_rate, f"{path}.cache_hit_rate", optional=optional)


def _durations(budget: DurationBudget, path: str) -> Iterator[Limit]:
    if budget.p95 is not None:
        yield Limit(
            name="duration.p95", measure="seconds", bound=budget.p95, over="share", allowed=0.05,
            fewest=budget.min_runs, place=f"{path}.p95",
        )  # fmt: skip


def _caches(budget: CacheBudget, path: str, *, optional: bool) -> Iterator[Limit]:
    wanted: list[tuple[str | None, float, str]] = []
    if budget.minimum is not None:
        wanted.append((None, budget.minimum, "minimum"))
    wanted += [(cache, least, f"caches.{cache}") for cache, least in budget.caches.items()]
    for cache, least, key in wanted:
        yield Limit(
            name="cache_hit_rate" if cache is None else f"cache_hit_rate.{cache}", measure="cache_hit_rate",
            bound=least, least=True, over="ratio", subject=cache, fewest=budget.min_lookups, optional=optional,
            place=f"{path}.{key}",
        )  # fmt: skip
