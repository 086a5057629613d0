"""The examples of docs/profile.md run as they stand, and its table names every bucket."""

from __future__ import annotations

import re

from support import pages

from spanwise_profiling.profile import BUCKETS

PAGE = pages.ROOT / "docs" / "profile.md"


def test_every_bucket_is_in_the_table() -> None:
    rows = re.findall(r"^\| (`[^|]+) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(re.findall(r"`(\w+)`", " ".join(rows))) == sorted(BUCKETS)
