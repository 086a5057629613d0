"""What a profile finds on `matching`: the known finding of `optimized`, and what switching each flag off raises.

On a virtual clock each run takes exactly the simulated time.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
from support.virtual_recording import recorded_at_speed_one

from spanwise_pipeline.ablation import switches_of
from spanwise_pipeline.systems.matching import SYSTEM
from spanwise_profiling.advice import findings_of
from spanwise_profiling.analysis import profile_of

pytestmark = pytest.mark.slow
BASELINE, _, OPTIMIZED = SYSTEM.presets.values()
KNOWN = ("unused-output", "Ask for shorter answers of offer_matcher")
"""The program checks the matcher's figures, and no later prompt holds them."""
RAISES = {
    "capacity_once": (1, "duplicate-calls", "Ask once for what 1 call asked again"),
    "concurrent_loading": (1, "sequential-calls", "Read the sources of steps together"),
    "shortlist": (1, *KNOWN),
    "concurrent_registrations": (5, "sequential-calls", "Run R-1001_incentive and R-1002_offer together"),
    "pooled_connections": (5, "connection-churn", "Keep connections open from call to call"),
}
"""Flag to the number of registrations, and the finding that saves more when the flag is off."""
SILENT = {"constellation", "skip_critic", "stop_at_json", "batch_writes"}
"""The first three stand in for one another in `optimized`; no rule looks at writes, which are no calls."""


@cache
def found(registrations: int, switched_off: str | None = None) -> dict[tuple[str, str], float]:
    """What `optimized` could save by finding, with a flag switched off."""
    flags = replace(OPTIMIZED, registrations=registrations)
    if switched_off is not None:
        flags = replace(flags, **{switched_off: getattr(BASELINE, switched_off)})
    run, _ = recorded_at_speed_one(SYSTEM, flags)
    return {(one.id, one.title): run.scaled(one.saves_ns) for one in findings_of(profile_of(run))}


def test_the_optimized_preset_has_one_finding_that_is_known() -> None:
    assert list(found(1)) == [KNOWN]


def test_every_flag_is_looked_at() -> None:
    assert {switch.flag for switch in switches_of(SYSTEM)} == {*RAISES, *SILENT}


@pytest.mark.parametrize("flag", RAISES)
def test_switching_a_flag_off_raises_its_finding(flag: str) -> None:
    registrations, rule, title = RAISES[flag]

    before = found(registrations).get((rule, title), -1.0)

    assert found(registrations, flag)[rule, title] > before


@pytest.mark.parametrize("flag", sorted(SILENT))
def test_a_flag_that_others_stand_in_for_raises_none(flag: str) -> None:
    assert set(found(1, flag)) <= set(found(1))


def test_on_five_registrations_of_the_baseline_what_brings_most_stands_in_four_findings_behind_the_first() -> None:
    run, _ = recorded_at_speed_one(SYSTEM, replace(BASELINE, registrations=5))
    first, *others = findings_of(profile_of(run))
    together = [one for one in others if one.title.startswith("Run R-")]

    assert (first.id, first.title) == ("idle-critic", "Ask incentive_critic only about what fails a check in code")
    assert [one.id for one in together] == ["sequential-calls"] * 4
    assert max(one.saves_ns for one in together) < first.saves_ns < sum(one.saves_ns for one in together)
