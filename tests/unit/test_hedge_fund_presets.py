"""The hedge fund's presets take what they were made for, and each flag does what it says."""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING

import pytest
from support.hedge_fund import PRESETS, shipped_profile

from spanwise_pipeline.bound import bound_of
from spanwise_pipeline.systems.hedge_fund import SYSTEM
from spanwise_pipeline.systems.hedge_fund.flags import HedgeFundFlags

if TYPE_CHECKING:
    from spanwise_pipeline.bound import Bound

STEPS = (
    ("phase1", "parallel_groups"), ("phase2", "fast_fallback"), ("phase3", "data_cache"),
    ("phase4", "direct_integration"),
)  # fmt: skip


@functools.cache
def bound(flags: HedgeFundFlags, seed: int = 1) -> Bound:
    return bound_of(SYSTEM, flags, shipped_profile(), seed)


def without_noise(flags: HedgeFundFlags) -> float:
    profile = shipped_profile()
    models = {name: dataclasses.replace(model, sigma=0.0) for name, model in profile.models.items()}
    return bound_of(SYSTEM, flags, dataclasses.replace(profile, models=models), 1).seconds


def test_each_phase_is_the_one_before_and_one_flag_more_and_the_last_is_what_was_published() -> None:
    flags = HedgeFundFlags()
    for phase, flag in STEPS:
        flags = dataclasses.replace(flags, **{flag: True})
        assert PRESETS[phase] == flags
    assert PRESETS["published"] == PRESETS["phase4"]
    assert dataclasses.asdict(PRESETS["optimized"]) == dict.fromkeys(dataclasses.asdict(flags), True)


@pytest.mark.slow
@pytest.mark.parametrize("preset", [preset for preset in PRESETS if preset != "published"])
def test_a_preset_takes_what_was_published(preset: str) -> None:
    seconds = sorted(bound(PRESETS[preset], seed).seconds for seed in (1, 2, 3))[1]

    if preset == "optimized":
        assert seconds < 7 / 2
    else:
        assert seconds == pytest.approx(SYSTEM.published[preset].duration_s, rel=0.03 if preset == "baseline" else 0.1)


@pytest.mark.slow
def test_each_flag_alone_makes_the_baseline_faster_but_those_that_need_failures_or_repeats() -> None:
    slow = without_noise(HedgeFundFlags())
    names = [field.name for field in dataclasses.fields(HedgeFundFlags)]

    gains = {name: slow - without_noise(HedgeFundFlags(**{name: True})) for name in names}

    idle = {"independent_analysts", "hedged_calls", "result_cache"}
    assert {name for name, gain in gains.items() if gain > 0.05} == set(names) - idle
    assert all(gains[name] == pytest.approx(0.0, abs=0.01) for name in idle)
