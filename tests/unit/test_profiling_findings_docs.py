"""Every finding has its page, and the example of their index runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from support.traces import failing, record

from spanwise_profiling.advice import IDS

if TYPE_CHECKING:
    import pytest


FINDINGS = Path(__file__).parents[2] / "docs" / "findings"


def test_every_finding_has_a_page_and_every_page_a_finding() -> None:
    assert {page.stem for page in FINDINGS.glob("*.md")} == {*IDS, "README"}
    for name in IDS:
        page = (FINDINGS / f"{name}.md").read_text(encoding="utf-8")
        assert page.startswith(f"# `{name}`")
        assert all(f"## {part}" in page for part in ("What it says", "When it is said", "What to do", "Limits")), name


def test_the_example_of_the_findings_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (FINDINGS / "README.md").read_text(encoding="utf-8")
    record(tmp_path / ".spanwise", *failing(3))
    monkeypatch.chdir(tmp_path)
    [block] = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    exec(compile(block, "README.md", "exec"), {"__name__": "findings"})
    assert capsys.readouterr().out == "retry-storm 6.00 s medium Avoid the 3 attempts that failed (429)\n"
