"""The Python blocks of docs/privacy.md run, in order, and its table has every kind."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from spanwise.content.policy import KINDS

PAGE = Path(__file__).parents[2] / "docs" / "privacy.md"


@pytest.mark.usefixtures("isolated_provider")
def test_the_examples_run() -> None:
    text = PAGE.read_text(encoding="utf-8")
    blocks = list(re.finditer(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
    assert len(blocks) == 3
    names: dict[str, Any] = {"__name__": "privacy"}
    for block in blocks:
        line = text.count("\n", 0, block.start(1))
        # Without inheriting this module's future import, which a reader's program need not have.
        exec(compile("\n" * line + block[1], str(PAGE), "exec", dont_inherit=True), names)


def test_every_kind_is_in_the_table() -> None:
    assert re.findall(r"^\| `(\w+)` \| `gen_ai", PAGE.read_text(encoding="utf-8"), re.MULTILINE) == list(KINDS)
