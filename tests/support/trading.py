"""The `trading` desk in tests: what it offers to those of all systems, and runs in full against the provider."""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING

from support.systems import SPEED, Trial

from spanwise.config import strict_yaml
from spanwise.testing import run_virtual
from spanwise_pipeline import Clock, SystemContext
from spanwise_pipeline.in_process import InProcessTransport
from spanwise_pipeline.provider.app import create_app
from spanwise_pipeline.provider.profile import Profile
from spanwise_pipeline.systems.trading import SYSTEM, prompts
from spanwise_pipeline.systems.trading.flags import TradingFlags
from spanwise_pipeline.systems.trading.rubric import MIN_WORDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pytest

    from spanwise_pipeline import Outcome

FLAGS = tuple(field.name for field in dataclasses.fields(TradingFlags))
PRESETS: Mapping[str, TradingFlags] = SYSTEM.presets
AGENTS = (
    "dispatcher", "market_analyst", "sentiment_analyst", "news_analyst", "fundamentals_analyst", "bull_researcher",
    "bear_researcher", "research_manager", "trader", "aggressive_analyst", "conservative_analyst", "neutral_analyst",
    "risk_manager",
)  # fmt: skip


def shorten(monkeypatch: pytest.MonkeyPatch) -> None:
    """As few words as the rubric lets pass, so that hundreds of runs take seconds."""
    monkeypatch.setattr(prompts, "WORDS", dict.fromkeys(prompts.WORDS, (MIN_WORDS, MIN_WORDS)))


TRIAL = Trial(SYSTEM, frozenset(AGENTS), shorten)


def in_full(flags: TradingFlags, profile: Profile, seed: int = 1) -> tuple[float, Outcome]:
    """System seconds and outcome of a run over HTTP against the provider in this process, on a virtual clock."""

    async def main() -> Outcome:
        return await SYSTEM.run(full_context(profile, seed), flags)

    outcome, seconds = run_virtual(main)
    return seconds * SPEED, outcome


@functools.cache
def as_shipped(preset: str) -> tuple[float, Outcome]:
    """System seconds and outcome of a preset with the shipped profile and seed 1."""
    return in_full(PRESETS[preset], shipped_profile())


def full_context(profile: Profile, seed: int = 1) -> SystemContext:
    """A context whose model is the provider in this process, for use on a virtual clock."""
    app = create_app(profile, speed=SPEED)
    return SystemContext(
        base_url="http://in-process/v1", api_key="k", clock=Clock(SPEED), seed=seed, label_requests=True,
        publish=lambda _agent, _text: None, transport=lambda pooled: InProcessTransport(app, pooled=pooled),
    )  # fmt: skip


def shipped_profile() -> Profile:
    """The profile that ships with the system."""
    return strict_yaml.load(SYSTEM.profile, Profile)
