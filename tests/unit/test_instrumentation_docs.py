"""The Python blocks of docs/recording.md run, in order; its table of settings is complete."""

from __future__ import annotations

import re
from pathlib import Path

from spanwise.config.settings import _RULES, Settings

PAGE = Path(__file__).parents[2] / "docs" / "recording.md"


def test_every_setting_is_in_the_table_with_its_variables() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (`[A-Z_`, ]+) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert [name for name, _ in rows] == list(Settings._fields)
    assert {name: re.findall(r"`(\w+)`", cell) for name, cell in rows} == {
        name: [f"SPANWISE_{name.upper()}", *rule.otel] for name, rule in _RULES.items()
    }
