"""What the hedge fund offers the tests that hold for every system, and runs of it on a virtual clock."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from support.systems import Trial

from spanwise.config import strict_yaml
from spanwise_pipeline.provider.profile import Failures, Profile
from spanwise_pipeline.systems import hedge_fund
from spanwise_pipeline.systems.hedge_fund import SYSTEM
from spanwise_pipeline.systems.hedge_fund.analysts import ANALYSTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pytest

    from spanwise_pipeline.systems.hedge_fund.flags import HedgeFundFlags

PRESETS: Mapping[str, HedgeFundFlags] = SYSTEM.presets
ONE_SHARE = dataclasses.replace(hedge_fund.REQUEST, tickers=("MSFT",))


def _one_share(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(hedge_fund, "REQUEST", ONE_SHARE)


TRIAL = Trial(
    SYSTEM,
    frozenset({"risk_manager", "portfolio_manager", *(analyst.name for analyst in ANALYSTS)}),
    shorten=_one_share,
    never_alone={"independent_analysts": frozenset({"parallel_groups"})},
)


def shipped_profile() -> Profile:
    """The profile that ships with the system."""
    return strict_yaml.load(SYSTEM.profile, Profile)


def failing(failures: Failures) -> Profile:
    """The shipped profile with failures of both models that answer."""
    profile = shipped_profile()
    models = {
        name: dataclasses.replace(model, failures=failures) if name.startswith("analyst") else model
        for name, model in profile.models.items()
    }
    return dataclasses.replace(profile, models=models)
