"""`make figures` finds what pages want to be measured, and replaces nothing else."""

from __future__ import annotations

import runpy
import shlex
import sys
from typing import Any

import pytest
from support.pages import ROOT, named


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    try:
        return runpy.run_path(str(ROOT / "benchmarks" / "figures.py"))
    finally:
        sys.modules.pop("readme_figures", None)


def test_a_measured_block_is_replaced_by_what_its_command_prints(
    figures: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(figures["renewed"].__globals__, "_today", lambda: "2026-09-21")
    page = "before\n<!-- measured: benchmarks/x.py --rounds 2 -->\nold\n<!-- /measured -->\nafter\n"
    first, block, last = figures["renewed"](page, lambda command: f"ran {command}\n").partition("```text\n")
    assert first == "before\n<!-- measured: benchmarks/x.py --rounds 2 -->\n"
    text, _, rest = last.partition("```\n")
    assert (block, text) == ("```text\n", "ran benchmarks/x.py --rounds 2\n")
    assert rest.splitlines()[1].startswith("2026-09-21, Python ")
    assert rest.endswith("\n<!-- /measured -->\nafter\n")


def test_what_pages_want_to_be_measured_is_measured_by_a_script_of_the_benchmarks(figures: dict[str, Any]) -> None:
    wanted = {
        named(page): [match["command"] for match in figures["MEASURED"].finditer(page.read_text(encoding="utf-8"))]
        for page in figures["pages"]()
    }
    assert {"benchmarks/README.md", "docs/causality.md"} <= set(wanted)
    scripts = {shlex.split(command)[0] for commands in wanted.values() for command in commands}
    assert all(script.startswith("benchmarks/") and (ROOT / script).is_file() for script in scripts)
