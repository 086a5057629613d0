"""The dashboard as the text of its committed file. Grafana's SDK is loaded only when the text is made."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from spanwise.errors import UnavailableError
from spanwise_alerts.links import DASHBOARD_UID

if TYPE_CHECKING:
    import json
    from collections.abc import Callable

    from spanwise_alerts.budgets import Budgets

GENERATED: Final = Path(__file__).parent / "generated" / f"{DASHBOARD_UID}.json"
"""The dashboard that is committed and shipped; its name is its uid."""


def dashboard_text(budgets: Budgets) -> str:
    """Return the dashboard made from `budgets` as JSON, ready for Grafana's file provisioning.

    Raises:
        UnavailableError: The extra `grafana` is not installed.
    """
    sdk = _sdk()
    return sdk.encoder(sort_keys=True, indent=2).encode(sdk.dashboard(budgets)) + "\n"


class _Sdk(NamedTuple):
    encoder: type[json.JSONEncoder]
    dashboard: Callable[[Budgets], object]


def _sdk() -> _Sdk:
    with warnings.catch_warnings():
        # On import the SDK advises the second version of the format; file provisioning and Grafana before 12 read the
        # first.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            from grafana_foundation_sdk.cog.encoder import JSONEncoder  # noqa: PLC0415 - an extra

            from spanwise_dashboards.overview import dashboard  # noqa: PLC0415 - needs the extra
        except ModuleNotFoundError as error:
            if (error.name or "").split(".")[0] != "grafana_foundation_sdk":
                raise
            raise UnavailableError(
                "dashboards: need the package grafana-foundation-sdk; pip install 'spanwise[grafana]'"
            ) from None
    return _Sdk(JSONEncoder, dashboard)
