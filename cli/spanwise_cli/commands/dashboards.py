"""`spanwise dashboards`: the Grafana dashboard from the budgets."""

from __future__ import annotations

import json as json_module
from typing import TYPE_CHECKING

import typer

from spanwise_alerts import budgets as budget_file
from spanwise_cli import committed
from spanwise_cli.committed import BudgetsOption, Committed, OutputOption
from spanwise_cli.options import JsonOption  # noqa: TC001 - typer reads the annotations
from spanwise_dashboards.build import GENERATED, dashboard_text

if TYPE_CHECKING:
    from pathlib import Path

_app = typer.Typer(no_args_is_help=True, help="Grafana dashboards, made from the budgets.")


def register(app: typer.Typer) -> None:
    """Add `spanwise dashboards` to the command tree."""
    app.add_typer(_app, name="dashboards")


@_app.command()
def build(budgets: BudgetsOption = None, output: OutputOption = None, *, json: JsonOption = False) -> None:
    """Write the dashboard. Example: spanwise dashboards build --budgets budgets.yaml --output overview.json."""
    committed.build(_made(budgets, output), as_json=json)


@_app.command()
def check(budgets: BudgetsOption = None, output: OutputOption = None, *, json: JsonOption = False) -> None:
    """Exit code 1: the dashboard differs from what the budgets make. Example: spanwise dashboards check."""
    committed.check(_made(budgets, output), as_json=json)


def _made(budgets: Path | None, output: Path | None) -> Committed:
    path = budgets or budget_file.SHIPPED
    text = dashboard_text(budget_file.load_budgets(path))
    panels = [panel for panel in json_module.loads(text)["panels"] if panel["type"] != "row"]
    return Committed(
        command="dashboards",
        budgets=path,
        output=committed.output_path(budgets, output, GENERATED),
        text=text,
        contents={"panels": len(panels), "queries": sum(len(panel["targets"]) for panel in panels)},
    )
