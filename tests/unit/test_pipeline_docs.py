"""The examples of the runtime's pages are complete programs that print what the page says."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("runtime.md",)
EXAMPLE = re.compile(
    r"^<!-- run -->\n```python\n(?P<code>.*?)^```\n\n<!-- output -->\n```text\n(?P<output>.*?)^```",
    re.DOTALL | re.MULTILINE,
)
EXAMPLES = [(page, found) for page in PAGES for found in EXAMPLE.finditer((DOCS / page).read_text(encoding="utf-8"))]


@pytest.mark.parametrize("page", PAGES)
def test_every_python_block_is_an_example(page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")

    assert len(list(EXAMPLE.finditer(text))) == text.count("```python") > 0


@pytest.mark.parametrize(("page", "example"), EXAMPLES, ids=[f"{page}-{n}" for n, (page, _) in enumerate(EXAMPLES)])
def test_an_example_prints_what_the_page_says(page: str, example: re.Match[str]) -> None:
    line = example.string.count("\n", 0, example.start("code"))
    names: dict[str, Any] = {"__name__": "example"}
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile("\n" * line + example["code"], str(DOCS / page), "exec", dont_inherit=True), names)

    assert printed.getvalue() == example["output"]
