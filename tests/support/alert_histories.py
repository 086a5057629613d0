"""Histories for alerts that look at more than one window: slower than before, and how fast an objective is used up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from support.alert_cases import AGENT, MODEL, RUN, TOOL, histogram

from spanwise import conventions as c

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


@dataclass(frozen=True, kw_only=True)
class History:
    """Counters over time, and whether the alert fires at the end."""

    series: Mapping[str, str]
    """Series to its values, as promtool writes them."""
    fires: bool


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """An alert, the budget that it is made from, and histories of its counters."""

    alert: str
    budget: str
    """What stands below the workflow `w` in the budget file, in YAML's flow style."""
    interval: str
    """Between two values of a series."""
    evaluated: str
    """How often rules are evaluated."""
    at: str
    description: str
    """What the firing alert says."""
    part: int | None = None
    """Which of the alternatives of its condition the histories are about; all where it is `None`."""
    histories: tuple[History, ...]
    """The one that fires is the first."""

    @property
    def budgets(self) -> str:
        """A budget file with this budget."""
        return f"version: 1\nworkflows: {{w: {self.budget}}}\n"


def _compared(
    metric: c.Metric, labels: str, before: Mapping[float, float], now: Mapping[float, float], *, fires: bool = False
) -> History:
    """Return a history of observations at minute 20, and at minute 90."""
    old, new = (histogram(metric, labels, counts) for counts in (before or {metric.buckets[0]: 0}, now))
    series = {name: f"0x3 {old[name]:g}x13 {old[name] + new[name]:g}x10" for name in old}
    return History(series=series, fires=fires)


def _slower(  # noqa: PLR0917 - a table's row
    alert: str, key: str, metric: c.Metric, labels: str, said: str, bounds: tuple[float, ...]
) -> Timeline:
    """Return the history of an alert against an hour before; `bounds` are four bounds of the histogram in a row."""
    lowest, low, middle, high = bounds
    old, new = low + 0.95 * (middle - low), middle + 0.95 * (high - middle)
    factor, floor = round(new / old / 1.1, 3), round(new / 1.23, 3)
    least = "min_runs" if metric is c.WORKFLOW_DURATION else "min_calls"
    regression = f"{{factor: {factor}, offset: 1h, floor: {floor}}}"
    before, slow, most, half = {middle: 5.0}, {high: 5.0}, {middle: 17.0, high: 3.0}, {middle: 18.0, high: 2.0}
    made = [
        (before, slow, True),
        (before, most, False),  # slower, and not by the factor
        ({low: 5.0}, half, False),  # slower by the factor, and not over the floor
        (before, {high: 4.0}, False),  # too few now
        ({middle: 4.0}, slow, False),  # too few before
        ({}, slow, False),  # none before
        ({}, {lowest: 0.0}, False),
    ]
    name, nouns = said.partition(" of ")[2], said.partition(" of ")[0]
    return Timeline(
        alert=alert,
        budget=key.replace("REGRESSION", f"{{{least}: 5, regression: {regression}}}"),
        interval="5m",
        evaluated="10m",
        at="100m",
        description=f"The 95th percentile of the {nouns} of {name} in the last 30m is about {new:.4g} s, more than "
        f"{factor:g} times what it was 1h ago.",
        histories=tuple(_compared(metric, labels, one, other, fires=fires) for one, other, fires in made),
    )


SLOWER: Final = (
    _slower(
        "SpanwiseWorkflowSlowerThanBefore", "{duration: REGRESSION}", c.WORKFLOW_DURATION, RUN, "runs of w (desk)",
        (5.0, 10.0, 30.0, 60.0),
    ),
    _slower(
        "SpanwiseAgentSlowerThanBefore", "{agents: {risk: {duration: REGRESSION}}}", c.AGENT_DURATION, AGENT,
        "invocations of the agent risk of w (desk)", (1.6, 3.2, 6.4, 12.8),
    ),
    _slower(
        "SpanwiseToolSlowerThanBefore", "{tools: {prices: {duration: REGRESSION}}}", c.TOOL_DURATION, TOOL,
        "calls of the tool prices in w (desk)", (0.64, 1.28, 2.56, 5.12),
    ),
    _slower(
        "SpanwiseModelCallSlowerThanBefore", "{models: {small: {duration: REGRESSION}}}", c.OPERATION_DURATION, MODEL,
        "calls of the model small in w (desk)", (0.64, 1.28, 2.56, 5.12),
    ),
)  # fmt: skip


