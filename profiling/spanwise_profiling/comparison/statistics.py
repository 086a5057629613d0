"""What two samples of runs say: exact rank tests, the Hodges-Lehmann estimate with its interval, and what they can see.

All functions take plain numbers, one a run. They need no assumption about how durations are distributed. Rank tests are
exact up to `EXACT_PAIRS` pairs and `EXACT_RUNS` runs, ties included; above that they use the normal approximation.

Sources: F. Wilcoxon, 1945 (both tests); J. W. Pratt, 1959 (differences of zero); J. L. Hodges and E. L. Lehmann, 1963
(the estimate); E. L. Lehmann, 1963 (standard error from the interval); R. D. Boschloo, 1970 (shares).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from spanwise_profiling import ranks

if TYPE_CHECKING:
    from collections.abc import Sequence

    Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

ALPHA: Final = 0.05
"""Two-sided error rate of every test; intervals cover the truth with one minus this."""
POWER: Final = 0.8
"""Chance of seeing the minimum detectable effect."""
EXACT_PAIRS: Final = 300
EXACT_RUNS: Final = 60
FEWEST_PAIRS: Final = 6
"""Fewer pairs can never reach p < 0.05 in the signed-rank test."""
FEWEST_RUNS: Final = 4
"""Fewer runs a side can never reach p < 0.05 in the rank-sum test, where both sides have as many."""
MOST_RUNS: Final = 10_000
"""Needing more runs than this is as good as never."""
_EFFICIENCY: Final = 3 / math.pi
"""Of rank tests beside t tests, for a normal distribution."""
_MOST_OF_SHARE: Final = 150
_NUISANCE: Final = 200


@dataclass(frozen=True, slots=True)
class Estimate:
    """The shift from one sample to another, in the unit of the values."""

    n: int
    """Pairs, or the harmonic mean of both numbers of runs."""
    shift: float
    low: float
    """Lower end of the interval with coverage `1 - ALPHA`; minus infinity where there are too few runs for one."""
    high: float
    close_low: float
    """Lower end of the interval with coverage `1 - 2 * ALPHA`, which decides whether a shift is small enough."""
    close_high: float
    p: float
    error: float
    """Standard error of `shift`; infinity where one run, or none, is all there is."""

    @property
    def detectable(self) -> float:
        """The smallest shift that this many runs would show with a chance of `POWER`."""
        return (_z(1 - ALPHA / 2) + _z(POWER)) * self.error


def paired(differences: Sequence[float]) -> Estimate:
    """Return the shift of paired runs, given the differences (second less first) of at least one pair.

    The estimate is the median of all means of two differences, the test is the signed-rank test.
    """
    values = np.sort(np.asarray(differences, float))
    n = len(values)
    first, second = np.triu_indices(n)
    means = np.sort((values[first] + values[second]) / 2)
    low, high = _ends(means, _outside_pairs(n, ALPHA))
    close = _ends(means, _outside_pairs(n, 2 * ALPHA))
    spread = float(np.std(values, ddof=1)) / math.sqrt(n * _EFFICIENCY) if n > 1 else math.inf
    return Estimate(n, float(np.median(means)), low, high, *close, signed_rank(differences), _error(low, high, spread))


def unpaired(first: Sequence[float], second: Sequence[float]) -> Estimate:
    """Return the shift from `first` to `second`, each of at least one run.

    The estimate is the median of all differences between a run of one and a run of the other, the test is the rank-sum
    test (Mann and Whitney's U).
    """
    one, other = np.asarray(first, float), np.asarray(second, float)
    n, m = len(one), len(other)
    differences = np.sort((other[None, :] - one[:, None]).ravel())
    low, high = _ends(differences, _outside_runs(n, m, ALPHA))
    close = _ends(differences, _outside_runs(n, m, 2 * ALPHA))
    spread = math.inf
    if n + m > 2:  # noqa: PLR2004 - with one run a side nothing is known of how runs vary
        squares = float(((one - one.mean()) ** 2).sum() + ((other - other.mean()) ** 2).sum())
        spread = math.sqrt(squares / (n + m - 2) * (1 / n + 1 / m) / _EFFICIENCY)
    together = round(2 * n * m / (n + m))
    p = rank_sum(first, second)
    return Estimate(together, float(np.median(differences)), low, high, *close, p, _error(low, high, spread))


def runs_needed(estimate: Estimate, margin: float, fewest: int) -> int | None:
    """Return how many pairs, or runs a side, would probably decide; `None` for more than `MOST_RUNS`.

    Where the shift found is at least `margin`, that shift is to be shown; where it is less, that it is less. Either is
    then reached with a chance of `POWER`, if the shift and the spread are what they seem now.
    """
    if not math.isfinite(estimate.error):
        return fewest
    found = abs(estimate.shift)
    distance, level = (found, ALPHA / 2) if found >= margin else (margin - found, ALPHA)
    if distance <= 0:
        return None
    factor = (_z(1 - level) + _z(POWER)) * estimate.error / distance
    if factor > math.sqrt(MOST_RUNS):
        return None
    needed = max(math.ceil(estimate.n * factor**2), estimate.n + 1, fewest)
    return needed if needed <= MOST_RUNS else None


def signed_rank(differences: Sequence[float]) -> float:
    """Return the two-sided p of Wilcoxon's signed-rank test, zeros ranked and then left out (Pratt)."""
    values = np.asarray(differences, float)
    doubled = _doubled_ranks(np.abs(values))
    kept, signs = doubled[values != 0], values[values != 0] > 0
    mean, found = kept.sum() / 2, kept[signs].sum()
    if not len(kept):
        return 1.0
    if len(kept) > EXACT_PAIRS:
        spread = math.sqrt(float((kept.astype(float) ** 2).sum()) / 4)
        return _normal_p(abs(found - mean) - 1, spread)
    law = _law_of_sums(kept)
    sums = np.arange(len(law))
    return min(1.0, float(law[np.abs(sums - mean) >= abs(found - mean)].sum()))


def rank_sum(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the two-sided p of the rank-sum test of Wilcoxon, Mann and Whitney."""
    few, many = sorted((first, second), key=len)
    if len(few) + len(many) > EXACT_RUNS:
        return ranks.rank_sum(first, second)
    doubled = _doubled_ranks(np.concatenate([np.asarray(few, float), np.asarray(many, float)]))
    found, mean = doubled[: len(few)].sum(), len(few) * (len(doubled) + 1)
    law = _law_of_chosen(doubled, len(few))
    sums = np.arange(len(law))
    return min(1.0, float(law[np.abs(sums - mean) >= abs(found - mean)].sum()))


def boschloo(have: int, of: int, others_have: int, of_others: int) -> float:
    """Return the two-sided p of Boschloo's test for how many `of` one group and of the others have something.

    It is never less able to tell than Fisher's test, whose p is its statistic. Twice the smaller one-sided p counts.
    """
    if max(of, of_others) > _MOST_OF_SHARE:
        return ranks.fisher(have, of, others_have, of_others)
    more = _one_sided(have, of, others_have, of_others)
    less = _one_sided(of - have, of, of_others - others_have, of_others)
    return min(1.0, 2 * min(more, less))


def _one_sided(have: int, of: int, others_have: int, of_others: int) -> float:
    fishers = _fisher_table(of, of_others)
    extreme = fishers <= fishers[have, others_have] * (1 + 1e-9)
    shares = np.linspace(0, 1, _NUISANCE + 1)
    chances = np.einsum("si,ij,sj->s", _binomial(of, shares), extreme.astype(float), _binomial(of_others, shares))
    return min(1.0, float(chances.max()))


@lru_cache(maxsize=16)
def _fisher_table(of: int, of_others: int) -> Array:
    """Return Fisher's one-sided p that the first group has more, for each number in the first and in the others."""
    table = np.empty((of + 1, of_others + 1))
    for having in range(of + of_others + 1):
        first = np.arange(max(0, having - of_others), min(of, having) + 1)
        ways = [math.comb(of, i) * math.comb(of_others, having - i) for i in first.tolist()]
        whole, above = math.comb(of + of_others, having), 0
        for i, way in zip(reversed(first.tolist()), reversed(ways), strict=True):
            above += way
            table[i, having - i] = above / whole
    return table


def _binomial(size: int, shares: Array) -> Array:
    numbers = np.arange(size + 1)
    ways = np.array([float(math.comb(size, i)) for i in range(size + 1)])
    return ways * shares[:, None] ** numbers * (1 - shares[:, None]) ** (size - numbers)


def _doubled_ranks(values: Array) -> Array:
    """Return twice the ranks of `values`, so that those of ties are whole numbers too."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    doubled: Array = (2 * last - count + 1)[place]
    return doubled


def _law_of_sums(weights: Array) -> Array:
    """Return the chance of each sum of `weights`, of which each is taken or not by the toss of a coin."""
    return _sums(tuple(np.sort(weights).tolist()))


@lru_cache(maxsize=64)
def _sums(weights: tuple[int, ...]) -> Array:
    law = np.zeros(sum(weights) + 1)
    law[0] = 1.0
    for weight in weights:
        law[weight:] = (law[weight:] + law[: len(law) - weight]) / 2
        law[:weight] /= 2
    return law


def _law_of_chosen(weights: Array, number: int) -> Array:
    """Return the chance of each sum of `number` of `weights`, all choices being as likely."""
    return _choices(tuple(np.sort(weights).tolist()), number)


@lru_cache(maxsize=64)
def _choices(weights: tuple[int, ...], number: int) -> Array:
    most = sum(weights[len(weights) - number :])
    ways = np.zeros((number + 1, most + 1))
    ways[0, 0] = 1.0
    for weight in weights:
        ways[1:, weight:] += ways[:-1, : most + 1 - weight].copy()
    law: Array = ways[number] / math.comb(len(weights), number)
    return law


@lru_cache(maxsize=32)
def _outside_pairs(n: int, level: float) -> int:
    """Return how many of the sorted means of `n` pairs lie outside of the interval on each side; -1 for no interval."""
    if n > EXACT_PAIRS:
        return _normal_outside(n * (n + 1) / 4, math.sqrt(n * (n + 1) * (2 * n + 1) / 24), level)
    return _exact_outside(_law_of_sums(np.arange(1, n + 1)), level)


@lru_cache(maxsize=32)
def _outside_runs(n: int, m: int, level: float) -> int:
    """Return the same for the sorted differences between `n` and `m` runs."""
    if n + m > EXACT_RUNS:
        return _normal_outside(n * m / 2, math.sqrt(n * m * (n + m + 1) / 12), level)
    few = min(n, m)
    return _exact_outside(_law_of_chosen(np.arange(1, n + m + 1), few)[few * (few + 1) // 2 :], level)


def _exact_outside(law: Array, level: float) -> int:
    return int(np.searchsorted(np.cumsum(law), level / 2 * (1 + 1e-12), side="right")) - 1


def _normal_outside(mean: float, spread: float, level: float) -> int:
    return math.floor(mean - _z(1 - level / 2) * spread - 0.5)


def _ends(ordered: Array, outside: int) -> tuple[float, float]:
    if outside < 0:
        return -math.inf, math.inf
    return float(ordered[outside]), float(ordered[len(ordered) - 1 - outside])


def _error(low: float, high: float, spread: float) -> float:
    """Return the standard error: what the interval's width says where there is one, else what the variance says."""
    return (high - low) / (2 * _z(1 - ALPHA / 2)) if math.isfinite(high - low) else spread


def _normal_p(distance: float, spread: float) -> float:
    return min(1.0, math.erfc(max(0.0, distance) / spread / math.sqrt(2)))


def _z(share: float) -> float:
    return NormalDist().inv_cdf(share)
