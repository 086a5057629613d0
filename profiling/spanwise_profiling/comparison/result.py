"""What a comparison finds, as plain data: `compare` fills it, renderers show it.

Seconds are the system's (scaled). `a` is the side that is compared with, `b` the one that is judged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spanwise_profiling.profile import Bucket, Profile

Verdict: TypeAlias = Literal["faster", "slower", "same", "inconclusive", "environments_differ"]
Change: TypeAlias = Literal["less", "more", "same", "inconclusive"]
MARGIN: Final = 0.03
"""A smaller relative change does not count, by default."""
UNEXPLAINED: Final = "unexplained"


@dataclass(frozen=True, slots=True)
class Interval:
    """Where the truth lies with a confidence of 95 %."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Measured:
    """One metric of both sides."""

    name: str
    unit: str
    a: float
    """Median over the runs that count."""
    b: float
    difference: float
    """Of `b` from `a`, in `unit`: the Hodges-Lehmann estimate of the ratio, applied to the median of `a`."""
    interval: Interval | None
    """Of the difference; `None` where there are too few runs for one."""
    ratio: float
    """The change as a share of `a`: -0.1 is a tenth less."""
    ratio_interval: Interval | None
    p: float
    """Two-sided; of metrics beside the duration, corrected for their number."""
    detectable: float | None
    """The smallest relative change that shows with a chance of 80 %; `None` where the runs are too few for any."""
    change: Change


@dataclass(frozen=True, slots=True)
class Count:
    """A number that a run comes to exactly, such as its model calls."""

    name: str
    a: tuple[int, int]
    """Least and most over the runs that count."""
    b: tuple[int, int]
    change: Change
    """`same` and, where no run differs from the others of its side, `less` and `more` are certain."""
    p: float | None
    """`None` where no run differs from the others of its side, so that nothing is left to chance."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Whether the runs of both sides are made of the same spans below the same parents."""

    same: bool
    only_a: tuple[str, ...]
    """What every run of `a` has and none of `b`."""
    only_b: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cause:
    """A part of the critical path, and how much of the difference it is."""

    name: str
    """An agent; without agents a span's name; time that no agent had as `(bucket)`; at last `unexplained`."""
    seconds: float
    """All causes together are `Comparison.duration.difference`."""
    interval: Interval | None
    p: float | None
    """Of this part alone, not corrected."""
    buckets: Mapping[Bucket, float]
    """The same seconds by bucket, without those that are nothing."""
    calls: float
    """Mean difference in model calls."""
    beside: bool
    """Whether it mostly works as long as before, but beside the path (or no longer beside it)."""


@dataclass(frozen=True, slots=True)
class Surrounding:
    """Something about where runs ran, and what it was on each side."""

    name: str
    a: tuple[str, ...]
    b: tuple[str, ...]
    differs: bool
    """Whether no run of `a` ran where a run of `b` did."""


@dataclass(frozen=True, slots=True)
class Success:
    """How many runs ended in an error. Their durations say nothing, so that these do not count elsewhere."""

    a_failed: int
    a_runs: int
    b_failed: int
    b_runs: int
    p: float
    change: Change
    """Of failures: `more` is worse."""


@dataclass(frozen=True, slots=True)
class Outlier:
    """A run far from the others of its side; it counts like any other."""

    side: Literal["a", "b"]
    run_id: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that two populations say of a change."""

    verdict: Verdict
    would_be: Verdict
    """The verdict if the environments were the same."""
    paired_by: str | None
    """`seed`, `task`, `task and seed`; `None` where runs are not paired."""
    a_runs: int
    """Runs that count: of each pair one a side, else all that ended without an error."""
    b_runs: int
    a_seconds: tuple[float, ...]
    """Of each run that counts; of pairs, in the same order as `b_seconds`."""
    b_seconds: tuple[float, ...]
    margin: float
    duration: Measured
    needed: int | None
    """Pairs, or runs a side, that would probably decide; `None` where that is decided, or takes more than 10,000."""
    counts: tuple[Count, ...]
    shape: Shape
    success: Success
    causes: tuple[Cause, ...]
    """Largest first, `unexplained` last; empty where there is no difference to explain."""
    metrics: tuple[Measured, ...]
    surroundings: tuple[Surrounding, ...]
    outliers: tuple[Outlier, ...]
    typical: tuple[Profile, Profile]
    """A run of each side that counts, and whose change is nearest to the estimate."""
    notes: tuple[str, ...]
    """What limits the verdict, a sentence each: runs left out, no pairs, one side after the other."""
