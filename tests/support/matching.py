"""What the system `matching` offers the tests that hold for every system."""

from __future__ import annotations

from support.systems import Trial

from spanwise_pipeline.systems.matching import SYSTEM

TRIAL = Trial(
    system=SYSTEM, agents=frozenset({"offer_matcher", "offer_critic", "incentive_matcher", "incentive_critic"})
)
