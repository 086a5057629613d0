"""Cases of every alert, as counters and how much they grew: what just makes it fire, and what nearly does.

`fires` is just beyond the threshold, with as little traffic as is judged. Each of `quiet` lacks one thing: the first is
at the threshold (exactly, where a case says so), the last has one run or call too few.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from spanwise import conventions as c

Growth: TypeAlias = Mapping[str, float]
"""Series with labels to how much they grew."""

RUN: Final = 'job="desk", gen_ai_workflow_name="w"'
AGENT: Final = RUN + ', gen_ai_agent_name="risk"'
TOOL: Final = RUN + ', gen_ai_tool_name="prices"'
MODEL: Final = RUN + ', gen_ai_request_model="small"'
_RUN: Final = {"job": "desk", "gen_ai_workflow_name": "w"}
_AGENT: Final = _RUN | {"gen_ai_agent_name": "risk"}
_TOOL: Final = _RUN | {"gen_ai_tool_name": "prices"}
_MODEL: Final = _RUN | {"gen_ai_request_model": "small"}
_INFINITE: Final = float("inf")


@dataclass(frozen=True, kw_only=True)
class Case:
    """An alert, the budget that it is made from, and what grew."""

    alert: str
    budget: str
    """What stands below the workflow `w` in the budget file, in YAML's flow style."""
    key: str
    """The label `budget`."""
    fires: Growth
    description: str
    quiet: tuple[Growth, ...]
    labels: Mapping[str, str] = field(default_factory=lambda: _RUN)
    search: str = "operation=invoke_workflow%20w"
    """Of the link, from the operation to the lookback."""
    exact: bool = True
    """Whether the first of `quiet` is exactly at the threshold, so that `>` and `>=` differ."""

    mutated: bool = True
    """Whether it also has to notice changed thresholds; not where another case of the same budget does."""

    @property
    def budgets(self) -> str:
        """A budget file with this budget."""
        return f"version: 1\nworkflows: {{w: {self.budget}}}\n"


def histogram(metric: c.Metric, labels: str, counts: Mapping[float, float], *, failed: float = 0) -> Growth:
    """Return a histogram with so many observations by the bound of their bucket; `failed` of the last are errors."""
    error = f'{labels}, error_type="E"'
    found = {f"{metric.name}_count{{{labels}}}": sum(counts.values()) - failed}
    if failed:
        found[f"{metric.name}_count{{{error}}}"] = failed
    last = max(counts)
    for bound in (*metric.buckets, _INFINITE):
        shown = "+Inf" if bound == _INFINITE else str(bound)
        errors = failed if bound >= last else 0
        total = sum(number for upper, number in counts.items() if upper <= bound)
        found[f'{metric.name}_bucket{{{labels}, le="{shown}"}}'] = total - errors
        if failed:
            found[f'{metric.name}_bucket{{{error}, le="{shown}"}}'] = errors
    return found


def mean(metric: c.Metric, labels: str, count: float, value: float) -> Growth:
    """Return count and sum of a histogram whose mean is `value`."""
    return {f"{metric.name}_count{{{labels}}}": count, f"{metric.name}_sum{{{labels}}}": count * value}


def runs(good: float, failed: float = 0) -> Growth:
    """Return the runs of the workflow."""
    return histogram(c.WORKFLOW_DURATION, RUN, {10.0: good + failed}, failed=failed)


def calls(good: float, failed: float = 0) -> Growth:
    """Return the calls of a model."""
    return histogram(c.OPERATION_DURATION, MODEL, {1.28: good + failed}, failed=failed)


def one(name: str, labels: str, value: float) -> Growth:
    """Return one counter."""
    return {f"{name}{{{labels}}}": value}


def lookups(hits: float, misses: float) -> Growth:
    """Return the lookups of a cache."""
    name, labels = c.CACHE_LOOKUPS.name, RUN + ', spanwise_cache_name="prices", spanwise_cache_result='
    return {f'{name}{{{labels}"hit"}}': hits, f'{name}{{{labels}"miss"}}': misses}


def _slow(metric: c.Metric, labels: str, bound: float) -> tuple[Growth, tuple[Growth, ...]]:
    """Return what makes a p95 with 19 observations fire, and what does not: one in twenty, and one too few."""
    above = metric.buckets[metric.buckets.index(bound) + 1]
    few = histogram(metric, labels, {bound: 17, above: 1})
    return histogram(metric, labels, {bound: 18, above: 1}), (histogram(metric, labels, {bound: 19, above: 1}), few)


