"""Random programs that know their own causes: the path through their recordings is the one that they took."""

from __future__ import annotations

import pytest
from support.path_checks import check_slack, check_true_path
from support.true_paths import common_ns, joined, recorded, stays_of

from spanwise_profiling.analysis import profile_of


def test_the_path_of_20_random_programs_is_what_they_waited_for() -> None:
    check_true_path(range(20))


@pytest.mark.slow
def test_the_path_of_200_more_is_too() -> None:
    check_true_path(range(20, 220))


@pytest.mark.slow
def test_without_recorded_waits_times_alone_tell_more_than_half_of_it() -> None:
    same = total = 0
    for seed in range(100):
        recording = recorded(seed)
        blind = stays_of(profile_of(recording.run(with_waits=False)), recording)
        same += common_ns(joined(recording.true_path()), blind)
        total += recording.ends["main"]
    assert 0.55 < same / total < 0.75  # a random program is harder to guess than an agent's run


def test_a_task_that_ends_later_by_its_slack_delays_no_run() -> None:
    check_slack(range(3))


@pytest.mark.slow
def test_nor_does_any_of_20_more_programs() -> None:
    check_slack(range(3, 23))
