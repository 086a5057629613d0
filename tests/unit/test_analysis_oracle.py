"""The analysis against an oracle of brute force, on random recordings of every kind of brokenness."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.path_oracle import Oracle, Part
from support.random_runs import random_run, random_segments

from spanwise_profiling.analysis import profile_of
from spanwise_profiling.profile import BUCKETS, Profile

if TYPE_CHECKING:
    from collections.abc import Callable

    from spanwise_profiling.runs import Run


def parts_of(profile: Profile) -> list[Part]:
    begin = profile.run.start_ns
    return [
        Part(one.span.span_id, one.start_ns - begin, one.end_ns - begin, one.bucket, one.edge, one.overlap)
        for one in profile.path
    ]


def check(seeds: range, make: Callable[[int], Run] = random_run) -> None:
    """Hold each run to the oracle, and to being partitioned."""
    for seed in seeds:
        run = make(seed)
        profile = profile_of(run)
        moments = [run.start_ns, *(segment.end_ns for segment in profile.path)]
        assert [segment.start_ns for segment in profile.path] == moments[:-1], seed
        assert moments[-1] == run.start_ns + run.duration_ns, seed
        assert tuple(profile.budget_ns) == BUCKETS
        assert sum(profile.budget_ns.values()) == run.duration_ns, seed
        assert sum(share.on_path_ns for share in profile.agents) == run.duration_ns, seed
        assert sum(share.on_path_ns for share in profile.roles) == run.duration_ns, seed
        assert parts_of(profile) == Oracle(run).walk(), seed


def test_200_random_runs_are_partitioned_as_by_the_oracle() -> None:
    check(range(200))


def test_100_random_runs_of_several_segments_are_too() -> None:
    check(range(100), random_segments)


@pytest.mark.slow
def test_ten_thousand_more_are_too() -> None:
    check(range(200, 10_200))
    check(range(100, 1_100), random_segments)
