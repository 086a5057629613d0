"""Recording rules: what happened in each window, counted once and read by every alert.

There is one set of rules for each window that a budget uses. Names follow `level:metric:operation`, where the level
lists the labels that are kept.
Failed runs count too: a run that failed after 200 s took 200 s of somebody's time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from spanwise.conventions import CACHE_LOOKUPS, CACHE_NAME, CACHE_RESULT, WORKFLOW_DURATION, WORKFLOW_TOKENS_PER_SECOND
from spanwise.conventions import label_of as label
from spanwise_alerts.promql import BYPASS, HIT, JOB, WORKFLOW, selector, total

LEVEL: Final = (JOB, WORKFLOW)
CACHE: Final = label(CACHE_NAME)
RESULT: Final = label(CACHE_RESULT)


@dataclass(frozen=True)
class Recording:
    """A recording rule."""

    record: str
    expr: str


def runs(window: str) -> str:
    """Name of: runs that ended within the window."""
    return f"job_workflow:{WORKFLOW_DURATION.name}_count:growth{window}"


def runs_up_to(window: str) -> str:
    """Name of: runs that ended within the window and took at most `le` seconds."""
    return f"job_workflow_le:{WORKFLOW_DURATION.name}_bucket:growth{window}"


def p95(window: str) -> str:
    """Name of: the estimated 95th percentile of the seconds of those runs."""
    return f"job_workflow:{WORKFLOW_DURATION.name}:p95_{window}"


def rated_runs(window: str) -> str:
    """Name of: runs within the window whose tokens a second are known."""
    return f"job_workflow:{WORKFLOW_TOKENS_PER_SECOND.name}_count:growth{window}"


def token_rate(window: str) -> str:
    """Name of: the mean tokens a second of those runs."""
    return f"job_workflow:{WORKFLOW_TOKENS_PER_SECOND.name}:mean{window}"


def lookups(window: str, *, by_cache: bool) -> str:
    """Name of: lookups that asked a cache within the window."""
    return f"job_workflow{'_cache' * by_cache}:{CACHE_LOOKUPS.name}:growth{window}"


def hit_rate(window: str, *, by_cache: bool) -> str:
    """Name of: the share of those that was answered."""
    return f"job_workflow{'_cache' * by_cache}:{CACHE_LOOKUPS.name}:hit_ratio{window}"


def duration_recordings(window: str) -> tuple[Recording, ...]:
    """Return the rules that budgets of duration read."""
    name = WORKFLOW_DURATION.name
    return (
        Recording(runs(window), total(f"{name}_count", window, LEVEL)),
        Recording(runs_up_to(window), total(f"{name}_bucket", window, (*LEVEL, "le"))),
        # Without a run the quantile is not a number; ">= 0" leaves it out, so that a baseline is made of runs only.
        Recording(p95(window), f"histogram_quantile(0.95, {runs_up_to(window)}) >= 0"),
    )


def token_rate_recordings(window: str) -> tuple[Recording, ...]:
    """Return the rules that budgets of tokens a second read."""
    name = WORKFLOW_TOKENS_PER_SECOND.name
    mean = f"{total(f'{name}_sum', window, LEVEL)}\n/ ({rated_runs(window)} > 0)"
    return (
        Recording(rated_runs(window), total(f"{name}_count", window, LEVEL)),
        Recording(token_rate(window), mean),
    )


def cache_recordings(window: str) -> tuple[Recording, ...]:
    """Return the rules that budgets of cache hit rate read."""
    by = (*LEVEL, CACHE)
    asked, rate = lookups(window, by_cache=True), hit_rate(window, by_cache=True)
    all_asked, all_rate = lookups(window, by_cache=False), hit_rate(window, by_cache=False)
    hits = total(selector(CACHE_LOOKUPS.name, (f'{RESULT}=~"{HIT}"',)), window, by)
    level = ", ".join(LEVEL)
    return (
        Recording(asked, total(selector(CACHE_LOOKUPS.name, (f'{RESULT}!="{BYPASS}"',)), window, by)),
        # A cache that never hit has no series of hits: "0 *" stands in, or the worst rate would never be seen.
        Recording(rate, f"(\n{hits}\nor 0 * {asked}\n)\n/ ({asked} > 0)"),
        Recording(all_asked, f"sum by ({level}) ({asked})"),
        Recording(all_rate, f"sum by ({level}) ({rate} * {asked})\n/ ({all_asked} > 0)"),
    )
