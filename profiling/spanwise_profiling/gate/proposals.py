"""Budgets proposed from recorded runs, with the margin that their noise asks for.

A value that no run differs in is proposed as it is. Elsewhere the bound is one that at most a twentieth of such runs
would break, with a confidence of 95 %: a one-sided tolerance limit of the logarithms (M. G. Natrella, Experimental
Statistics, 1963, section 2-2.5).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist, fmean, median, stdev
from typing import TYPE_CHECKING, Final

from spanwise.conventions import WORKFLOW_SECONDS_BUCKETS
from spanwise_profiling.gate.measures import MEASURES, RATIOS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from spanwise_profiling.profile import Profile

COUNTED: Final = ("model_calls", "tool_calls", "retries", "errors", "tokens", "cost")
FEWEST: Final = 3
"""With fewer runs nothing is known of how they vary."""
_LEVEL: Final = NormalDist().inv_cdf(0.95)
_NEAR: Final = 1.3
"""A bound of the histogram that is no further above is taken: an alert counts there, and estimates elsewhere."""
_STEP: Final = 0.05


@dataclass(frozen=True, slots=True)
class Proposal:
    """A bound for one measure of a workflow's runs."""

    key: str
    """Below the workflow, in the budget file: `run.tokens`, `duration.p95`, `cache_hit_rate.minimum`."""
    bound: float
    why: str
    """What was recorded, for a comment beside it."""


def proposals(profiles: Sequence[Profile]) -> list[Proposal]:
    """Return the budgets that recorded runs of one workflow suggest; runs that failed or have no end do not count.

    Args:
        profiles: of one workflow.
    """
    sound = [one for one in profiles if one.run.state == "ended" and one.run.error is None]
    if not sound:
        return []
    return [*_counted(sound), *_duration(sound), *_hit_rate(sound)]


def tolerance_factor(n: int) -> float:
    """Return how many standard deviations above the mean a twentieth of all values lies at most, 95 % sure.

    Infinite for fewer than `FEWEST` values, of which too little is known.
    """
    a = 1 - _LEVEL**2 / (2 * (n - 1)) if n > 1 else 0.0
    if n < FEWEST or a <= 0:
        return math.inf
    return (_LEVEL + math.sqrt(_LEVEL**2 - a * (_LEVEL**2 - _LEVEL**2 / n))) / a


def upper_bound(values: Sequence[float]) -> float | None:
    """Return the bound for values of 0 or more; `None` where they vary and are too few to say how much."""
    if min(values) == max(values):
        return values[0]
    factor = tolerance_factor(len(values))
    if not math.isfinite(factor):
        return None
    logs = [math.log1p(value) for value in values]
    return max(math.expm1(fmean(logs) + factor * stdev(logs)), *values)


def _counted(profiles: Sequence[Profile]) -> Iterator[Proposal]:
    for name in COUNTED:
        measure = MEASURES[name]
        found = [value for one in profiles for value in measure.values(one, None) or ()]
        bound = upper_bound(found) if len(found) == len(profiles) else None
        if bound is None or (not bound and name in ("tokens", "cost", "tool_calls")):
            continue
        least, most = min(found), max(found)
        why = f"each of {len(found)} runs: {_plain(most)}" if least == most else f"{_plain(least)} to {_plain(most)}"
        yield Proposal(f"run.{name}", bound if name == "cost" else math.ceil(bound), why)


def _duration(profiles: Sequence[Profile]) -> Iterator[Proposal]:
    found = [one.run.seconds for one in profiles]
    bound = upper_bound(found) if len(found) >= FEWEST else None
    if bound is None or bound <= 0:
        return
    near = next((edge for edge in WORKFLOW_SECONDS_BUCKETS if bound <= edge <= _NEAR * bound), None)
    rounded = near if near is not None else _rounded_up(bound)
    if rounded <= WORKFLOW_SECONDS_BUCKETS[-1]:
        yield Proposal("duration.p95", rounded, f"median {_plain(median(found))} s, longest {_plain(max(found))} s")


def _hit_rate(profiles: Sequence[Profile]) -> Iterator[Proposal]:
    parts = [RATIOS["cache_hit_rate"].parts(one, None) for one in profiles]
    rates = [hits / asked for hits, asked in parts if asked]
    if not rates or not max(rates):
        return
    factor = tolerance_factor(len(rates)) if min(rates) != max(rates) else 0.0
    spread = stdev(rates) if len(rates) > 1 else 0.0
    least = min(*rates, fmean(rates) - factor * spread) if math.isfinite(factor) else 0.0
    bound = math.floor(least / _STEP + 1e-9) * _STEP
    if bound > 0:
        why = f"{100 * min(rates):.0f} to {100 * max(rates):.0f} % of lookups"
        yield Proposal("cache_hit_rate.minimum", round(bound, 2), why)
        fewest = min(asked for _, asked in parts if asked)
        yield Proposal("cache_hit_rate.min_lookups", fewest, "as many as one run made")


def _rounded_up(value: float) -> float:
    """Return the next number with two digits that count."""
    step = 10.0 ** (math.floor(math.log10(value)) - 1)
    return round(math.ceil(value / step - 1e-9) * step, 10)


def _plain(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:.4g}"
