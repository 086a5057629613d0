"""From a run to its whole profile: repaired, analysed, advised. What the command does, and any program may do."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from spanwise_profiling.advice import findings_of
from spanwise_profiling.analysis import profile_of
from spanwise_profiling.normalise import normalised

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spanwise_profiling.profile import Profile
    from spanwise_profiling.runs import Run


def profiled(runs: Sequence[Run]) -> list[Profile]:
    """Return the profile of each run with what to change, in the order given.

    What a run asked again is also looked for in the others of `runs` that ended before it; nothing else has a say, so
    that the same runs always give the same profiles.
    """
    sound = [normalised(run) for run in runs]
    profiles = [profile_of(run) for run in sound]
    return [
        replace(profile, findings=findings_of(profile, [other for other in sound if other is not profile.run]))
        for profile in profiles
    ]
