"""The comparison itself: which runs count, what they say, and the verdict.

The duration decides; everything else explains it. The verdict is `faster` or `slower` where p is at most 0.05 and the
estimate is at least the margin, `same` where the 90 % interval lies within the margin (two one-sided tests, Schuirmann
1987), and else `inconclusive`. Where the surroundings differ, that is the verdict.
"""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from spanwise.errors import InputError, NothingMeasuredError
from spanwise_profiling import ranks
from spanwise_profiling.comparison import statistics
from spanwise_profiling.comparison.causes import causes_of
from spanwise_profiling.comparison.counts import counts_of, shape_of
from spanwise_profiling.comparison.pairing import Pairs, pairs_of
from spanwise_profiling.comparison.result import (
    MARGIN,
    Change,
    Comparison,
    Count,
    Interval,
    Measured,
    Outlier,
    Success,
    Verdict,
)
from spanwise_profiling.comparison.surroundings import surroundings_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from spanwise_profiling.comparison.statistics import Estimate
    from spanwise_profiling.profile import Profile

    Value: TypeAlias = Callable[[Profile], float | None]

_FAR: Final = 3.5
"""Robust standard deviations (of logarithms) from the median, from which a run is an outlier (Iglewicz, Hoaglin)."""
_TO_DEVIATION: Final = 1.4826
_VERDICTS: Final[Mapping[Change, Verdict]] = {
    "less": "faster", "more": "slower", "same": "same", "inconclusive": "inconclusive",
}  # fmt: skip


def compare(
    a: Sequence[Profile],
    b: Sequence[Profile],
    *,
    margin: float = MARGIN,
    pair: bool = True,
    ignore_surroundings: bool = False,
) -> Comparison:
    """Return what `b` changed from `a`.

    Args:
        a: profiles of the runs that are compared with.
        b: profiles of the runs that are judged; none of them may be among `a`.
        margin: the relative change of the duration that counts, such as 0.03.
        pair: whether runs of the same task and seed are paired, where there are at least 6 pairs.
        ignore_surroundings: give a verdict also where machine, Python, provider, speed or load differ.

    Raises:
        InputError: the runs are of different workflows, or one is on both sides.
        NothingMeasuredError: a side has no run that ended without an error.
    """
    _check(a, b)
    judged_a, judged_b = _judged(a, "A"), _judged(b, "B")
    pairs = pairs_of(judged_a, judged_b) if pair else None
    notes = list(_notes(a, b, pairs))
    if pairs is not None and len(pairs.members) >= statistics.FEWEST_PAIRS:
        judged_a, judged_b = [one for one, _ in pairs.members], [two for _, two in pairs.members]
    else:
        pairs = None
    paired = pairs is not None
    notes += _order(judged_a, judged_b)
    estimate = _estimate(_seconds(judged_a), _seconds(judged_b), paired=paired)
    duration = _measured("duration", "s", estimate, (_seconds(judged_a), _seconds(judged_b)), margin)
    surroundings = surroundings_of(judged_a, judged_b)
    would_be = _VERDICTS[duration.change]
    differ = not ignore_surroundings and any(one.differs for one in surroundings)
    counts, metrics = _corrected(
        counts_of(judged_a, judged_b, paired=paired), list(_metrics(judged_a, judged_b, margin, paired=paired)), margin
    )
    fewest = statistics.FEWEST_PAIRS if paired else statistics.FEWEST_RUNS
    decided = would_be != "inconclusive"
    return Comparison(
        verdict="environments_differ" if differ else would_be,
        would_be=would_be,
        paired_by=pairs.by if pairs is not None else None,
        a_runs=len(judged_a),
        b_runs=len(judged_b),
        a_seconds=tuple(_seconds(judged_a)),
        b_seconds=tuple(_seconds(judged_b)),
        margin=margin,
        duration=duration,
        needed=None if decided else statistics.runs_needed(estimate, math.log1p(margin), fewest),
        counts=counts,
        shape=shape_of(judged_a, judged_b),
        success=_success(a, b),
        causes=causes_of(judged_a, judged_b, duration.difference, paired=paired)
        if would_be in {"faster", "slower"}
        else (),
        metrics=metrics,
        surroundings=surroundings,
        outliers=(*_outliers("a", judged_a), *_outliers("b", judged_b)),
        typical=_typical(judged_a, judged_b, estimate.shift, paired=paired),
        notes=tuple(notes),
    )


