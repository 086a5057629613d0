"""One alert for each budget: its condition, its text, and the search for the runs to blame.

A budget of seconds that is a bound of the histogram is judged by counting what is over it, any other by the
interpolated quantile. Every condition also requires enough runs or calls, so that silence or a single run raises no
alert. Objectives have alerts of their own, in `objectives`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from spanwise import conventions as c
from spanwise_alerts import recording
from spanwise_alerts.alert import RUN, Alert, Scope, scopes
from spanwise_alerts.objectives import SPEEDS, objective_alerts
from spanwise_alerts.promql import JOB, WORKFLOW, bucket_bound, equals, number
from spanwise_alerts.recording import AGENT, AGENTS, BUCKET, CACHE, MODEL, MODELS, RUNS, TOOL, TOOLS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from spanwise_alerts.budgets import Budgets, CacheBudget, Regression, WaitBudget, Watch
    from spanwise_alerts.recording import Level, Rate, Recording
    from spanwise_alerts.watches import ComparedSeconds, SecondsBudget

SLOW: Final = "SpanwiseWorkflowSlow"
REGRESSED: Final = "SpanwiseWorkflowSlowerThanBefore"
HITS_LOW: Final = "SpanwiseCacheHitRateLow"
WAITS_LONG: Final = "SpanwiseWaitShareHigh"

_SHARE: Final = "{{ $value | humanizePercentage }}"
_NUMBER: Final = '{{ $value | printf "%.4g" }}'
_ONE_IN: Final = {"p50": "half", "p90": "one in ten", "p95": "one in twenty", "p99": "one in a hundred"}


class Timed(NamedTuple):
    """What a budget of seconds is of."""

    slow: str
    """Name of the alert."""
    slower: str | None
    """Name of the alert against before; `None` where there is none."""
    metric: c.Metric
    nouns: str
    """What is timed, as a plural: `runs`."""
    what: str
    """What is too long, in a summary: `the run duration`."""


class Rated(NamedTuple):
    """What a budget of a rate is of."""

    alert: str
    rate: Rate
    summary: str
    what: str
    """What the value is, at the start of a description."""
    share: bool = False
    """Whether the value is shown as a percentage."""


_TIMED_RUNS: Final = Timed(SLOW, REGRESSED, c.WORKFLOW_DURATION, "runs", "the run duration")
_FIRST_CHUNK: Final = Timed(
    "SpanwiseFirstChunkSlow", None, c.TIME_TO_FIRST_CHUNK, "streamed calls", "the time to the first chunk"
)
_CHUNK_GAP: Final = Timed(
    "SpanwiseChunkGapLong", None, c.TIME_PER_OUTPUT_CHUNK, "streamed calls", "the time between chunks"
)
_DECODE: Final = Rated(
    "SpanwiseDecodeTokensPerSecondLow", recording.mean_of(c.OUTPUT_TOKENS_PER_SECOND),
    "Models write fewer tokens a second than the budget asks for.", "Mean output tokens a second after the first chunk",
)  # fmt: skip
_PROMPT_CACHE: Final = Rated(
    "SpanwisePromptCacheHitRateLow", recording.PROMPT_CACHE,
    "The provider reads a smaller share of input tokens from its prompt cache than the budget asks for.",
    "Share of input tokens read from the provider's prompt cache", share=True,
)  # fmt: skip
_RUN_RATES: Final[Mapping[str, Rated]] = {
    "tokens": Rated(
        "SpanwiseWorkflowTokensHigh", recording.TOKENS_A_RUN,
        "The workflow's runs take more tokens than its budget allows.", "Mean tokens of a run",
    ),
    "cost": Rated(
        "SpanwiseWorkflowCostHigh", recording.COST_A_RUN, "The workflow's runs cost more than its budget allows.",
        "Mean cost of a run",
    ),
    "tokens_per_second": Rated(
        "SpanwiseWorkflowTokensPerSecondLow", recording.mean_of(c.WORKFLOW_TOKENS_PER_SECOND),
        "The workflow gets through fewer tokens a second than its budget asks for.", "Mean tokens a second",
    ),
    "success_rate": Rated(
        "SpanwiseWorkflowSuccessRateLow", recording.SUCCEEDED,
        "A smaller share of the workflow's runs succeeds than its budget asks for.", "Share of runs without an error",
        share=True,
    ),
    "error_rate": Rated(
        "SpanwiseModelErrorRateHigh", recording.failed(c.OPERATION_DURATION),
        "A larger share of model calls fails than the budget allows.", "Share of model calls that failed", share=True,
    ),
    "retries": Rated(
        "SpanwiseRetriesHigh", recording.RETRIES_A_CALL,
        "Model calls are tried again more often than the budget allows.", "Retries for each model call", share=True,
    ),
    "decode_tokens_per_second": _DECODE,
    "prompt_cache_hit_rate": _PROMPT_CACHE,
}  # fmt: skip
_RUN_TIMES: Final[Mapping[str, Timed]] = {
    "duration": _TIMED_RUNS, "time_to_first_chunk": _FIRST_CHUNK, "chunk_gap": _CHUNK_GAP,
}  # fmt: skip
_AGENT_TIMES: Final = {
    "duration": Timed(
        "SpanwiseAgentSlow", "SpanwiseAgentSlowerThanBefore", c.AGENT_DURATION, "invocations", "an agent's duration"
    )
}
_TOOL_TIMES: Final = {
    "duration": Timed("SpanwiseToolSlow", "SpanwiseToolSlowerThanBefore", c.TOOL_DURATION, "calls", "a tool's duration")
}
_MODEL_TIMES: Final = {
    "duration": Timed(
        "SpanwiseModelCallSlow", "SpanwiseModelCallSlowerThanBefore", c.OPERATION_DURATION, "calls",
        "the duration of model calls",
    ),
    "time_to_first_chunk": _FIRST_CHUNK,
    "chunk_gap": _CHUNK_GAP,
}  # fmt: skip
_AGENT_RATES: Final = {
    "error_rate": Rated(
        "SpanwiseAgentErrorRateHigh", recording.failed(c.AGENT_DURATION),
        "A larger share of an agent's invocations fails than the budget allows.", "Share of invocations that failed",
        share=True,
    )
}  # fmt: skip
_TOOL_RATES: Final = {
    "error_rate": Rated(
        "SpanwiseToolErrorRateHigh", recording.failed(c.TOOL_DURATION),
        "A larger share of a tool's calls fails than the budget allows.", "Share of calls that failed", share=True,
    )
}  # fmt: skip
_MODEL_RATES: Final = {name: _RUN_RATES[name] for name in ("error_rate", "decode_tokens_per_second")} | {
    "prompt_cache_hit_rate": _PROMPT_CACHE
}


class Subject(NamedTuple):
    """A workflow, or one of its agents, tools or models: what budgets are of."""

    scope: Scope
    path: str
    budgets: object
    level: Level
    label: str
    """That holds its name."""
    operation: str
    said: str
    """How texts name it."""
    times: Mapping[str, Timed]
    rates: Mapping[str, Rated]
    matchers: tuple[str, ...] = ()

    def of(self, recorded: Recording, *more: str) -> str:
        """Return the recorded series of this subject."""
        return self.scope.of(recorded.record, *self.matchers, *more)


_TABLES: Final = (
    *_RUN_TIMES.values(), *_AGENT_TIMES.values(), *_TOOL_TIMES.values(), *_MODEL_TIMES.values(),
)  # fmt: skip
ALERTS: Final = tuple(
    dict.fromkeys(
        [
            *(name for timed in _TABLES for name in (timed.slow, timed.slower) if name is not None),
            *(
                rated.alert
                for table in (_RUN_RATES, _AGENT_RATES, _TOOL_RATES, _MODEL_RATES)
                for rated in table.values()
            ),
            HITS_LOW,
            WAITS_LONG,
            *(speed.alert for speed in SPEEDS),
        ]
    )
)
"""Every alert there can be; alerts/runbooks has a page for each."""


def alerts(budgets: Budgets) -> Iterator[Alert]:
    """Yield the alerts of `budgets`, workflow by workflow, the default last."""
    for scope in scopes(budgets):
        for made in (*_alerts(scope), *objective_alerts(scope)):
            yield replace(made, owner=made.watch.owner or made.owner or scope.owner)


def estimated_budgets(budgets: Budgets) -> tuple[tuple[str, float, tuple[float, ...]], ...]:
    """Return key, seconds and bounds of each budget that is interpolated because it is no bound of its histogram."""
    return tuple(
        (f"{subject.path}.{key}.{name}", seconds, timed.metric.buckets)
        for scope in scopes(budgets)
        for subject in _subjects(scope)
        for key, timed in subject.times.items()
        if (budget := getattr(subject.budgets, key, None)) is not None
        for name, seconds in budget.quantiles().items()
        if seconds not in timed.metric.buckets
    )


def _subjects(scope: Scope) -> Iterator[Subject]:
    given = scope.budgets
    yield Subject(scope, scope.path, given, RUNS, WORKFLOW, "invoke_workflow", RUN, _RUN_TIMES, _RUN_RATES)
    for name, agent in given.agents.items():
        yield Subject(
            scope, f"{scope.path}.agents.{name}", agent, AGENTS, AGENT, "invoke_agent",
            f"the agent {{{{ $labels.{AGENT} }}}} of {RUN}", _AGENT_TIMES, _AGENT_RATES, (equals(AGENT, name),),
        )  # fmt: skip
    for name, tool in given.tools.items():
        yield Subject(
            scope, f"{scope.path}.tools.{name}", tool, TOOLS, TOOL, "execute_tool",
            f"the tool {{{{ $labels.{TOOL} }}}} in {RUN}", _TOOL_TIMES, _TOOL_RATES, (equals(TOOL, name),),
        )  # fmt: skip
    for name, model in given.models.items():
        yield Subject(
            scope, f"{scope.path}.models.{name}", model, MODELS, MODEL, "chat",
            f"the model {{{{ $labels.{MODEL} }}}} in {RUN}", _MODEL_TIMES, _MODEL_RATES, (equals(MODEL, name),),
        )  # fmt: skip


def _alerts(scope: Scope) -> Iterator[Alert]:
    for subject in _subjects(scope):
        for key, timed in subject.times.items():
            if (budget := getattr(subject.budgets, key, None)) is not None:
                yield from _timed_alerts(subject, key, timed, budget)
        for key, rated in subject.rates.items():
            if (budget := getattr(subject.budgets, key, None)) is not None:
                yield _rated_alert(subject, key, rated, budget)
    if scope.budgets.cache_hit_rate is not None:
        yield from _cache_alerts(scope, scope.budgets.cache_hit_rate)
    if scope.budgets.waits is not None:
        yield from _wait_alerts(scope, scope.budgets.waits)


def _timed_alerts(subject: Subject, key: str, timed: Timed, budget: SecondsBudget) -> Iterator[Alert]:
    for name, seconds in budget.quantiles().items():
        yield _slow_alert(subject, timed, budget, f"{key}.{name}", seconds)
    compared: ComparedSeconds | None = budget if hasattr(budget, "compared") else None  # type: ignore[assignment]
    if compared is not None:
        for name, regression in compared.compared().items():
            yield _regression_alert(subject, f"{key}.{name}", timed, compared, regression)


def _slow_alert(subject: Subject, timed: Timed, budget: SecondsBudget, key: str, seconds: float) -> Alert:
    window, level, name = budget.window, subject.level, key.rpartition(".")[2]
    count, within = (
        recording.counted(timed.metric).recorded(level, window),
        recording.up_to(timed.metric, level, window),
    )
    allowed = round(1 - int(name.removeprefix("p")) / 100, 2)
    if seconds in timed.metric.buckets:
        # A quotient of whole numbers: exactly one run in twenty is exactly 0.05, which "1 - within / runs" would miss.
        over = f"({subject.of(count)} - sum without (le) ({subject.of(within, bucket_bound(seconds))}))"
        expr = f"{over} / ({subject.of(count)} > 0) > {number(allowed)}"
        needs: tuple[Recording, ...] = (count, within)
        found = f"{_SHARE} took longer than the budget of {number(seconds)} s; the budget allows {allowed:.0%}"
    else:
        estimated = recording.quantile(timed.metric, level, name, window)
        expr = f"{subject.of(estimated)} > {number(seconds)}"
        needs = (count, within, estimated)
        found = f"the estimated {name} is {_NUMBER} s; the budget is {number(seconds)} s"
    few = f"More than {_ONE_IN[name]} of the {timed.nouns}"
    return Alert(
        name=timed.slow,
        budget=f"{subject.path}.{key}",
        expr=f"{expr}\nand {subject.of(count)} >= {budget.traffic}",
        watch=budget,
        summary=f"{few} takes longer than the budget: {timed.what}.",
        description=f"Of the {timed.nouns} of {subject.said} in the last {window}, {found}.",
        needs=needs,
        min_seconds=subject.scope.real(seconds),
        of=subject.operation,
        subject=subject.label,
    )


def _regression_alert(
    subject: Subject, key: str, timed: Timed, budget: ComparedSeconds, regression: Regression
) -> Alert:
    window, offset, level = budget.window, regression.offset, subject.level
    count, within = (
        recording.counted(timed.metric).recorded(level, window),
        recording.up_to(timed.metric, level, window),
    )
    estimated = recording.quantile(timed.metric, level, "p95", window)
    p95, start = subject.of(estimated), _bucket_start(timed.metric.buckets, regression.floor)
    # The median over a window, not one moment: at that very moment there may have been no run.
    before = f"quantile_over_time(0.5, {p95}[{window}] offset {offset})"
    conditions = (
        f"{p95} > {number(regression.factor)} * {before}",
        f"and {p95} > {number(regression.floor)}",
        f"and {subject.of(count)} >= {budget.traffic}",
        f"and max_over_time({subject.of(count)}[{window}] offset {offset}) >= {budget.traffic}",
    )
    return Alert(
        name=str(timed.slower),
        budget=f"{subject.path}.{key}",
        expr="\n".join(conditions),
        watch=budget,
        summary=f"The 95th percentile of {timed.what} has grown against the baseline.",
        description=f"The 95th percentile of the {timed.nouns} of {subject.said} in the last {window} is about "
        f"{_NUMBER} s, more than {number(regression.factor)} times what it was {offset} ago.",
        needs=(count, within, estimated),
        min_seconds=None if start is None else subject.scope.real(start),
        of=subject.operation,
        subject=subject.label,
    )


def _bucket_start(buckets: tuple[float, ...], seconds: float) -> float | None:
    # An interpolated quantile over the floor may come from runs anywhere in the floor's bucket.
    below = [bound for bound in buckets if bound <= seconds]
    return below[-1] if below else None


def _rated_alert(subject: Subject, key: str, rated: Rated, budget: Watch) -> Alert:
    window = budget.window
    needs = rated.rate.recorded(subject.level, window)
    least: float | None = getattr(budget, "minimum", None)
    bound = least if least is not None else float(getattr(budget, "maximum"))  # noqa: B009 - it has one of the two
    guard = subject.scope.of(rated.rate.guard(subject.level, window), *subject.matchers)
    value, limit = (_SHARE, _percent(bound)) if rated.share else (_NUMBER, number(bound))
    asks = "asks for at least" if least is not None else "allows at most"
    return Alert(
        name=rated.alert,
        budget=f"{subject.path}.{key}.{'minimum' if least is not None else 'maximum'}",
        expr=f"{subject.of(needs[-1])} {'<' if least is not None else '>'} {number(bound)}"
        f"\nand {guard} >= {budget.traffic}",
        watch=budget,
        summary=rated.summary,
        description=f"{rated.what}, of {subject.said} in the last {window}: {value}; the budget {asks} {limit}.",
        needs=needs,
        of=subject.operation,
        subject=subject.label,
    )


def _percent(share: float) -> str:
    return f"{number(round(share * 100, 6))}%"


def _cache_alerts(scope: Scope, budget: CacheBudget) -> Iterator[Alert]:
    if budget.minimum is not None:
        yield _cache_alert(scope, budget, budget.minimum, cache=None)
    for cache, minimum in budget.caches.items():
        yield _cache_alert(scope, budget, minimum, cache=cache)


def _cache_alert(scope: Scope, budget: CacheBudget, minimum: float, *, cache: str | None) -> Alert:
    by_cache = cache is not None
    more = () if cache is None else (equals(CACHE, cache),)
    rate = scope.of(recording.hit_rate(budget.window, by_cache=by_cache), *more)
    lookups = scope.of(recording.lookups(budget.window, by_cache=by_cache), *more)
    subject = f"The cache {{{{ $labels.{CACHE} }}}}" if by_cache else "The caches"
    return Alert(
        name=HITS_LOW,
        budget=f"{scope.path}.cache_hit_rate.{f'caches.{cache}' if by_cache else 'minimum'}",
        expr=f"{rate} < {number(minimum)}\nand {lookups} >= {budget.min_lookups}",
        watch=budget,
        summary="Caches answer a smaller share of lookups than the budget asks for.",
        description=f"{subject} of {RUN} answered {_SHARE} of the lookups in the last {budget.window}; "
        f"the budget asks for {_percent(minimum)}.",
        needs=recording.cache_recordings(budget.window),
    )


def _wait_alerts(scope: Scope, budget: WaitBudget) -> Iterator[Alert]:
    for bucket, maximum in budget.maximum.items():
        share = scope.of(recording.wait_share(budget.window), equals(BUCKET, bucket))
        traffic = scope.of(recording.runs(budget.window).record)
        yield Alert(
            name=WAITS_LONG,
            budget=f"{scope.path}.waits.maximum.{bucket}",
            expr=f"{share} > {number(maximum)}\nand on ({JOB}, {WORKFLOW}) {traffic} >= {budget.min_runs}",
            watch=budget,
            summary="Runs spend a larger share of their time on one thing than the budget allows.",
            description=f"The runs of {RUN} in the last {budget.window} spent {_SHARE} of their time on {bucket}; "
            f"the budget allows at most {_percent(maximum)}.",
            needs=recording.wait_recordings(budget.window),
        )