def _failing(metric: c.Metric, labels: str, bound: float) -> tuple[Growth, tuple[Growth, ...]]:
    """Return the same for an error rate of 10 % with 20 calls."""
    counts = {bound: 20.0}
    return (
        histogram(metric, labels, counts, failed=2.25),
        (histogram(metric, labels, counts, failed=2), histogram(metric, labels, {bound: 19}, failed=5)),
    )


def _prompt(read: float, count: float) -> Growth:
    used = one(f"{c.TOKEN_USAGE.name}_sum", MODEL + ', gen_ai_token_type="input"', 1000)
    rest = one(f"{c.TOKEN_USAGE.name}_sum", MODEL + ', gen_ai_token_type="output"', 500)
    return {**calls(count), **used, **rest, **one(c.PROMPT_CACHE_READ_TOKENS.name, MODEL, read)}


def _tokens(count: float, tokens: float) -> Growth:
    return {**runs(count), **one(f"{c.TOKEN_USAGE.name}_sum", MODEL + ', gen_ai_token_type="input"', tokens)}


def _waits(count: float, seconds: float) -> Growth:
    spent = one(c.BUDGET_SECONDS.name, RUN + ', spanwise_budget_bucket="wait_rate_limit"', seconds)
    rest = one(c.BUDGET_SECONDS.name, RUN + ', spanwise_budget_bucket="model"', 1000 - seconds)
    return {**runs(count), **spent, **rest, **one(f"{c.WORKFLOW_DURATION.name}_sum", RUN, 1000)}


def _of_p95(nouns: str, said: str, bound: str) -> str:
    return (
        f"Of the {nouns} of {said} in the last 30m, 5.263% took longer than the budget of {bound} s; "
        "the budget allows 5%."
    )


_WORKFLOW, _SLOW_AGENT, _SLOW_TOOL, _SLOW_CALL, _FIRST, _GAP = (
    _slow(c.WORKFLOW_DURATION, RUN, 120.0), _slow(c.AGENT_DURATION, AGENT, 12.8), _slow(c.TOOL_DURATION, TOOL, 2.56),
    _slow(c.OPERATION_DURATION, MODEL, 20.48), _slow(c.TIME_TO_FIRST_CHUNK, MODEL, 2.56),
    _slow(c.TIME_PER_OUTPUT_CHUNK, MODEL, 0.16),
)  # fmt: skip
_AGENT_FAILS, _TOOL_FAILS, _CALL_FAILS = (
    _failing(c.AGENT_DURATION, AGENT, 1.6), _failing(c.TOOL_DURATION, TOOL, 1.28),
    _failing(c.OPERATION_DURATION, MODEL, 1.28),
)  # fmt: skip

