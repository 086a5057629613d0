"""From a run to its whole profile: repaired, analysed, advised. What the command does, and any program may do."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from spanwise_profiling import prices
from spanwise_profiling.advice import advised
from spanwise_profiling.analysis import profile_of
from spanwise_profiling.normalise import normalised
from spanwise_profiling.usage import usage_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spanwise_profiling.prices import Prices
    from spanwise_profiling.profile import Profile
    from spanwise_profiling.runs import Run


def measured(runs: Sequence[Run], table: Prices | None = None) -> list[Profile]:
    """Return the profile of each run with what it cost, but without findings, which take most of the time.

    Args:
        runs: as they were read.
        table: what tokens cost; the table that spanwise comes with where there is none.
    """
    table = prices.load() if table is None else table
    sound = [normalised(run) for run in runs]
    return [replace(profile_of(run), usage=usage_of(run, table)) for run in sound]


def profiled(runs: Sequence[Run], table: Prices | None = None) -> list[Profile]:
    """Return the profile of each run with what to change and what it cost, in the order given.

    What a run asked again is also looked for in the others of `runs` that ended before it; nothing else has a say, so
    that the same runs always give the same profiles.

    Args:
        runs: as they were read.
        table: what tokens cost; the table that spanwise comes with where there is none.
    """
    known = measured(runs, table)
    return [advised(one, [other.run for other in known if other is not one]) for one in known]