def _check(a: Sequence[Profile], b: Sequence[Profile]) -> None:
    both = {one.run.run_id for one in a} & {one.run.run_id for one in b}
    if both:
        raise InputError(f"{len(both)} run(s) are in both A and B, such as {min(both)}; name runs that differ")
    workflows = [sorted({one.run.workflow for one in side}) for side in (a, b)]
    if a and b and len({*workflows[0], *workflows[1]}) > 1:
        raise InputError(
            f"A holds runs of {', '.join(workflows[0])}, B of {', '.join(workflows[1])}; only runs of one workflow can "
            "be compared: add workflow=NAME to both"
        )


def _judged(profiles: Sequence[Profile], side: str) -> list[Profile]:
    found = [one for one in profiles if one.run.state == "ended" and one.run.error is None and one.run.duration_ns]
    if not found:
        what = f"none of its {len(profiles)} runs ended without an error" if profiles else "it holds no run"
        raise NothingMeasuredError(f"{side}: {what}; record more runs, or name others (spanwise runs lists them)")
    return found


def _notes(a: Sequence[Profile], b: Sequence[Profile], pairs: Pairs | None) -> Iterator[str]:
    for name, side in (("A", a), ("B", b)):
        unfinished = sum(one.run.state != "ended" for one in side)
        if unfinished:
            yield f"{unfinished} of {len(side)} runs of {name} have no end; they are left out."
        failed = sum(one.run.error is not None for one in side)
        if failed:
            yield f"{failed} of {len(side)} runs of {name} ended in an error; their durations are left out."
    if pairs is None:
        return
    if len(pairs.members) < statistics.FEWEST_PAIRS:
        yield (
            f"There are {len(pairs.members)} pairs by {pairs.by}, too few to judge by pairs: it takes "
            f"{statistics.FEWEST_PAIRS}. All runs are compared without pairs."
        )
    elif pairs.alone:
        yield f"{pairs.alone} runs have no counterpart with the same {pairs.by}; they are left out."


def _order(a: Sequence[Profile], b: Sequence[Profile]) -> Iterator[str]:
    """Tell of sides that were run one after the other, where a drift looks like a difference."""
    starts = [[one.run.start_ns for one in side] for side in (a, b)]
    if min(map(len, starts)) > 1 and (max(starts[0]) < min(starts[1]) or max(starts[1]) < min(starts[0])):
        yield "One side was run after the other, so that a slow drift would look like a difference; run them in turn."


def _seconds(profiles: Sequence[Profile]) -> list[float]:
    return [one.run.seconds for one in profiles]


def judge(
    a: Sequence[float], b: Sequence[float], *, paired: bool = False, margin: float = MARGIN
) -> tuple[Change, Estimate]:
    """Return how a metric of `b` differs from that of `a`, and the estimate that says so.

    Args:
        a: values above 0 of at least one run.
        b: likewise; where `paired`, the counterparts in the same order.
        paired: whether runs are paired.
        margin: the relative change that counts.

    Returns:
        The change, and the shift of the natural logarithm: changes are ratios, and so is the spread of durations.
    """
    estimate = _estimate(a, b, paired=paired)
    return _change(estimate, estimate.p, math.log1p(margin)), estimate


def _estimate(a: Sequence[float], b: Sequence[float], *, paired: bool) -> Estimate:
    first, second = [math.log(value) for value in a], [math.log(value) for value in b]
    if paired:
        return statistics.paired([two - one for one, two in zip(first, second, strict=True)])
    return statistics.unpaired(first, second)


