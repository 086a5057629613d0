"""The scheduler against a brute-force oracle, with failures, deadlines, places, priorities and background steps."""

from __future__ import annotations

import pytest
from support.flow_oracle import Case, Job, Story, differing, expected_story

SHORT = 60


def test_random_graphs_come_to_what_brute_force_says() -> None:
    assert differing(range(SHORT)) == []


@pytest.mark.slow
def test_ten_thousand_random_graphs_come_to_what_brute_force_says() -> None:
    assert differing(range(SHORT, 10_000)) == []


def test_the_oracle_gives_a_place_to_the_longest_path_first() -> None:
    jobs = [Job(1, []), Job(2, [], expected=5), Job(3, [0])]
    ready, longest = Case(jobs, at_once=1), Case(jobs, at_once=1, longest_path=True)

    assert expected_story(ready) == Story(["done"] * 3, [0, 1, 3], [1, 3, 6], 6, 6)
    assert expected_story(longest) == Story(["done"] * 3, [2, 0, 3], [3, 2, 6], 6, 6)


def test_the_oracle_ends_what_is_late_and_skips_what_needs_it() -> None:
    case = Case([Job(5, []), Job(1, [0]), Job(2, [], background=True), Job(1, [], fails=True), Job(1, [3])], deadline=4)

    assert expected_story(case) == Story(
        ["failed", "skipped", "done", "failed", "skipped"], [0, None, 0, 0, None], [4, 4, 2, 1, 1], 4, 4
    )
