"""From the budget file to the limits of a gate: the thresholds that alerts have, over recorded runs.

A budget is judged as its alert judges it: of a p95, at most one run in twenty may be over it. A budget of `default` is
of every workflow that has no budgets of its own, and says nothing where a workflow has nothing of the kind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from spanwise_profiling.gate import Limit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from spanwise.config.run_budget import RunBudget
    from spanwise_alerts.budgets import Budgets, CacheBudget, WorkflowBudgets
    from spanwise_alerts.watches import SecondsBudget, Watch
    from spanwise_profiling.gate.limits import Over

_PERCENTILES: Final[Mapping[str, Mapping[str, str]]] = {
    "duration": {"": "seconds", "agent": "agent_seconds", "tool": "tool_seconds", "model": "model_seconds"},
    "time_to_first_chunk": {"": "time_to_first_chunk", "model": "time_to_first_chunk"},
    "chunk_gap": {"": "chunk_gap", "model": "chunk_gap"},
}
"""Budgets of percentiles, and the measure of each for a workflow, an agent, a tool and a model."""
_BOUNDS: Final[Mapping[str, tuple[str, Over]]] = {
    "tokens": ("tokens", "mean"),
    "cost": ("cost", "mean"),
    "tokens_per_second": ("tokens_per_second", "mean"),
    "decode_tokens_per_second": ("decode_tokens_per_second", "mean"),
    "success_rate": ("success_rate", "ratio"),
    "error_rate": ("error_rate", "ratio"),
    "retries": ("retries", "ratio"),
    "prompt_cache_hit_rate": ("prompt_cache_hit_rate", "ratio"),
}
"""Budgets with a minimum or a maximum, their measure, and how its values are judged."""
_RATES: Final = {("agent", "error_rate"): "agent_error_rate", ("tool", "error_rate"): "tool_error_rate"}


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
    parts: list[tuple[str, str, str | None, object]] = [(path, "", None, given)]
    for kind, members in (("agent", given.agents), ("tool", given.tools), ("model", given.models)):
        parts += [(f"{path}.{kind}s.{name}", kind, name, budgets) for name, budgets in members.items()]
    for place, kind, subject, budgets in parts:
        yield from _of_one(budgets, place, kind, subject, optional=optional)
    if given.cache_hit_rate is not None:
        yield from _caches(given.cache_hit_rate, f"{path}.cache_hit_rate", optional=optional)
    if given.waits is not None:
        for bucket, share in given.waits.maximum.items():
            yield Limit(
                name=f"waits.{bucket}", measure="waits", bound=share, over="ratio", subject=bucket,
                place=f"{path}.waits.maximum.{bucket}",
            )  # fmt: skip


def _of_one(budgets: object, place: str, kind: str, subject: str | None, *, optional: bool) -> Iterator[Limit]:
    """Yield the limits of a workflow (whose kind is empty), or of one of its agents, tools or models."""
    for key, measures in _PERCENTILES.items():
        budget: SecondsBudget | None = getattr(budgets, key, None)
        for name, seconds in ({} if budget is None else budget.quantiles()).items():
            assert budget is not None
            yield Limit(
                name=_named(f"{key}.{name}", subject), measure=measures[kind], bound=seconds, over="share",
                allowed=round(1 - int(name[1:]) / 100, 2), subject=subject, fewest=budget.traffic, optional=optional,
                place=f"{place}.{key}.{name}",
            )  # fmt: skip
    for key, (measure, over) in _BOUNDS.items():
        watch: Watch | None = getattr(budgets, key, None)
        if watch is not None:
            least = hasattr(watch, "minimum")
            word = "minimum" if least else "maximum"
            yield Limit(
                name=_named(key, subject), measure=_RATES.get((kind, key), measure), bound=getattr(watch, word),
                least=least, over=over, subject=subject, fewest=watch.traffic, optional=optional,
                place=f"{place}.{key}.{word}",
            )  # fmt: skip


def _named(key: str, subject: str | None) -> str:
    return key if subject is None else f"{subject}.{key}"


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
