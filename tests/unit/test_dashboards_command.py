"""`spanwise dashboards build|check`, with and without the extra that it needs."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest
import typer

from spanwise.errors import CheckFailedError, UnavailableError
from spanwise_alerts.budgets import load_budgets
from spanwise_cli.commands import dashboards
from spanwise_dashboards.build import dashboard_text

if TYPE_CHECKING:
    from pathlib import Path


def run(*words: object) -> None:
    app = typer.Typer()
    app.callback()(lambda: None)
    dashboards.register(app)
    app([str(word) for word in ("dashboards", *words)], standalone_mode=False)


def test_a_built_dashboard_passes_the_check_until_the_budgets_change(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    budgets, output = tmp_path / "budgets.yaml", tmp_path / "overview.json"
    budgets.write_text("version: 1\ndefault: {duration: {p95: 60}}\n", encoding="utf-8")

    run("build", "--budgets", budgets, "--output", output, "--json")
    built = json.loads(capsys.readouterr().out)
    run("check", "--budgets", budgets, "--output", output)
    budgets.write_text("version: 1\ndefault: {duration: {p95: 61}}\n", encoding="utf-8")

    assert built == {
        "schema": "spanwise.dashboards/1",
        "action": "build",
        "budgets": str(budgets),
        "output": str(output),
        "contents": {"panels": 11, "queries": 16},
        "notes": [],
        "changed": True,
    }
    with pytest.raises(CheckFailedError, match="run `spanwise dashboards build` and commit it"):
        run("check", "--budgets", budgets, "--output", output)


def test_the_shipped_dashboard_is_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    run("check")

    assert "is what" in capsys.readouterr().out


def test_without_the_extra_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith(("grafana_foundation_sdk", "spanwise_dashboards."))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "grafana_foundation_sdk", None)

    with pytest.raises(UnavailableError, match=r"pip install 'spanwise\[grafana\]'"):
        dashboard_text(load_budgets())