CASES: Final = (
    Case(
        alert="SpanwiseWorkflowSlow",
        budget="{duration: {p95: 120, min_runs: 19}}",
        key="workflows.w.duration.p95",
        fires=_WORKFLOW[0],
        description=_of_p95("runs", "w (desk)", "120"),
        quiet=_WORKFLOW[1],
        search="operation=invoke_workflow%20w&minDuration=120s",
    ),
    Case(
        alert="SpanwiseWorkflowSlow",
        budget="{duration: {p90: 50, min_runs: 10}}",
        key="workflows.w.duration.p90",
        fires=histogram(c.WORKFLOW_DURATION, RUN, {30.0: 5, 60.0: 5}),
        description="Of the runs of w (desk) in the last 30m, the estimated p90 is 54 s; the budget is 50 s.",
        quiet=(
            histogram(c.WORKFLOW_DURATION, RUN, {30.0: 8, 60.0: 3}),
            histogram(c.WORKFLOW_DURATION, RUN, {30.0: 4, 60.0: 5}),
        ),
        search="operation=invoke_workflow%20w&minDuration=50s",
        exact=False,
    ),
    Case(
        alert="SpanwiseAgentSlow",
        budget="{agents: {risk: {duration: {p95: 12.8, min_calls: 19}}}}",
        key="workflows.w.agents.risk.duration.p95",
        fires=_SLOW_AGENT[0],
        description=_of_p95("invocations", "the agent risk of w (desk)", "12.8"),
        quiet=_SLOW_AGENT[1],
        labels=_AGENT,
        search="operation=invoke_agent%20risk&minDuration=12800ms",
    ),
    Case(
        alert="SpanwiseToolSlow",
        budget="{tools: {prices: {duration: {p95: 2.56, min_calls: 19}}}}",
        key="workflows.w.tools.prices.duration.p95",
        fires=_SLOW_TOOL[0],
        description=_of_p95("calls", "the tool prices in w (desk)", "2.56"),
        quiet=_SLOW_TOOL[1],
        labels=_TOOL,
        search="operation=execute_tool%20prices&minDuration=2560ms",
    ),
    Case(
        alert="SpanwiseModelCallSlow",
        budget="{models: {small: {duration: {p95: 20.48, min_calls: 19}}}}",
        key="workflows.w.models.small.duration.p95",
        fires=_SLOW_CALL[0],
        description=_of_p95("calls", "the model small in w (desk)", "20.48"),
        quiet=_SLOW_CALL[1],
        labels=_MODEL,
        search="operation=chat%20small&minDuration=20480ms",
    ),
    Case(
        alert="SpanwiseFirstChunkSlow",
        budget="{models: {small: {time_to_first_chunk: {p95: 2.56, min_calls: 19}}}}",
        key="workflows.w.models.small.time_to_first_chunk.p95",
        fires=_FIRST[0],
        description=_of_p95("streamed calls", "the model small in w (desk)", "2.56"),
        quiet=_FIRST[1],
        labels=_MODEL,
        search="operation=chat%20small&minDuration=2560ms",
    ),
    Case(
        alert="SpanwiseChunkGapLong",
        budget="{models: {small: {chunk_gap: {p95: 0.16, min_calls: 19}}}}",
        key="workflows.w.models.small.chunk_gap.p95",
        fires=_GAP[0],
        description=_of_p95("streamed calls", "the model small in w (desk)", "0.16"),
        quiet=_GAP[1],
        labels=_MODEL,
        search="operation=chat%20small&minDuration=160ms",
    ),
    Case(
        alert="SpanwiseWorkflowTokensHigh",
        budget="{tokens: {maximum: 1000, min_runs: 5}}",
        key="workflows.w.tokens.maximum",
        fires=_tokens(5, 5500),
        description="Mean tokens of a run, of w (desk) in the last 30m: 1100; the budget allows at most 1000.",
        quiet=(_tokens(5, 5000), _tokens(4, 8000)),
    ),
    Case(
        alert="SpanwiseWorkflowCostHigh",
        budget="{cost: {maximum: 0.5, min_runs: 5}}",
        key="workflows.w.cost.maximum",
        fires={**runs(5), **one(c.COST_TOTAL.name, MODEL + ', currency="USD"', 2.75)},
        description="Mean cost of a run, of w (desk) in the last 30m: 0.55; the budget allows at most 0.5.",
        quiet=(
            {**runs(5), **one(c.COST_TOTAL.name, MODEL + ', currency="USD"', 2.5)},
            {**runs(4), **one(c.COST_TOTAL.name, MODEL + ', currency="USD"', 9)},
        ),
    ),
    Case(
        alert="SpanwiseWorkflowTokensPerSecondLow",
        budget="{tokens_per_second: {minimum: 20, min_runs: 5}}",
        key="workflows.w.tokens_per_second.minimum",
        fires=mean(c.WORKFLOW_TOKENS_PER_SECOND, RUN, 5, 18),
        description="Mean tokens a second, of w (desk) in the last 30m: 18; the budget asks for at least 20.",
        quiet=(mean(c.WORKFLOW_TOKENS_PER_SECOND, RUN, 5, 20), mean(c.WORKFLOW_TOKENS_PER_SECOND, RUN, 4, 1)),
    ),
    Case(
        alert="SpanwiseWorkflowSuccessRateLow",
        budget="{success_rate: {minimum: 0.75, min_runs: 16}}",
        key="workflows.w.success_rate.minimum",
        fires=runs(11, 5),
        description="Share of runs without an error, of w (desk) in the last 30m: 68.75%; the budget asks for at least "
        "75%.",
        quiet=(runs(12, 4), runs(0, 15)),
    ),
    Case(
        alert="SpanwiseWorkflowSuccessRateLow",
        budget="{success_rate: {minimum: 0.75, min_runs: 5}}",
        key="workflows.w.success_rate.minimum",
        fires=runs(0, 5),  # no run ever succeeded: the counter of those that did does not move
        description="Share of runs without an error, of w (desk) in the last 30m: 0%; the budget asks for at least "
        "75%.",
        quiet=(runs(5), runs(0, 4)),
        mutated=False,
    ),
    Case(
        alert="SpanwiseModelErrorRateHigh",
        budget="{error_rate: {maximum: 0.1, min_calls: 20}}",
        key="workflows.w.error_rate.maximum",
        fires=_CALL_FAILS[0],
        description="Share of model calls that failed, of w (desk) in the last 30m: 11.25%; the budget allows at most "
        "10%.",
        quiet=_CALL_FAILS[1],
    ),
    Case(
        alert="SpanwiseModelErrorRateHigh",
        budget="{models: {small: {error_rate: {maximum: 0.1, min_calls: 20}}}}",
        key="workflows.w.models.small.error_rate.maximum",
        fires=_CALL_FAILS[0],
        description="Share of model calls that failed, of the model small in w (desk) in the last 30m: 11.25%; the "
        "budget allows at most 10%.",
        quiet=_CALL_FAILS[1],
        labels=_MODEL,
        search="operation=chat%20small",
    ),
    Case(
        alert="SpanwiseAgentErrorRateHigh",
        budget="{agents: {risk: {error_rate: {maximum: 0.1, min_calls: 20}}}}",
        key="workflows.w.agents.risk.error_rate.maximum",
        fires=_AGENT_FAILS[0],
        description="Share of invocations that failed, of the agent risk of w (desk) in the last 30m: 11.25%; the "
        "budget allows at most 10%.",
        quiet=_AGENT_FAILS[1],
        labels=_AGENT,
        search="operation=invoke_agent%20risk",
    ),
    Case(
        alert="SpanwiseToolErrorRateHigh",
        budget="{tools: {prices: {error_rate: {maximum: 0.1, min_calls: 20}}}}",
        key="workflows.w.tools.prices.error_rate.maximum",
        fires=_TOOL_FAILS[0],
        description="Share of calls that failed, of the tool prices in w (desk) in the last 30m: 11.25%; the budget "
        "allows at most 10%.",
        quiet=_TOOL_FAILS[1],
        labels=_TOOL,
        search="operation=execute_tool%20prices",
    ),
    Case(
        alert="SpanwiseRetriesHigh",
        budget="{retries: {maximum: 0.2, min_calls: 20}}",
        key="workflows.w.retries.maximum",
        fires={**calls(20), **one(c.RETRIES.name, RUN + ', error_type="429"', 4.5)},
        description="Retries for each model call, of w (desk) in the last 30m: 22.5%; the budget allows at most 20%.",
        quiet=(
            {**calls(20), **one(c.RETRIES.name, RUN + ', error_type="429"', 4)},
            {**calls(19), **one(c.RETRIES.name, RUN + ', error_type="429"', 19)},
        ),
    ),
    Case(
        alert="SpanwiseDecodeTokensPerSecondLow",
        budget="{models: {small: {decode_tokens_per_second: {minimum: 10, min_calls: 20}}}}",
        key="workflows.w.models.small.decode_tokens_per_second.minimum",
        fires=mean(c.OUTPUT_TOKENS_PER_SECOND, MODEL, 20, 9),
        description="Mean output tokens a second after the first chunk, of the model small in w (desk) in the last "
        "30m: 9; the budget asks for at least 10.",
        quiet=(mean(c.OUTPUT_TOKENS_PER_SECOND, MODEL, 20, 10), mean(c.OUTPUT_TOKENS_PER_SECOND, MODEL, 19, 1)),
        labels=_MODEL,
        search="operation=chat%20small",
    ),
    Case(
        alert="SpanwisePromptCacheHitRateLow",
        budget="{prompt_cache_hit_rate: {minimum: 0.5, min_calls: 20}}",
        key="workflows.w.prompt_cache_hit_rate.minimum",
        fires=_prompt(450, 20),
        description="Share of input tokens read from the provider's prompt cache, of w (desk) in the last 30m: 45%; "
        "the budget asks for at least 50%.",
        quiet=(_prompt(500, 20), _prompt(0, 19)),
    ),
    Case(
        alert="SpanwiseCacheHitRateLow",
        budget="{cache_hit_rate: {minimum: 0.5, min_lookups: 20}}",
        key="workflows.w.cache_hit_rate.minimum",
        fires=lookups(9, 11),
        description="The caches of w (desk) answered 45% of the lookups in the last 30m; the budget asks for 50%.",
        quiet=(lookups(10, 10), lookups(0, 19)),
    ),
    Case(
        alert="SpanwiseCacheHitRateLow",
        budget="{cache_hit_rate: {caches: {prices: 0.5}, min_lookups: 20}}",
        key="workflows.w.cache_hit_rate.caches.prices",
        fires=lookups(9, 11),
        description="The cache prices of w (desk) answered 45% of the lookups in the last 30m; the budget asks for "
        "50%.",
        quiet=(lookups(10, 10), lookups(0, 19)),
        labels=_RUN | {"spanwise_cache_name": "prices"},
    ),
    Case(
        alert="SpanwiseWaitShareHigh",
        budget="{waits: {maximum: {wait_rate_limit: 0.25}, min_runs: 5}}",
        key="workflows.w.waits.maximum.wait_rate_limit",
        fires=_waits(5, 275),
        description="The runs of w (desk) in the last 30m spent 27.5% of their time on wait_rate_limit; the budget "
        "allows at most 25%.",
        quiet=(_waits(5, 250), _waits(4, 900)),
        labels=_RUN | {"spanwise_budget_bucket": "wait_rate_limit"},
    ),
)
