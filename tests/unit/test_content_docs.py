"""The Python blocks of docs/privacy.md run, in order, and its table has every kind."""

from __future__ import annotations

import re
from pathlib import Path

from spanwise.content.policy import KINDS

PAGE = Path(__file__).parents[2] / "docs" / "privacy.md"


def test_every_kind_is_in_the_table() -> None:
    assert re.findall(r"^\| `(\w+)` \| `gen_ai", PAGE.read_text(encoding="utf-8"), re.MULTILINE) == list(KINDS)
