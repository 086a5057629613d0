"""The long forms of tests/unit/test_analysis_oracle.py and test_analysis_causes.py: thousands of random runs."""

from __future__ import annotations

import pytest
from support.path_checks import check_partition, check_slack, check_true_path
from support.random_runs import random_segments

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


def test_100000_random_runs_are_partitioned_as_by_the_oracle() -> None:
    check_partition(range(100_000))
    check_partition(range(10_000), random_segments)


def test_the_path_of_5000_random_programs_is_what_they_waited_for() -> None:
    check_true_path(range(5_000))


def test_a_task_that_ends_later_by_its_slack_delays_none_of_500_programs() -> None:
    check_slack(range(500))
