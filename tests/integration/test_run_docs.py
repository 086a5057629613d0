"""The scripts of the how-to pages run under `spanwise run`, and `spanwise show` prints the trees of the pages."""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING

from support.command import spanwise
from support.library_environment import LANGGRAPH, python_with
from support.pages import ROOT
from support.provider_process import provider

from spanwise_pipeline.provider.profile import Model, Profile

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


def test_the_graph_is_recorded_as_its_page_says(tmp_path: Path) -> None:
    shown_of("langgraph.md", tmp_path, *LANGGRAPH)


def shown_of(page: str, folder: Path, *requirements: str) -> None:
    """Run the script of a page beside the libraries that it needs, and compare what is shown with the page."""
    script, tree = example(page)
    (folder / "app.py").write_text(script)
    quick = Profile("quick", default_model=Model(time_to_first_token_s=0.01, time_per_token_s=0.0005))
    with provider(folder, quick) as url:
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "SPANWISE_"))}
        ran = subprocess.run(
            [python_with(*requirements), "-m", "spanwise_cli", "run", "app.py"], cwd=folder, capture_output=True,
            text=True, timeout=120, check=False, env=inherited | {"OPENAI_BASE_URL": url, "OPENAI_API_KEY": "x"},
        )  # fmt: skip
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert names(spanwise("show", "last", folder=folder).stdout) == tree
