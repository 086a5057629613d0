"""Presets are sets of flags and nothing else, and each flag does what it says."""

from __future__ import annotations

import dataclasses
from importlib.resources import files
from pathlib import Path

import pytest
from support.systems import unspoiled
from support.trading import FLAGS, PRESETS, as_shipped, full_context, in_full, shipped_profile

from spanwise.testing import run_virtual
from spanwise_pipeline.bound import bound_of
from spanwise_pipeline.systems.trading import SYSTEM, prompts
from spanwise_pipeline.systems.trading.desk import Desk
from spanwise_pipeline.systems.trading.flags import TradingFlags

PACKAGE = Path(str(files("spanwise_pipeline.systems.trading")))
TIME_FLAGS = (
    "parallel_analysts", "batch_tools", "market_cache", "async_fetch", "compress_prompts", "concise_prompts",
    "concurrent_debate", "concurrent_risk", "concurrent_aggregation", "pooled_connections",
)  # fmt: skip


def test_the_baseline_has_nothing_switched_on_and_optimized_everything() -> None:
    assert PRESETS["baseline"] == TradingFlags()
    assert PRESETS["optimized"] == TradingFlags(**dict.fromkeys(FLAGS, True))
    on = [flag for flag in FLAGS if getattr(PRESETS["published"], flag)]
    assert on == ["parallel_analysts", "batch_tools", "market_cache", "async_fetch"]


def test_a_run_can_be_had_again_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompts, "WORDS", dict.fromkeys(prompts.WORDS, (12, 12)))
    first, second = (in_full(PRESETS["optimized"], shipped_profile(), seed=3) for _ in range(2))
    other, _ = in_full(PRESETS["optimized"], shipped_profile(), seed=4)

    assert first == second
    assert other != first[0]


@pytest.mark.slow
def test_the_presets_take_what_they_were_made_for() -> None:
    seconds = {preset: as_shipped(preset)[0] for preset in PRESETS}

    assert seconds["baseline"] == pytest.approx(290.91, rel=0.03)
    assert seconds["published"] == pytest.approx(157.86, rel=0.05)
    assert seconds["optimized"] < 120


@pytest.mark.slow
def test_the_bound_is_the_run_on_a_virtual_clock_at_speed_one() -> None:
    seconds, outcome, _ = bound_of(SYSTEM, PRESETS["optimized"], shipped_profile(), seed=1)

    assert seconds == pytest.approx(as_shipped("optimized")[0])
    assert outcome == as_shipped("optimized")[1]


def test_the_bound_knows_no_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompts, "WORDS", dict.fromkeys(prompts.WORDS, (12, 12)))
    profile = shipped_profile()
    tight = {name: dataclasses.replace(model, requests_per_minute=0.5) for name, model in profile.models.items()}
    published: list[str] = []

    limited = dataclasses.replace(profile, models=tight)
    free = bound_of(SYSTEM, PRESETS["optimized"], profile, seed=1).seconds
    bound = bound_of(
        SYSTEM, PRESETS["optimized"], limited, seed=1, publish=lambda agent, _: published.append(agent)
    ).seconds

    assert bound == free
    assert len(published) == 15


@pytest.mark.slow
def test_each_flag_alone_makes_the_baseline_faster_and_cached_reports_need_a_second_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(prompts, "WORDS", dict.fromkeys(prompts.WORDS, (16, 12)))
    profile = shipped_profile()
    slow, _ = in_full(TradingFlags(), profile)

    seconds = {flag: in_full(TradingFlags(**{flag: True}), profile)[0] for flag in FLAGS}

    assert {flag for flag, taken in seconds.items() if taken < slow - 0.01} == set(TIME_FLAGS)
    assert seconds["cached_reports"] == pytest.approx(slow)


@pytest.mark.slow
@pytest.mark.parametrize("flag", ["cached_reports", "market_cache"])
def test_a_second_run_of_the_same_desk_finds_its_cache_warm(flag: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompts, "WORDS", dict.fromkeys(prompts.WORDS, (12, 12)))
    flags = dataclasses.replace(TradingFlags(parallel_analysts=True, async_fetch=True), **{flag: True})
    answer = unspoiled(SYSTEM, flags).report

    async def main() -> list[tuple[float, int, int]]:
        profile = shipped_profile()
        steady = {name: dataclasses.replace(model, sigma=0.0) for name, model in profile.models.items()}
        context = full_context(dataclasses.replace(profile, models=steady))
        desk = Desk(context, flags)
        readings: list[tuple[float, int, int]] = []
        for _ in range(2):
            began = context.clock.now()
            assert await desk.run() == answer
            use = desk.cache_use()
            readings.append((context.clock.now() - began, use.lookups, use.hits))
        await desk.close()
        return readings

    (cold, lookups, hits), (warm, all_lookups, all_hits) = run_virtual(main)[0]

    assert warm < cold
    assert all_lookups == 2 * lookups
    assert all_hits - hits == lookups
