"""CONTRIBUTING keeps its promises: the same checks in make and git, no test that sleeps, a dated changelog."""

from __future__ import annotations

import ast
import re
import runpy
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from support.pages import ROOT, files, named

if TYPE_CHECKING:
    from pathlib import Path

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
HOOKS: dict[str, Any] = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
EVERY_PYTHON = runpy.run_path(str(ROOT / "tests" / "every_python.py"))
TESTS = [path for folder in ("unit", "integration") for path in sorted((ROOT / "tests" / folder).glob("*.py"))]


def hooks() -> list[dict[str, Any]]:
    [repository] = HOOKS["repos"]
    return list(repository["hooks"])


def test_the_hooks_run_the_checks_of_make_lint() -> None:
    checks = re.findall(r"^check-\S+ +: COMMAND = (.+)$|^check-\S+: COMMAND = (.+)$", MAKEFILE, re.MULTILINE)
    commands = sorted(f".venv/bin/{first or second}" for first, second in checks)
    assert sorted(hook["entry"] for hook in hooks() if hook["language"] == "system") == commands
    assert len(commands) == 5


@pytest.mark.parametrize(("length", "refused"), [(72, []), (73, ["x" * 73])])
def test_the_hook_refuses_a_subject_of_more_than_72_characters(length: int, refused: list[str]) -> None:
    [pattern] = [hook["entry"] for hook in hooks() if hook["id"] == "commit-subject"]
    message = "x" * length + "\n\n" + "a body may be of any length, its lines too" * 3
    assert re.findall(pattern, message, re.MULTILINE | re.DOTALL) == refused


def sleeps(path: Path) -> list[int]:
    """Lines in which a module itself calls `time.sleep`; programs in strings are what a test records."""
    calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    return [call.lineno for call in calls if ast.unparse(call.func) in ("time.sleep", "sleep")]


def test_no_test_sleeps() -> None:
    assert {named(path): lines for path in TESTS if (lines := sleeps(path))} == {}


def test_the_newest_of_each_supported_python_is_taken(tmp_path: Path) -> None:
    old, first, second, other = (tmp_path / name for name in ("old", "first", "second", "other"))
    found = {old: (3, 10, 9), second: (3, 12, 1), first: (3, 12, 0), other: (3, 13, 0)}
    oldest = EVERY_PYTHON["oldest_supported"]()
    assert oldest == (3, 11)
    assert EVERY_PYTHON["newest_of_each"](found, oldest) == {"3.12": second, "3.13": other}


def test_the_changelog_has_a_dated_section_for_each_version() -> None:
    headings = re.findall(r"^## (.*)$", CHANGELOG, re.MULTILINE)
    assert all(re.fullmatch(r"\[Unreleased\]|\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", heading) for heading in headings)
    dates = [heading.partition(" - ")[2] for heading in headings if " - " in heading]
    assert dates == sorted(dates, reverse=True)


def test_no_file_holds_the_marks_of_a_merge_conflict() -> None:
    marks = re.compile(r"^(<{7} |>{7} |={7}$)", re.MULTILINE)
    texts = {path: path.read_text(encoding="utf-8", errors="replace") for path in files()}
    assert [named(path) for path, text in texts.items() if marks.search(text)] == []
