"""The examples of docs/profile.md run as they stand, and its table names every bucket."""

from __future__ import annotations

import re
from typing import Any

from support import pages

from spanwise_profiling.profile import BUCKETS

PAGE = pages.ROOT / "docs" / "profile.md"


def test_the_examples_run_in_their_order() -> None:
    names: dict[str, Any] = {"__name__": "profile"}
    for language, text in pages.blocks(PAGE.read_text(encoding="utf-8")):
        assert language == "python"
        exec(compile(text, str(PAGE), "exec"), names)


def test_every_bucket_is_in_the_table() -> None:
    rows = re.findall(r"^\| (`[^|]+) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(re.findall(r"`(\w+)`", " ".join(rows))) == sorted(BUCKETS)
