"""The page about the HTML report says what is so: its example runs, its keys and limits are the program's."""

from __future__ import annotations

import re

from support import pages

from spanwise_profiling.render.html import data
from spanwise_profiling.render.html.document import script_text

PAGE = (pages.ROOT / "docs" / "html-report.md").read_text(encoding="utf-8")
KEYS = {"↑": "ArrowUp", "↓": "ArrowDown", "←": "ArrowLeft", "→": "ArrowRight", "Shift": "shiftKey"}


def test_every_key_of_the_page_is_one_that_the_script_hears() -> None:
    table = PAGE.partition("| key, ")[2].partition("\n\n")[0]
    keys = {key for line in table.splitlines()[2:] for key in re.findall(r"`([^`]+)`", line.split("|")[1])}

    assert len(keys) == 18
    assert [key for key in sorted(keys) if not _is_heard(KEYS.get(key, key))] == []


def _is_heard(key: str) -> bool:
    heard = script_text().partition("const actions = {")[2].partition("};")[0]
    return re.search(rf'(?<!\w)("{re.escape(key)}"|{re.escape(key)}): |event\.{re.escape(key)}', heard) is not None


def test_the_limits_of_the_page_are_the_codes() -> None:
    assert f"about {data.ROOM_FOR_A_SPAN} bytes more" in PAGE
    assert f"More than {data.MOST_ATTRIBUTES} attributes of a span are counted" in PAGE
    assert "const MANY = 40;" in script_text()
    assert "Runs of more than 40 spans open folded" in PAGE
