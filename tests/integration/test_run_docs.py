"""The scripts of the how-to pages run under `spanwise run`, and `spanwise show` prints the trees of the pages."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from support.command import spanwise
from support.pages import ROOT

if TYPE_CHECKING:
    from pathlib import Path

HOWTO = ROOT / "docs" / "howto"


def example(page: str) -> tuple[str, str]:
    """Return the first script of a page and the tree that it is said to record."""
    text = (HOWTO / page).read_text(encoding="utf-8")
    script = re.search(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    tree = re.search(r"<!-- tree -->\n```text\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert script is not None
    assert tree is not None
    return script[1], tree[1]


def names(shown: str) -> str:
    """Return the first column of what `spanwise show` prints."""
    rows = [re.match(r"[│├└─ ]*\S+ \S+", row) for row in shown.splitlines() if re.search(r"\d s  ", row)]
    return "".join(f"{row[0]}\n" for row in rows if row is not None and "0 s" not in row[0])


def test_the_asyncio_script_is_recorded_as_its_page_says(tmp_path: Path) -> None:
    script, tree = example("asyncio-script.md")
    (tmp_path / "app.py").write_text(script)

    ran = spanwise("run", "app.py", folder=tmp_path)
    shown = spanwise("show", "last", folder=tmp_path)

    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert names(shown.stdout) == tree
