"""Random programs that know their own causes: the path through their recordings is the one that they took."""

from __future__ import annotations

import pytest
from support.true_paths import common_ns, joined, recorded, stays_of

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
