"""Random programs that know their own causes: the path through their recordings is the one that they took."""

from __future__ import annotations

import pytest
from support.true_paths import Recorded, common_ns, joined, recorded, slacks_of, stays_of

from spanwise_profiling.analysis import profile_of


def test_the_path_of_20_random_programs_is_what_they_waited_for() -> None:
    for seed in range(20):
        recording = recorded(seed)
        profile = profile_of(recording.run(with_waits=True))
        assert stays_of(profile, recording) == joined(recording.true_path()), seed
        assert {segment.edge for segment in profile.path if segment.bucket != "coordination"} <= {"observed"}


@pytest.mark.slow
def test_the_path_of_1000_more_is_too() -> None:
    for seed in range(20, 1_020):
        recording = recorded(seed)
        assert stays_of(profile_of(recording.run(with_waits=True)), recording) == joined(recording.true_path()), seed


@pytest.mark.slow
def test_without_recorded_waits_times_alone_tell_more_than_half_of_it() -> None:
    same = total = 0
    for seed in range(100):
        recording = recorded(seed)
        blind = stays_of(profile_of(recording.run(with_waits=False)), recording)
        same += common_ns(joined(recording.true_path()), blind)
        total += recording.ends["main"]
    assert 0.55 < same / total < 0.75  # a random program is harder to guess than an agent's run


def courses_of(recording: Recorded) -> dict[str, list[tuple[str, str | None]]]:
    """Return for each task which others ended its waits, and how; what only took time is left out."""
    return {
        name: [(wait.cause.resource, wait.cause.by) for wait in waits if wait.cause.by in recording.begins]
        for name, waits in recording.waits.items()
    }


def check_slack(seeds: range) -> None:
    """Let each task end as much later as it could, and run the program again.

    Where others then get a lock or come first, the program took another course, and nothing was promised of that.
    """
    delayed = 0
    for seed in seeds:
        recording = recorded(seed)
        profile = profile_of(recording.run(with_waits=True))
        for task, slack in slacks_of(profile, recording).items():
            if slack > 1_000_000:
                again = recorded(seed, {task: (slack - 1_000) / 1e9})
                if courses_of(again) == courses_of(recording):
                    assert again.ends["main"] <= recording.ends["main"] + 1_000, (seed, task)
                    delayed += 1
    assert delayed > len(seeds)


def test_a_task_that_ends_later_by_its_slack_delays_no_run() -> None:
    check_slack(range(3))


@pytest.mark.slow
def test_nor_does_any_of_100_more_programs() -> None:
    check_slack(range(3, 103))
