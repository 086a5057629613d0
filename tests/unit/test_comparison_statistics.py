"""The statistics of comparisons: against known values, against counting all cases, and for how often they are wrong."""

from __future__ import annotations

import itertools
import math
import random
from statistics import median

import numpy as np
import pytest

from spanwise_profiling import ranks
from spanwise_profiling.comparison import judge, statistics


def draws(n: int, *, shift: float = 0.0, seed: int = 1) -> list[float]:
    draw = random.Random(seed)
    return [draw.gauss(shift, 1) for _ in range(n)]


def doubled_ranks(values: list[float]) -> list[int]:
    return [2 * sum(other < value for other in values) + values.count(value) + 1 for value in values]


@pytest.mark.parametrize(
    "differences",
    [draws(6), draws(9, shift=0.7), [1.0, 1.0, 2.0, -1.0, 3.0, 3.0], [0.0, 0.0, 1.0, 2.0, -2.0, 4.0, 5.0], [0.0] * 4],
)
def test_signed_ranks_are_those_of_all_signs(differences: list[float]) -> None:
    kept = [
        rank for rank, value in zip(doubled_ranks([abs(d) for d in differences]), differences, strict=True) if value
    ]
    found = sum(rank for rank, value in zip(kept, [d for d in differences if d], strict=True) if value > 0)
    sums = [sum(itertools.compress(kept, signs)) for signs in itertools.product((0, 1), repeat=len(kept))]
    extreme = sum(abs(2 * one - sum(kept)) >= abs(2 * found - sum(kept)) for one in sums)
    assert statistics.signed_rank(differences) == pytest.approx(extreme / len(sums))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (draws(4), draws(4, shift=2.0, seed=2)),
        (draws(5), draws(6, seed=3)),
        ([1.0, 1.0, 2.0], [1.0, 2.0, 2.0, 3.0]),
        ([1.0, 1.0], [1.0, 1.0]),
        ([1.0], [2.0, 3.0]),
    ],
)
def test_rank_sums_are_those_of_all_choices(one: list[float], other: list[float]) -> None:
    doubled = doubled_ranks([*one, *other])
    found, mean = sum(doubled[: len(one)]), len(one) * (len(doubled) + 1)
    sums = [sum(chosen) for chosen in itertools.combinations(doubled, len(one))]
    extreme = sum(abs(each - mean) >= abs(found - mean) for each in sums)
    assert statistics.rank_sum(one, other) == pytest.approx(extreme / len(sums))
    assert statistics.rank_sum(other, one) == pytest.approx(extreme / len(sums))


def test_p_values_of_large_samples_go_over_into_those_of_the_normal_distribution() -> None:
    one, other = draws(30), draws(30, shift=0.4, seed=2)
    assert statistics.rank_sum(one, other) == pytest.approx(ranks.rank_sum(one, other), abs=0.002)
    many = draws(200) + draws(100, shift=0.3, seed=4)
    exact = statistics.signed_rank(many)
    one_more = statistics.signed_rank([*many, 0.001])
    assert exact == pytest.approx(one_more, abs=0.005)


def test_the_estimate_is_the_median_of_all_means_or_differences() -> None:
    one, other = draws(7), draws(8, shift=1.0, seed=2)
    means = [(a + b) / 2 for a, b in itertools.combinations_with_replacement(one, 2)]
    assert statistics.paired(one).shift == pytest.approx(median(means))
    differences = [b - a for a in one for b in other]
    assert statistics.unpaired(one, other).shift == pytest.approx(median(differences))


