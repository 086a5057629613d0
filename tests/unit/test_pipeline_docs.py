"""The examples of docs/runtime.md are complete programs that print what the page says."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "runtime.md"
EXAMPLE = re.compile(
    r"^<!-- run -->\n```python\n(?P<code>.*?)^```\n\n<!-- output -->\n```text\n(?P<output>.*?)^```",
    re.DOTALL | re.MULTILINE,
)
EXAMPLES = list(EXAMPLE.finditer(PAGE.read_text(encoding="utf-8")))


def test_every_python_block_is_an_example() -> None:
    assert len(EXAMPLES) == PAGE.read_text(encoding="utf-8").count("```python") == 7


@pytest.mark.parametrize("example", EXAMPLES, ids=[str(n) for n in range(len(EXAMPLES))])
def test_an_example_prints_what_the_page_says(example: re.Match[str]) -> None:
    line = example.string.count("\n", 0, example.start("code"))
    names: dict[str, Any] = {"__name__": "example"}
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile("\n" * line + example["code"], str(PAGE), "exec"), names)

    assert printed.getvalue() == example["output"]
