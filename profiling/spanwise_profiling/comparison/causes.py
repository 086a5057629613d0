"""Where a difference comes from: the critical paths of both sides part by part, in seconds that add up to it.

The parts of a path partition the run, so that their mean differences add up to the mean difference. A part is named
where it differs beyond chance by itself; what the other parts differ by, and what the means differ from the estimate,
is `unexplained`.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from spanwise_profiling.comparison import statistics
from spanwise_profiling.comparison.result import UNEXPLAINED, Cause, Interval
from spanwise_profiling.profile import BUCKETS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spanwise_profiling.profile import Bucket, Profile

_LEAST_SHARE: Final = 0.01
"""Of the difference: parts that are less are not worth a line."""
_MOST_NAMES: Final = 40
"""With more names of spans, buckets say more."""
_STAYS: Final = 0.25
"""A part that works as long as before, but for this share of what it takes more or less of the path, moved."""


@dataclass(frozen=True, slots=True)
class _Part:
    """One part of one run, in scaled seconds."""

    seconds: float = 0.0
    buckets: tuple[float, ...] = (0.0,) * len(BUCKETS)
    total: float = 0.0
    calls: int = 0


_NOTHING: Final = _Part()


def causes_of(a: Sequence[Profile], b: Sequence[Profile], difference: float, *, paired: bool) -> tuple[Cause, ...]:
    """Return what `difference` (scaled seconds of `b` less those of `a`) is made of; the seconds add up to it.

    Args:
        a: profiles of one side, of at least one run.
        b: of the other; where `paired`, the counterparts in the same order.
        difference: what is to be explained.
        paired: whether runs are paired.
    """
    first, second = _parts(a, b)
    names = dict.fromkeys(name for parts in (*first, *second) for name in parts)
    found = [
        _cause(name, [run.get(name, _NOTHING) for run in first], [run.get(name, _NOTHING) for run in second], paired)
        for name in names
    ]
    named = [
        cause
        for cause in found
        if cause.p is not None
        and cause.p <= statistics.ALPHA
        and abs(cause.seconds) >= _LEAST_SHARE * abs(difference) > 0
    ]
    rest = difference - sum(cause.seconds for cause in named)
    ranked = sorted(named, key=lambda cause: (-abs(cause.seconds), cause.name))
    return (*ranked, Cause(UNEXPLAINED, rest, None, None, {}, 0.0, beside=False))


def _cause(name: str, a: Sequence[_Part], b: Sequence[_Part], paired: bool) -> Cause:  # noqa: FBT001 - as `causes_of`
    of_a, of_b = [part.seconds for part in a], [part.seconds for part in b]
    if paired:
        estimate = statistics.paired([two - one for one, two in zip(of_a, of_b, strict=True)])
    else:
        estimate = statistics.unpaired(of_a, of_b)
    seconds = _mean(of_b) - _mean(of_a)
    works = _mean([part.total for part in b]) - _mean([part.total for part in a])
    lengths = [
        _mean([part.buckets[place] for part in b]) - _mean([part.buckets[place] for part in a])
        for place in range(len(BUCKETS))
    ]
    return Cause(
        name=name,
        seconds=seconds,
        interval=interval_of(estimate),
        p=estimate.p,
        buckets={bucket: length for bucket, length in zip(BUCKETS, lengths, strict=True) if abs(length) > 0},
        calls=_mean([part.calls for part in b]) - _mean([part.calls for part in a]),
        beside=abs(works) < _STAYS * abs(seconds),
    )


def interval_of(estimate: statistics.Estimate) -> Interval | None:
    """Return the interval of an estimate, where there are enough runs for one."""
    has_ends = float("-inf") < estimate.low and estimate.high < float("inf")
    return Interval(estimate.low, estimate.high) if has_ends else None


def _parts(a: Sequence[Profile], b: Sequence[Profile]) -> tuple[list[dict[str, _Part]], list[dict[str, _Part]]]:
    profiles = (*a, *b)
    if any(share.name for profile in profiles for share in profile.agents):
        return [_by_agent(one) for one in a], [_by_agent(one) for one in b]
    names = {segment.span.name for profile in profiles for segment in profile.path}
    by_name = len(names) <= _MOST_NAMES
    return [_by_span(one, by_name=by_name) for one in a], [_by_span(one, by_name=by_name) for one in b]


def _by_agent(profile: Profile) -> dict[str, _Part]:
    run, parts = profile.run, dict[str, _Part]()
    for share in profile.agents:
        lengths = tuple(run.scaled(share.budget_ns.get(bucket, 0)) for bucket in BUCKETS)
        if share.name:
            parts[share.name] = _Part(run.scaled(share.on_path_ns), lengths, run.scaled(share.total_ns), share.calls)
            continue
        for place, (bucket, length) in enumerate(zip(BUCKETS, lengths, strict=True)):
            if length:
                parts[f"({bucket})"] = _of_bucket(place, length)
    return parts


def _by_span(profile: Profile, *, by_name: bool) -> dict[str, _Part]:
    lengths: defaultdict[str, defaultdict[Bucket, int]] = defaultdict(lambda: defaultdict(int))
    for segment in profile.path:
        lengths[segment.span.name if by_name else f"({segment.bucket})"][segment.bucket] += segment.duration_ns
    scaled = profile.run.scaled
    return {
        name: _Part(
            seconds=scaled(sum(found.values())),
            buckets=tuple(scaled(found.get(bucket, 0)) for bucket in BUCKETS),
            total=float("nan"),  # of a name, not known: spans of one name may lie in one another
        )
        for name, found in lengths.items()
    }


def _of_bucket(place: int, length: float) -> _Part:
    return _Part(length, tuple(length if here == place else 0.0 for here in range(len(BUCKETS))), float("nan"))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
