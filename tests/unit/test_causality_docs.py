"""The example of docs/causality.md runs as it stands, and its table of places names what the code knows."""

from __future__ import annotations

import re
from pathlib import Path

from spanwise.causality import primitives

PAGE = Path(__file__).parents[2] / "docs" / "causality.md"


def test_every_kind_and_resource_is_in_the_table() -> None:
    rows = re.findall(r"^\| [^|]+ \| `(\w+)` \| ([^|]+) \| [^|]+ \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    kinds = {kind for kind, _ in rows}
    known = set(primitives.RELEASING.values()) | {
        primitives.CONNECTION, primitives.EXECUTOR, primitives.FUTURE, primitives.THREAD, primitives.TIMER,
        primitives.TIMEOUT, primitives.UNKNOWN,
    }  # fmt: skip
    assert kinds == {place.kind for place in known}
