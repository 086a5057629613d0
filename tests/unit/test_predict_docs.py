"""The page about predicting: its commands print what the page says, and it lists every verb and every doubt."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from support.predictions import record_desks

from spanwise_cli.main import main
from spanwise_profiling.prediction.language import VERBS, change_of

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "predict.md"
CONSOLE = re.compile(r"^```console\n\$ spanwise (?P<words>[^\n]*)\n(?P<output>.*?)^```", re.DOTALL | re.MULTILINE)
ROW = re.compile(r"^\| (`.*) \| .* \|$", re.MULTILINE)


def section(title: str) -> str:
    return PAGE.read_text(encoding="utf-8").partition(f"## {title}\n")[2].partition("\n## ")[0]


def test_the_commands_of_the_page_print_what_it_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    record_desks(tmp_path / ".spanwise")
    record_desks(tmp_path / ".spanwise", preset="parallel", first=101)
    examples = list(CONSOLE.finditer(PAGE.read_text(encoding="utf-8")))
    assert examples
    for example in examples:
        assert main(shlex.split(example["words"])) == 0
        assert capsys.readouterr().out == example["output"]


def test_every_verb_is_on_the_page_and_every_change_on_it_is_read() -> None:
    table = section("Say what to change").partition("### ")[0]
    texts = [text for row in ROW.findall(table) for text in re.findall(r"`([^`]+)`", row.replace("\\|", "|"))]
    assert {change_of(text).kind for text in texts} == set(VERBS)


def test_every_doubt_is_on_the_page() -> None:
    source = (ROOT / "profiling" / "spanwise_profiling" / "prediction" / "doubts.py").read_text(encoding="utf-8")
    raised = re.findall(r"Doubt\(\s*\"([a-z-]+)\"", source)
    told = re.findall(r"^\| `([a-z-]+)`", section("Know when it is wrong"), re.MULTILINE)
    assert sorted(set(raised)) == sorted(told)
