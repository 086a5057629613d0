"""The analysis against an oracle of brute force, on random recordings of every kind of brokenness."""

from __future__ import annotations

import pytest
from support.path_checks import check_partition
from support.random_runs import random_segments


def test_200_random_runs_are_partitioned_as_by_the_oracle() -> None:
    check_partition(range(200))


def test_100_random_runs_of_several_segments_are_too() -> None:
    check_partition(range(100), random_segments)


@pytest.mark.slow
def test_two_thousand_more_are_too() -> None:
    check_partition(range(200, 2_200))
    check_partition(range(100, 300), random_segments)
