"""`spanwise alerts`: Prometheus rules from the budgets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from spanwise_alerts import budgets as budget_file
from spanwise_alerts import rules
from spanwise_alerts.alerting import alerts, estimated_budgets
from spanwise_alerts.promql import number
from spanwise_cli import committed
from spanwise_cli.committed import BudgetsOption, Committed, OutputOption
from spanwise_cli.options import JsonOption  # noqa: TC001 - typer reads the annotations

if TYPE_CHECKING:
    from pathlib import Path

_app = typer.Typer(no_args_is_help=True, help="Prometheus recording and alert rules, made from the budgets.")


def register(app: typer.Typer) -> None:
    """Add `spanwise alerts` to the command tree."""
    app.add_typer(_app, name="alerts")


@_app.command()
def build(budgets: BudgetsOption = None, output: OutputOption = None, *, json: JsonOption = False) -> None:
    """Write the rule file. Example: spanwise alerts build --budgets budgets.yaml --output rules.yaml."""
    committed.build(_made(budgets, output), as_json=json)


@_app.command()
def check(budgets: BudgetsOption = None, output: OutputOption = None, *, json: JsonOption = False) -> None:
    """Exit code 1: the rule file differs from what the budgets make. Example: spanwise alerts check."""
    committed.check(_made(budgets, output), as_json=json)


def _made(budgets: Path | None, output: Path | None) -> Committed:
    path = budgets or budget_file.SHIPPED
    loaded = budget_file.load_budgets(path)
    return Committed(
        command="alerts",
        budgets=path,
        output=committed.output_path(budgets, output, rules.GENERATED),
        text=rules.rules_text(loaded),
        contents={"recording rules": len(list(rules.recordings(loaded))), "alerts": len(list(alerts(loaded)))},
        notes=tuple(_estimate_note(*estimated) for estimated in estimated_budgets(loaded)),
    )


def _estimate_note(key: str, seconds: float, bounds: tuple[float, ...]) -> str:
    below = max((bound for bound in bounds if bound < seconds), default=0.0)
    above = min(bound for bound in bounds if bound > seconds)
    return (
        f"{key}: {number(seconds)} s lies between two bounds of the histogram and is estimated; "
        f"{number(below)} or {number(above)} would be counted exactly"
    )
