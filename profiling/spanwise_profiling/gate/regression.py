"""Whether runs are worse than a baseline: counts first and by themselves, then cost, then seconds.

A count fails where it grew in every pair of runs of the same seed, or beyond chance; without pairs, where no run
differs from the others of its side, or beyond chance. Seconds decide only between runs that were made in turn in the
same surroundings, and only where the change is at least the margin and its interval excludes zero: on a shared machine
anything else raises false alarms.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from spanwise.errors import NothingMeasuredError
from spanwise_profiling.comparison import compare, statistics
from spanwise_profiling.comparison.counts import COUNTS as TOTALS
from spanwise_profiling.comparison.pairing import pairs_of
from spanwise_profiling.comparison.result import MARGIN
from spanwise_profiling.gate.limits import where_the_time_went
from spanwise_profiling.gate.result import Check
from spanwise_profiling.render.numbers import seconds as in_seconds

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from spanwise_profiling.comparison.pairing import Pairs
    from spanwise_profiling.comparison.result import Cause, Comparison, Count
    from spanwise_profiling.gate.result import CheckKind, Outcome
    from spanwise_profiling.profile import Profile

COUNTS: Final = ("model calls", "retries", "tool calls", "input tokens", "output tokens", "errors")
"""Counts of which more is worse. Others, such as cache lookups, are shown with the comparison and decide nothing."""
_IMBALANCE: Final = 4
"""A side may be ahead of the other by this part of its runs, at any moment, for runs to count as made in turn."""
_MOST_CAUSES: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What counts as worse."""

    margin: float = MARGIN
    """A smaller relative change of the duration does not count."""
    allow: Mapping[str, float] = field(default_factory=dict[str, float])
    """By how much a count may grow, as a share of the baseline's, by its name in `COUNTS`."""
    strict: bool = False
    """Whether seconds that do not decide keep the gate from passing."""
    seconds: bool = True
    """Whether a slower duration is a failure of the gate, or only shown."""
    pair: bool = True
    ignore_surroundings: bool = False
    failures: bool = True
    """Whether more failures than before are a failure of the gate; not where a budget says how many there may be."""


def check_regression(
    workflow: str, baseline: Sequence[Profile], head: Sequence[Profile], rules: Rules
) -> tuple[list[Check], Comparison | None]:
    """Return the checks of the runs `head` against those of `baseline`, and the comparison that they rest on.

    Args:
        workflow: name of the workflow that both are of.
        baseline: runs to compare with; none of them may be among `head`.
        head: runs to judge.
        rules: what counts as worse.

    Raises:
        InputError: a run is on both sides.
    """
    for side, where in ((baseline, "the baseline"), (head, "the runs to judge")):
        if not side:
            text = f"no run of this workflow is in {where}, and what was not measured is never a pass"
            return [Check("runs", workflow, "runs", "nothing_measured", text)], None
    failures = list(_failures(workflow, baseline, head)) if rules.failures else []
    try:
        found = compare(
            baseline, head, margin=rules.margin, pair=rules.pair, ignore_surroundings=rules.ignore_surroundings
        )
    except NothingMeasuredError as error:
        letter, _, what = str(error).partition("; ")[0].partition(": ")
        text = f"{'the baseline' if letter == 'A' else 'the runs to judge'}: {what}"
        return [*failures, Check("runs", workflow, "runs", "nothing_measured", text)], None
    checks = [*failures, *_counts(workflow, found, baseline, head, rules), *_cost(workflow, found)]
    return [*checks, _seconds(workflow, found, baseline, head, rules)], found


