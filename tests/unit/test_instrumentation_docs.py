"""The Python blocks of docs/recording.md run, in order; its table of settings is complete."""

from __future__ import annotations

from pathlib import Path

from spanwise.config import table

PAGE = Path(__file__).parents[2] / "docs" / "recording.md"


def test_the_table_of_settings_is_made_from_their_declarations() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == table.written(page), f"run: python -m spanwise.config.table {PAGE}"
