"""Recording rules: what happened in each window, counted once and read by every alert.

Names follow `level:metric:operation`, where the level lists the labels that are kept. An alert names the rules that it
reads, so that only these are written, each once. Failed runs count too: a run that failed after 200 s took 200 s of
somebody's time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from spanwise import conventions as c
from spanwise.conventions import label_of as label
from spanwise_alerts.promql import BYPASS, HIT, JOB, WORKFLOW, bucket_bound, selector, total

if TYPE_CHECKING:
    from collections.abc import Mapping

AGENT: Final = label(c.AGENT_NAME)
TOOL: Final = label(c.TOOL_NAME)
MODEL: Final = label(c.REQUEST_MODEL)
CACHE: Final = label(c.CACHE_NAME)
RESULT: Final = label(c.CACHE_RESULT)
BUCKET: Final = label(c.BUDGET_BUCKET)
_ERROR: Final = label(c.ERROR_TYPE)
_TOKEN: Final = label(c.TOKEN_TYPE)
_FAILED: Final = f'{_ERROR}!=""'


class Level(NamedTuple):
    """The labels that a sum keeps."""

    name: str
    labels: tuple[str, ...]


RUNS: Final = Level("job_workflow", (JOB, WORKFLOW))
AGENTS: Final = Level("job_workflow_agent", (JOB, WORKFLOW, AGENT))
TOOLS: Final = Level("job_workflow_tool", (JOB, WORKFLOW, TOOL))
MODELS: Final = Level("job_workflow_model", (JOB, WORKFLOW, MODEL))
CACHES: Final = Level("job_workflow_cache", (JOB, WORKFLOW, CACHE))


@dataclass(frozen=True)
class Recording:
    """A recording rule."""

    record: str
    expr: str
    labels: Mapping[str, str] = field(default_factory=dict[str, str])

    def rule(self) -> dict[str, Any]:
        """Return the rule as it stands in a file."""
        found: dict[str, Any] = {"record": self.record, "expr": self.expr}
        return found | ({"labels": dict(self.labels)} if self.labels else {})


class Counted(NamedTuple):
    """A counter, or a part of one, that is recorded as how much it grew in a window."""

    series: str
    """With its matchers."""
    name: str
    """Of the metric and the operation, without the window."""

    def recorded(self, level: Level, window: str) -> Recording:
        """Return the rule that records it."""
        return Recording(f"{level.name}:{self.name}{window}", total(self.series, window, level.labels))


class Rate(NamedTuple):
    """One counter's growth for each of another's."""

    of: str
    """Series of the numerator, with its matchers."""
    over: Counted
    name: str
    """Of the metric and the operation, without the window."""
    traffic: Counted | None = None
    """What says whether there is enough to judge; `over` where it is left out."""

    def recorded(self, level: Level, window: str) -> tuple[Recording, ...]:
        """Return the rules that record it, itself last."""
        over = self.over.recorded(level, window)
        # A counter that never grew has no series: "0 *" stands in, or the worst value would never be seen.
        expr = f"(\n{total(self.of, window, level.labels)}\nor 0 * {over.record}\n)\n/ ({over.record} > 0)"
        traffic = () if self.traffic is None else (self.traffic.recorded(level, window),)
        return (*traffic, over, Recording(f"{level.name}:{self.name}{window}", expr))

    def guard(self, level: Level, window: str) -> str:
        """Return the name of what is counted against `min_runs` or `min_calls`."""
        return (self.traffic or self.over).recorded(level, window).record


def counted(metric: c.Metric) -> Counted:
    """Return the observations of a histogram."""
    return Counted(f"{metric.name}_count", f"{metric.name}_count:growth")


_RUN_COUNT: Final = counted(c.WORKFLOW_DURATION)
_CALL_COUNT: Final = counted(c.OPERATION_DURATION)
_INPUT_TOKENS: Final = Counted(
    selector(f"{c.TOKEN_USAGE.name}_sum", (f'{_TOKEN}="input"',)), f"{c.TOKEN_USAGE.name}_sum:input_growth"
)


def mean_of(metric: c.Metric) -> Rate:
    """Return the mean of a histogram's observations."""
    return Rate(f"{metric.name}_sum", counted(metric), f"{metric.name}:mean")


def failed(metric: c.Metric) -> Rate:
    """Return the share of a histogram's observations that ended in an error."""
    return Rate(selector(f"{metric.name}_count", (_FAILED,)), counted(metric), f"{metric.name}:error_ratio")