def _values(parts: Sequence[tuple[int, float]]) -> str:
    """Return the values of a counter that grows by so much in each of so many steps, part after part."""
    found, value = ["0"], 0.0
    for steps, growth in parts:
        if steps:
            found.append(f"{value + growth!r}+{growth!r}x{steps - 1}")
            value += steps * growth
    return " ".join(found)


def _burning(steps: tuple[int, int, int], missed: tuple[float, float, float], runs: float = 1.0) -> dict[str, str]:
    """Return runs, of which shares fail before the long window, in it, and in the short one at its end.

    Args:
        steps: before the long window, in it before the short one, and in the short one.
        missed: the share that fails in each.
        runs: in each step of the long window; before it there are ten times as many.
    """
    rates = (10.0, runs, runs)
    good, bad = (
        [
            (number, rate * (share if fails else 1 - share))
            for number, rate, share in zip(steps, rates, missed, strict=True)
        ]
        for fails in (False, True)
    )
    name = f"{c.WORKFLOW_DURATION.name}_count"
    return {f"{name}{{{RUN}}}": _values(good), f'{name}{{{RUN}, error_type="E"}}': _values(bad)}


def _burns() -> Iterator[Timeline]:
    """Yield a history for each pair of windows of each alert of an objective of 99 %.

    The share that just fires is a multiple of 1/64 or 1/4096, so that sums of it are exact.
    """
    pairs = (
        ("SpanwiseObjectiveBurnsFast", "1m", "430m", "430m", (60, 5), 430, 10 / 64, "1.9"),
        ("SpanwiseObjectiveBurnsFast", "1m", "430m", "430m", (360, 30), 430, 264 / 4096, "4.7"),
        ("SpanwiseObjectiveBurnsSlowly", "5m", "78h", "78h", (288, 24), 936, 132 / 4096, "9.3"),
        ("SpanwiseObjectiveBurnsSlowly", "5m", "78h", "78h", (864, 72), 936, 44 / 4096, "28"),
    )  # fmt: skip
    for place, (alert, interval, evaluated, at, (long, short), steps, missed, days) in enumerate(pairs):
        parts = (steps - long, long - short, short)
        # Of the whole long window, and of the short one: one just over, the other a little under, and the reverse.
        under = missed * 0.85
        rest_of_under = (under * long - 1.5 * missed * short) / (long - short)
        rest_of_over = (1.5 * missed * long - under * short) / (long - short)
        nothing = {f"{c.WORKFLOW_DURATION.name}_count{{{RUN}}}": "0x5"}
        yield Timeline(
            alert=alert,
            budget=f"{{objectives: {{works: {{target: 0.99, min_runs: {long}}}}}}}",
            interval=interval,
            evaluated=evaluated,
            at=at,
            part=place % 2,
            description=f"At the present rate, what may go wrong for w (desk) in 30d is used up in {days} days. The "
            "objective is 99% of runs without an error.",
            histories=(
                History(series=_burning(parts, (0, missed, missed)), fires=True),
                History(series=_burning(parts, (0, rest_of_under, 1.5 * missed), 1.5), fires=False),
                History(series=_burning(parts, (0, rest_of_over, under), 1.5), fires=False),
                History(series=_burning(parts, (0, missed, missed), (long - 0.5) / long), fires=False),
                History(series=nothing, fires=False),
            ),
        )


BURNING: Final = tuple(_burns())


def promtool_tests(
    timeline: Timeline, labels: Mapping[str, str], annotations: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Return promtool's tests of an alert that fires with these labels and annotations."""
    fired = [{"exp_labels": dict(labels), "exp_annotations": dict(annotations)}]
    return [
        {
            "interval": timeline.interval,
            "input_series": [{"series": name, "values": values} for name, values in history.series.items()],
            "alert_rule_test": [
                {
                    "eval_time": timeline.at,
                    "alertname": timeline.alert,
                    "exp_alerts": fired if history.fires else [],
                }
            ],
        }
        for history in timeline.histories
    ]
