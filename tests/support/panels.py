"""The dashboard's queries with its variables filled in, as Grafana would send them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from spanwise_dashboards.build import GENERATED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

VARIABLES: Final = {"job": ".*", "workflow": ".*", "window": "1h", "__interval": "5m", "__rate_interval": "5m"}
"""What stands for each variable unless a test says otherwise: everything, of the last hour."""


def panels(dashboard: Path = GENERATED) -> Iterator[dict[str, Any]]:
    """Yield every panel of `dashboard` but its rows."""
    for panel in json.loads(dashboard.read_text(encoding="utf-8"))["panels"]:
        if panel["type"] != "row":
            yield panel


def panel_queries(variables: Mapping[str, str] | None = None, dashboard: Path = GENERATED) -> list[tuple[str, str]]:
    """Return each query of `dashboard` as the panel's title and PromQL; `variables` go over `VARIABLES`.

    Raises:
        KeyError: A query uses a variable that is not there.
    """
    values = {**VARIABLES, **(variables or {})}
    return [
        (panel["title"], fill(target["expr"], values)) for panel in panels(dashboard) for target in panel["targets"]
    ]


def fill(expr: str, values: Mapping[str, str]) -> str:
    """Return `expr` with `$name` and `${name}` replaced."""
    return re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda found: values[found[1] or found[2]], expr)
