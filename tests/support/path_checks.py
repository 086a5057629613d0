"""What holds of every critical path: it is the oracle's, and its slack can be used up. Used by unit and soak tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.path_oracle import Oracle, Part
from support.random_runs import random_run
from support.true_paths import Recorded, joined, recorded, slacks_of, stays_of

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


def check_partition(seeds: range, make: Callable[[int], Run] = random_run) -> None:
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


def check_true_path(seeds: range) -> None:
    """Hold the path of each random program to the one that its own causes make."""
    for seed in seeds:
        recording = recorded(seed)
        profile = profile_of(recording.run(with_waits=True))
        assert stays_of(profile, recording) == joined(recording.true_path()), seed
        assert {segment.edge for segment in profile.path if segment.bucket != "coordination"} <= {"observed"}


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
