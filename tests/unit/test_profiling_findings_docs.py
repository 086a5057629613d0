"""Every finding has its page, and the example of their index runs."""

from __future__ import annotations

from pathlib import Path

from spanwise_profiling.advice import IDS

FINDINGS = Path(__file__).parents[2] / "docs" / "findings"


def test_every_finding_has_a_page_and_every_page_a_finding() -> None:
    assert {page.stem for page in FINDINGS.glob("*.md")} == {*IDS, "README"}
    for name in IDS:
        page = (FINDINGS / f"{name}.md").read_text(encoding="utf-8")
        assert page.startswith(f"# `{name}`")
        parts = ("What it says", "When it is reported", "What to do", "Limits")
        assert [part for part in parts if f"## {part}" not in page] == [], name