def test_intervals_of_few_runs_are_those_of_the_tables() -> None:
    """Of 6 pairs all means lie within (coverage 1 - 2/64); of 10, 8 on each side lie outside (critical value 8)."""
    six = statistics.paired([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    assert (six.low, six.high, six.p) == (1.0, 6.0, 2 / 64)
    ten = draws(10)
    means = sorted((a + b) / 2 for a, b in itertools.combinations_with_replacement(ten, 2))
    assert (statistics.paired(ten).low, statistics.paired(ten).high) == pytest.approx((means[8], means[-9]))
    five = statistics.unpaired([0.0] * 5, [1.0, 2.0, 3.0, 4.0, 5.0])
    # Critical value of U for 5 and 5: 2.
    assert (five.low, five.high) == (1.0, 5.0)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_fewer_than_six_pairs_have_no_interval(n: int) -> None:
    estimate = statistics.paired([1.0] * n)
    assert (estimate.low, estimate.high) == (-math.inf, math.inf)
    assert estimate.p > statistics.ALPHA


@pytest.mark.slow
def test_intervals_and_tests_agree_and_cover_as_often_as_they_say() -> None:
    generator = np.random.default_rng(3)
    covered = agreed = 0
    for _ in range(400):
        one, other = generator.exponential(1, 8), generator.exponential(1, 9)
        estimate = statistics.unpaired(one.tolist(), other.tolist())
        inside = estimate.low <= 0 <= estimate.high
        covered += inside
        agreed += inside == (estimate.p > statistics.ALPHA)
    assert (covered >= 0.93 * 400, agreed) == (True, 400)


def test_shares_are_told_apart_as_by_boschloo() -> None:
    """Worked out with scipy 1.16, `boschloo_exact(table, n=200)`."""
    assert statistics.boschloo(3, 10, 8, 10) == pytest.approx(0.0413895, abs=1e-5)
    assert statistics.boschloo(9, 10, 5, 10) == pytest.approx(0.0623096, abs=1e-5)
    assert statistics.boschloo(1, 20, 7, 20) == pytest.approx(0.0215021, abs=1e-5)
    assert statistics.boschloo(0, 5, 5, 5) == pytest.approx(0.001953125)
    assert statistics.boschloo(0, 9, 0, 7) == 1.0
    assert statistics.boschloo(40, 200, 20, 200) == ranks.fisher(40, 200, 20, 200)


@pytest.mark.slow
def test_what_can_be_seen_is_seen_as_often_as_it_says() -> None:
    """Shifts of the size that 12 pairs call detectable are found by about four of five such samples."""
    generator = np.random.default_rng(5)
    size = float(np.median([statistics.paired(generator.normal(0, 1, 12).tolist()).detectable for _ in range(200)]))
    seen = sum(statistics.signed_rank(generator.normal(size, 1, 12).tolist()) <= statistics.ALPHA for _ in range(400))
    assert 0.72 <= seen / 400 <= 0.9


@pytest.mark.slow
def test_as_many_runs_as_are_needed_decide() -> None:
    generator = np.random.default_rng(7)
    few = statistics.paired((generator.normal(0.05, 0.1, 8)).tolist())
    needed = statistics.runs_needed(few, 0.03, statistics.FEWEST_PAIRS)
    assert needed is not None
    decided = 0
    for _ in range(200):
        sample = generator.normal(few.shift, few.error * math.sqrt(few.n), needed).tolist()
        decided += statistics.signed_rank(sample) <= statistics.ALPHA
    assert decided / 200 >= 0.7


def test_what_no_number_of_runs_decides_is_said() -> None:
    near = statistics.Estimate(10, 0.03, -0.1, 0.16, -0.08, 0.14, 0.4, 0.06)
    assert statistics.runs_needed(near, 0.03 + 1e-6, 6) is None
    alone = statistics.paired([0.2])
    assert statistics.runs_needed(alone, 0.03, 6) == 6


@pytest.mark.slow
@pytest.mark.parametrize("paired", [True, False])
def test_of_2000_pairs_of_equal_populations_at_most_one_in_twenty_is_told_apart(*, paired: bool) -> None:
    generator = np.random.default_rng(13)
    alarms = 0
    for _ in range(2_000):
        one, other = generator.lognormal(4, 0.25, 10).tolist(), generator.lognormal(4, 0.25, 10).tolist()
        alarms += judge(one, other, paired=paired)[0] in {"less", "more"}
    assert alarms / 2_000 <= 0.05
