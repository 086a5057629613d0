"""`spanwise alerts build|check`: writes, compares, and says so to people and to programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import typer

from spanwise.errors import CheckFailedError, InputError, UnavailableError
from spanwise_alerts.budgets import SHIPPED
from spanwise_alerts.rules import GENERATED
from spanwise_cli.commands import alerts

if TYPE_CHECKING:
    from pathlib import Path

BUDGETS = "version: 1\ndefault:\n  duration: {p95: 100}\n"


def run(*words: object) -> None:
    app = typer.Typer()
    app.callback()(lambda: None)
    alerts.register(app)
    app([str(word) for word in ("alerts", *words)], standalone_mode=False)


def own_budgets(folder: Path) -> Path:
    path = folder / "budgets.yaml"
    path.write_text(BUDGETS, encoding="utf-8")
    return path


def test_built_rules_pass_the_check_and_changed_budgets_fail_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    budgets, output = own_budgets(tmp_path), tmp_path / "new" / "rules.yaml"

    run("build", "--budgets", budgets, "--output", output)
    run("check", "--budgets", budgets, "--output", output)
    budgets.write_text(BUDGETS.replace("100", "120"), encoding="utf-8")
    capsys.readouterr()
    with pytest.raises(CheckFailedError) as caught:
        run("check", "--budgets", budgets, "--output", output)

    assert str(caught.value) == (
        f"{output}: differs from what {budgets} makes; run `spanwise alerts build` and commit it"
    )
    printed = capsys.readouterr().out
    assert printed.startswith(f"--- {output} (committed)\n+++ {output} (from the budgets)\n")
    assert "+      description: Of the runs of {{ $labels.gen_ai_workflow_name }}" in printed


def test_the_check_of_a_missing_file_fails(tmp_path: Path) -> None:
    with pytest.raises(CheckFailedError):
        run("check", "--budgets", own_budgets(tmp_path), "--output", tmp_path / "rules.yaml")


def test_a_program_reads_one_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    budgets, output = own_budgets(tmp_path), tmp_path / "rules.yaml"

    run("build", "--budgets", budgets, "--output", output, "--json")

    assert json.loads(capsys.readouterr().out) == {
        "schema": "spanwise.alerts/1",
        "action": "build",
        "budgets": str(budgets),
        "output": str(output),
        "contents": {"recording rules": 3, "alerts": 1},
        "notes": [
            (
                "default.duration.p95: 100 s lies between two bounds of the histogram and is estimated; "
                "60 or 120 would be counted exactly"
            )
        ],
        "changed": True,
    }


def test_a_failed_check_is_a_document_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CheckFailedError):
        run("check", "--budgets", own_budgets(tmp_path), "--output", tmp_path / "rules.yaml", "--json")

    document = json.loads(capsys.readouterr().out)
    assert (document["action"], document["up_to_date"]) == ("check", False)


def test_the_shipped_rules_are_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    run("check", "--json")

    document = json.loads(capsys.readouterr().out)
    assert (document["up_to_date"], document["difference"]) == (True, "")
    assert (document["budgets"], document["output"]) == (str(SHIPPED), str(GENERATED))


def test_own_budgets_never_overwrite_the_shipped_rules(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="say with --output which file is made from it"):
        run("build", "--budgets", own_budgets(tmp_path))


def test_a_place_that_cannot_be_written_is_said_with_its_remedy(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("", encoding="utf-8")

    with pytest.raises(UnavailableError, match="choose another with --output"):
        run("build", "--output", blocked / "rules.yaml")