TOKENS_A_RUN: Final = Rate(f"{c.TOKEN_USAGE.name}_sum", _RUN_COUNT, f"{c.TOKEN_USAGE.name}:per_run")
COST_A_RUN: Final = Rate(c.COST_TOTAL.name, _RUN_COUNT, f"{c.COST_TOTAL.name}:per_run")
RETRIES_A_CALL: Final = Rate(c.RETRIES.name, _CALL_COUNT, f"{c.RETRIES.name}:per_call")
SUCCEEDED: Final = Rate(
    selector(f"{c.WORKFLOW_DURATION.name}_count", (f'{_ERROR}=""',)), _RUN_COUNT,
    f"{c.WORKFLOW_DURATION.name}:success_ratio",
)  # fmt: skip
PROMPT_CACHE: Final = Rate(
    c.PROMPT_CACHE_READ_TOKENS.name, _INPUT_TOKENS, f"{c.PROMPT_CACHE_READ_TOKENS.name}:hit_ratio", _CALL_COUNT
)


def runs(window: str) -> Recording:
    """Return the rule of: runs that ended within the window."""
    return _RUN_COUNT.recorded(RUNS, window)


def up_to(metric: c.Metric, level: Level, window: str) -> Recording:
    """Return the rule of: observations within the window of at most `le` seconds."""
    return Recording(
        f"{level.name}_le:{metric.name}_bucket:growth{window}",
        total(f"{metric.name}_bucket", window, (*level.labels, "le")),
    )


def quantile(metric: c.Metric, level: Level, name: str, window: str) -> Recording:
    """Return the rule of: the estimated quantile `name`, such as `p95`, of those observations."""
    # Without an observation the quantile is not a number; ">= 0" leaves it out, so that a baseline has runs.
    expr = f"histogram_quantile(0.{name.removeprefix('p')}, {up_to(metric, level, window).record}) >= 0"
    return Recording(f"{level.name}:{metric.name}:{name}_{window}", expr)


def lookups(window: str, *, by_cache: bool) -> str:
    """Name of: lookups that asked a cache within the window."""
    return f"{(CACHES if by_cache else RUNS).name}:{c.CACHE_LOOKUPS.name}:growth{window}"


def hit_rate(window: str, *, by_cache: bool) -> str:
    """Name of: the share of those that was answered."""
    return f"{(CACHES if by_cache else RUNS).name}:{c.CACHE_LOOKUPS.name}:hit_ratio{window}"


def cache_recordings(window: str) -> tuple[Recording, ...]:
    """Return the rules that budgets of cache hit rate read."""
    asked, rate = lookups(window, by_cache=True), hit_rate(window, by_cache=True)
    all_asked, all_rate = lookups(window, by_cache=False), hit_rate(window, by_cache=False)
    hits = total(selector(c.CACHE_LOOKUPS.name, (f'{RESULT}=~"{HIT}"',)), window, CACHES.labels)
    level = ", ".join(RUNS.labels)
    return (
        Recording(asked, total(selector(c.CACHE_LOOKUPS.name, (f'{RESULT}!="{BYPASS}"',)), window, CACHES.labels)),
        # A cache that never hit has no series of hits: "0 *" stands in, or the worst rate would never be seen.
        Recording(rate, f"(\n{hits}\nor 0 * {asked}\n)\n/ ({asked} > 0)"),
        Recording(all_asked, f"sum by ({level}) ({asked})"),
        Recording(all_rate, f"sum by ({level}) ({rate} * {asked})\n/ ({all_asked} > 0)"),
    )


def wait_share(window: str) -> str:
    """Name of: the share of the runs' wall clock that each bucket took."""
    return f"job_workflow_bucket:{c.BUDGET_SECONDS.name}:share{window}"


def wait_recordings(window: str) -> tuple[Recording, ...]:
    """Return the rules that budgets of waits read."""
    seconds = Counted(f"{c.WORKFLOW_DURATION.name}_sum", f"{c.WORKFLOW_DURATION.name}_sum:growth").recorded(
        RUNS, window
    )
    spent = total(c.BUDGET_SECONDS.name, window, (*RUNS.labels, BUCKET))
    level = ", ".join(RUNS.labels)
    share = Recording(wait_share(window), f"{spent}\n/ on ({level}) group_left () ({seconds.record} > 0)")
    return (runs(window), seconds, share)


def missed(window: str) -> str:
    """Name of: the share of runs that missed an objective, whose name is a label."""
    return f"{RUNS.name}:spanwise_objective:missed_ratio{window}"


def objective_recordings(
    window: str, matchers: tuple[str, ...], within: float | None, name: str
) -> tuple[Recording, ...]:
    """Return the rules that an objective reads, for the runs that fit `matchers`."""
    all_runs = runs(window)
    success = (*matchers, f'{_ERROR}=""')
    if within is None:
        good = selector(f"{c.WORKFLOW_DURATION.name}_count", success)
    else:
        good = selector(f"{c.WORKFLOW_DURATION.name}_bucket", (*success, bucket_bound(within)))
    ended = selector(all_runs.record, matchers)
    expr = f"1 - (\n{total(good, window, RUNS.labels)}\nor 0 * {ended}\n)\n/ ({ended} > 0)"
    return (all_runs, Recording(missed(window), expr, {"objective": name}))
