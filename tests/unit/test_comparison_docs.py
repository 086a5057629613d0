"""The page about comparing: its commands print what the page says, over the populations that it speaks of."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from support.populations import record_sides

from spanwise_cli.main import main

if TYPE_CHECKING:
    import pytest

PAGE = Path(__file__).parents[2] / "docs" / "compare.md"
CONSOLE = re.compile(r"^```console\n\$ spanwise (?P<words>[^\n]*)\n(?P<output>.*?)^```", re.DOTALL | re.MULTILINE)


def test_the_commands_of_the_page_print_what_it_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    record_sides(tmp_path / ".spanwise")
    examples = list(CONSOLE.finditer(PAGE.read_text(encoding="utf-8")))
    assert examples
    for example in examples:
        assert main(shlex.split(example["words"])) in {0, 1, 3}
        assert capsys.readouterr().out == example["output"]
