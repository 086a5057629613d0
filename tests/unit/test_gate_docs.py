"""docs/gate.md: its output is what the command prints, and its Python example runs; CI is in test_gate_ci.py."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import pytest
from support.pages import ROOT, blocks
from support.populations import record_sides

from spanwise.config.run_budget import RunBudget
from spanwise_alerts.budgets import read_budgets
from spanwise_cli.main import main
from spanwise_profiling.gate.regression import COUNTS

if TYPE_CHECKING:
    from pathlib import Path

PAGE = (ROOT / "docs" / "gate.md").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPANWISE_JOURNAL_DIR", raising=False)
    record_sides(tmp_path / ".spanwise")


def test_the_output_on_the_page_is_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    [shown] = [text for language, text in blocks(PAGE) if language == "console"]
    command, _, expected = shown.removeprefix("$ spanwise ").partition("\n")
    assert main(shlex.split(command)) == 1
    assert capsys.readouterr().out == expected


def test_the_example_for_python_prints_what_the_page_says(capsys: pytest.CaptureFixture[str]) -> None:
    code = [text for language, text in blocks(PAGE) if language == "python"][-1]
    expected = [text for language, text in blocks(PAGE) if language == "text"][-1]
    exec(compile(code, "docs/gate.md", "exec", dont_inherit=True), {})
    assert capsys.readouterr().out == expected


def test_the_budgets_on_the_page_are_sound_and_its_table_has_every_key() -> None:
    text = next(text for language, text in blocks(PAGE) if language == "yaml" and text.startswith("version"))
    assert read_budgets(text, source="docs/gate.md").workflows["desk"].run is not None
    table = PAGE.partition("| key of `run` | limits |")[2].partition("\n\n")[0]
    keys = {
        key for row in table.splitlines() for key in re.findall(r"`(\w+)`", row.partition("|")[2].partition("|")[0])
    }
    assert keys == set(RunBudget.__dataclass_fields__)


def test_the_page_names_every_count_that_may_not_grow() -> None:
    sentence = PAGE.partition("**Counts decide alone.** ")[2].partition("may not grow")[0].lower()
    assert set(re.split(r",\s+|\s+and\s+", " ".join(sentence.split()))) == set(COUNTS)
