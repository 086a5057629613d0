"""Every Python example on a page runs, in the order of the page, and prints what the page says."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from support.pages import ROOT, named, pages
from support.populations import record_sides
from support.predictions import record_desks
from support.profiles import desk_spans
from support.traces import chat, failing, line_of, record, workflow

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

EXAMPLE = re.compile(
    r"^```python\n(?P<code>.*?)^```(?:\n\n<!-- output -->\n```text\n(?P<output>.*?)^```)?", re.DOTALL | re.MULTILINE
)
ELSEWHERE = {
    "README.md": "test_documents_readme.py",
    "docs/gate.md": "test_gate_docs.py",
    "docs/howto/fastapi.md": "test_run_docs.py",
    "docs/howto/langgraph.md": "test_run_docs.py",
    "docs/howto/openai-agents.md": "test_run_docs.py",
    "docs/populations.md": "test_profiling_populations.py",
    "docs/provider.md": "test_provider_docs.py",
    "docs/pytest.md": "test_pytest_plugin.py",
    "docs/runtime.md": "test_pipeline_docs.py",
    "docs/systems/orchestrator.md": "test_orchestrator_session.py",
}
"""Pages whose examples other tests run, as they need more than a working directory."""


def a_file(folder: Path) -> None:
    text = line_of(workflow(1, 0, 9), chat(2, 1, 2, parent=1))
    (folder / "traces.jsonl").write_text(text, encoding="utf-8")


def a_run(folder: Path) -> None:
    record(folder / ".spanwise", workflow(1, 0, 2), chat(2, 0, 1, parent=1))


def failed_calls(folder: Path) -> None:
    record(folder / ".spanwise", *failing(3))


def two_presets(folder: Path) -> None:
    record_sides(folder / ".spanwise")


def a_desk(folder: Path) -> None:
    record(folder / ".spanwise", *desk_spans())


def desks(folder: Path) -> None:
    record_desks(folder / ".spanwise")


NEEDS: dict[str, Callable[[Path], None]] = {
    "docs/compare.md": two_presets,
    "docs/findings/README.md": failed_calls,
    "docs/formats.md": a_file,
    "docs/howto/traces-elsewhere.md": a_file,
    "docs/html-report.md": a_desk,
    "docs/predict.md": desks,
    "docs/usage.md": a_run,
    "profiling/README.md": a_desk,
}
"""What the examples of a page find in the working directory."""


def with_examples() -> list[Path]:
    return [page for page in pages() if "```python" in page.read_text(encoding="utf-8")]


@pytest.mark.usefixtures("isolated_provider")
@pytest.mark.parametrize("page", [page for page in with_examples() if named(page) not in ELSEWHERE], ids=named)
def test_the_examples_of_a_page_run(page: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if needed := NEEDS.get(named(page)):
        needed(tmp_path)
    text = page.read_text(encoding="utf-8")
    examples = list(EXAMPLE.finditer(text))
    assert len(examples) == text.count("```python")
    names: dict[str, Any] = {"__name__": page.stem}
    for example in examples:
        line = text.count("\n", 0, example.start("code"))
        capsys.readouterr()
        # Without inheriting this module's future import, which a reader's program need not have.
        exec(compile("\n" * line + example["code"], named(page), "exec", dont_inherit=True), names)
        assert example["output"] in (None, capsys.readouterr().out)


def test_a_page_whose_examples_run_elsewhere_is_read_there() -> None:
    tests = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "tests").glob("*/test_*.py")}
    assert {page: page.rpartition("/")[2] in tests[test] for page, test in ELSEWHERE.items()} == dict.fromkeys(
        ELSEWHERE, True
    )