def interleaved(baseline: Sequence[Profile], head: Sequence[Profile]) -> bool:
    """Return whether the runs of two sides were made in turn, so that a drift of the machine hits both alike."""
    sides = sorted([(one.run.start_ns, 1) for one in baseline] + [(one.run.start_ns, -1) for one in head])
    allowed = max(1, min(len(baseline), len(head)) // _IMBALANCE) + abs(len(baseline) - len(head))
    ahead = 0
    for _, side in sides:
        ahead += side
        if abs(ahead) > allowed:
            return False
    return len(baseline) > 1 and len(head) > 1


def _failures(workflow: str, baseline: Sequence[Profile], head: Sequence[Profile]) -> Iterator[Check]:
    failed_a, failed_b = (sum(one.run.error is not None for one in side) for side in (baseline, head))
    text = f"{failed_b} of {len(head)} runs failed, of the baseline {failed_a} of {len(baseline)}"
    outcome: Outcome = "pass"
    if failed_b and not failed_a:
        outcome = "fail"
    elif failed_b * len(baseline) > failed_a * len(head):
        p = statistics.boschloo(failed_a, len(baseline), failed_b, len(head))
        outcome = "fail" if p <= statistics.ALPHA else "pass"
        text += f" (p {p:.2g}{'' if outcome == 'fail' else ', which can be chance'})"
    yield Check("failures", workflow, "failures", outcome, text, float(failed_b), float(failed_a))


def _counts(
    workflow: str, found: Comparison, baseline: Sequence[Profile], head: Sequence[Profile], rules: Rules
) -> Iterator[Check]:
    sound = [[one for one in side if one.run.state == "ended" and one.run.error is None] for side in (baseline, head)]
    pairs = pairs_of(*sound) if rules.pair else None
    for count in found.counts:
        allowed = rules.allow.get(count.name, 0.0)
        if count.name in COUNTS and pairs is not None:
            yield _paired_count(workflow, count.name, pairs, allowed)
        elif count.name in COUNTS:
            yield _count(workflow, count, allowed)


def _paired_count(workflow: str, name: str, pairs: Pairs, allowed: float) -> Check:
    """Judge a count pair by pair: growth in every pair decides, however few; in some of them, the test does."""
    value = TOTALS[name]
    a, b = ([value(pair[side].run.totals) for pair in pairs.members] for side in (0, 1))
    grown = sum(two > one * (1 + allowed) for one, two in zip(a, b, strict=True))
    fewer = sum(two < one for one, two in zip(a, b, strict=True))
    text = f"{name}: {_range((min(b), max(b)))}, of the baseline {_range((min(a), max(a)))}"
    outcome: Outcome = "fail" if grown == len(a) else "pass"
    if 0 < grown < len(a) or (grown and len(set(a)) > 1):
        text += f"; more in {grown} of {len(a)} pairs by {pairs.by}, fewer in {fewer}"
    if 0 < grown < len(a):
        p = statistics.signed_rank([two - one for one, two in zip(a, b, strict=True)])
        if sum(b) > sum(a) * (1 + allowed) and p <= statistics.ALPHA:
            outcome = "fail"
        text += f" (p {p:.2g}{'' if outcome == 'fail' else ', which can be chance'})"
    text += f"; {100 * allowed:.3g} % more is allowed" if allowed else ""
    return Check(name, workflow, "count", outcome, text, float(max(b)), max(a) * (1 + allowed))


def _count(workflow: str, count: Count, allowed: float) -> Check:
    limit = count.a[1] * (1 + allowed)
    text = f"{count.name}: {_range(count.b)}, of the baseline {_range(count.a)}"
    outcome: Outcome = "pass"
    if count.change == "more":
        outcome = "fail" if count.b[1] > limit else "pass"
        text += f" (p {count.p:.2g})" if count.p is not None else ""
    elif count.p is not None and count.change == "inconclusive":
        text += "; runs vary, and this can be chance"
    text += f"; {100 * allowed:.3g} % more is allowed" if allowed else ""
    return Check(count.name, workflow, "count", outcome, text, float(count.b[1]), limit)


def _cost(workflow: str, found: Comparison) -> Iterator[Check]:
    for metric in found.metrics:
        if metric.name == "cost":
            text = f"cost of a run: {metric.b:.4g}, of the baseline {metric.a:.4g} ({100 * metric.ratio:+.1f} %)"
            outcome: Outcome = "fail" if metric.change == "more" else "pass"
            yield Check("cost", workflow, "cost", outcome, text, metric.b, metric.a)


def _seconds(
    workflow: str, found: Comparison, baseline: Sequence[Profile], head: Sequence[Profile], rules: Rules
) -> Check:
    kind: CheckKind = "seconds"
    duration, ends = found.duration, found.duration.ratio_interval
    change = f"duration: {in_seconds(duration.b)}, of the baseline {in_seconds(duration.a)} ({_ratio(duration.ratio)}"
    change += (
        f", 95 % interval {_ratio(ends.low)} to {_ratio(ends.high)})" if ends else ", too few runs for an interval)"
    )
    differ = [one.name for one in found.surroundings if one.differs]
    if not rules.seconds:
        text = f"{change}; does not decide: counts decide alone"
    elif differ and not rules.ignore_surroundings:
        machine = next((one.a for one in found.surroundings if one.name == "machine"), ())
        made = f"; the baseline was made on {', '.join(machine)}" if machine and "machine" in differ else ""
        text = f"{change}; does not decide: {', '.join(differ)} differ{'s' * (len(differ) == 1)}{made}"
    elif not interleaved(baseline, head):
        text = f"{change}; does not decide: the runs of both sides were not made in turn"
    elif duration.change == "more" and ends is not None and ends.low > 0:
        return Check(
            "duration", workflow, kind, "fail", f"{change}; {100 * found.margin:.3g} % more is allowed", duration.b,
            duration.a * (1 + found.margin), "s", None, (*causes(found), *where_the_time_went(found.typical[1])),
        )  # fmt: skip
    elif duration.change == "inconclusive":
        text = f"{change}; does not decide: {_needed(found)}"
    else:
        return Check("duration", workflow, kind, "pass", change, duration.b, duration.a * (1 + found.margin), "s")
    limit = duration.a * (1 + found.margin)
    return Check(
        "duration",
        workflow,
        kind,
        "inconclusive",
        text,
        duration.b,
        limit,
        "s",
        None,
        (),
        decides=rules.strict and rules.seconds,
    )


def causes(found: Comparison) -> tuple[str, ...]:
    """Return where the difference of the durations comes from, a line each, the largest part first."""
    return tuple(_cause(cause) for cause in found.causes[:_MOST_CAUSES])


def _cause(cause: Cause) -> str:
    parts = sorted(cause.buckets.items(), key=lambda item: -abs(item[1]))[:2]
    made_of = "".join(f", {bucket} {_signed(length)}" for bucket, length in parts)
    calls = f", model calls {cause.calls:+.3g}" if cause.calls else ""
    return f"{cause.name}: {_signed(cause.seconds)} on the critical path{made_of}{calls}"


def _needed(found: Comparison) -> str:
    unit = "pairs of runs" if found.paired_by else "runs of each"
    if found.needed is None:
        return f"not even {statistics.MOST_RUNS:,} {unit} would decide a change so near to the margin"
    return f"about {found.needed:,} {unit} would decide"


def _signed(value: float) -> str:
    return f"{'-' if value < 0 else '+'}{in_seconds(abs(value))}"


def _ratio(ratio: float) -> str:
    return f"{100 * ratio:+.1f} %"


def _range(ends: tuple[int, int]) -> str:
    low, high = ends
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