def _measured(
    name: str, unit: str, estimate: Estimate, values: tuple[Sequence[float], Sequence[float]], margin: float
) -> Measured:
    of_a, of_b = median(values[0]), median(values[1])
    ratios = None
    if math.isfinite(estimate.high - estimate.low):
        ratios = Interval(math.expm1(estimate.low), math.expm1(estimate.high))
    ratio = math.expm1(estimate.shift)
    return Measured(
        name=name,
        unit=unit,
        a=of_a,
        b=of_b,
        difference=of_a * ratio,
        interval=Interval(of_a * ratios.low, of_a * ratios.high) if ratios else None,
        ratio=ratio,
        ratio_interval=ratios,
        p=estimate.p,
        detectable=math.expm1(estimate.detectable) if ratios else None,
        change=_change(estimate, estimate.p, math.log1p(margin)),
    )


def _change(estimate: Estimate, p: float, margin: float) -> Change:
    if p <= statistics.ALPHA and abs(estimate.shift) >= margin:
        return "less" if estimate.shift < 0 else "more"
    if -margin <= estimate.close_low and estimate.close_high <= margin:
        return "same"
    return "inconclusive"


def _metrics(
    a: Sequence[Profile], b: Sequence[Profile], margin: float, *, paired: bool
) -> Iterator[tuple[Measured, Estimate]]:
    metrics: dict[tuple[str, str], Value] = {
        ("cost", ""): lambda one: one.usage.total.cost if one.usage is not None else None,
        ("work", "s"): lambda one: one.run.scaled(one.work_ns),
        ("parallelism", ""): lambda one: one.parallelism,
        ("tokens a second", ""): lambda one: one.run.tokens_per_second,
    }
    for (name, unit), value in metrics.items():
        values = [[value(one) for one in side] for side in (a, b)]
        known = [[number for number in side if number] for side in values]
        if known == values:
            estimate = _estimate(known[0], known[1], paired=paired)
            yield _measured(name, unit, estimate, (known[0], known[1]), margin), estimate


def _corrected(
    counts: Sequence[Count], metrics: Sequence[tuple[Measured, Estimate]], margin: float
) -> tuple[tuple[Count, ...], tuple[Measured, ...]]:
    """Return counts and metrics with p values corrected for their number, and the changes that follow from these."""
    left = [count.p for count in counts if count.p is not None] + [one.p for one, _ in metrics]
    ps = iter(ranks.corrected(left))
    corrected = [count if count.p is None else _decided(count, next(ps)) for count in counts]
    return tuple(corrected), tuple(
        replace(one, p=(p := next(ps)), change=_change(estimate, p, math.log1p(margin))) for one, estimate in metrics
    )


def _decided(count: Count, p: float) -> Count:
    return replace(count, p=p, change=count.change if p <= statistics.ALPHA else "inconclusive")


def _success(a: Sequence[Profile], b: Sequence[Profile]) -> Success:
    ended = [[one for one in side if one.run.state == "ended"] for side in (a, b)]
    failed = [sum(one.run.error is not None for one in side) for side in ended]
    runs = [len(side) for side in ended]
    p = statistics.boschloo(failed[0], runs[0], failed[1], runs[1])
    change: Change = "same" if failed == [0, 0] else "inconclusive"
    if p <= statistics.ALPHA:
        change = "more" if failed[1] / runs[1] > failed[0] / runs[0] else "less"
    return Success(failed[0], runs[0], failed[1], runs[1], p, change)


def _outliers(side: Literal["a", "b"], profiles: Sequence[Profile]) -> Iterator[Outlier]:
    logs = [math.log(one.run.seconds) for one in profiles]
    middle = median(logs)
    deviation = _TO_DEVIATION * median(abs(value - middle) for value in logs)
    for one, value in zip(profiles, logs, strict=True):
        if deviation and abs(value - middle) > _FAR * deviation:
            yield Outlier(side, one.run.run_id, one.run.seconds)


def _typical(a: Sequence[Profile], b: Sequence[Profile], shift: float, *, paired: bool) -> tuple[Profile, Profile]:
    """Return the pair whose change is nearest to `shift`; without pairs, the run of each side nearest to its median."""
    if paired:
        return min(
            zip(a, b, strict=True), key=lambda two: abs(math.log(two[1].run.seconds / two[0].run.seconds) - shift)
        )
    return _middle(a), _middle(b)


def _middle(profiles: Sequence[Profile]) -> Profile:
    middle = median(_seconds(profiles))
    return min(profiles, key=lambda one: (abs(one.run.seconds - middle), one.run.run_id))
