"""The scripts of the how-to pages run under `spanwise run`, and `spanwise show` prints the trees of the pages."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import urllib.request
from typing import TYPE_CHECKING

from support.command import spanwise
from support.library_environment import AGENTS, FASTAPI, LANGGRAPH, python_with
from support.pages import ROOT
from support.provider_process import provider

from spanwise_pipeline.provider.profile import Model, Profile

if TYPE_CHECKING:
    from pathlib import Path

QUICK = Profile("quick", default_model=Model(time_to_first_token_s=0.01, time_per_token_s=0.0005))
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


def test_the_agents_are_recorded_as_their_page_says(tmp_path: Path) -> None:
    shown_of("openai-agents.md", tmp_path, *AGENTS)


def test_the_service_is_recorded_as_its_page_says(tmp_path: Path) -> None:
    script, tree = example("fastapi.md")
    (tmp_path / "app.py").write_text(script)
    with provider(tmp_path, QUICK) as url:
        words = [python_with(*FASTAPI), "-m", "spanwise_cli", "run", "-m", "uvicorn", "app:app", "--port", "0"]
        server = subprocess.Popen(words, cwd=tmp_path, env=variables(url), stderr=subprocess.PIPE, text=True)
        try:
            assert server.stderr is not None
            said = next(line for line in server.stderr if "running on" in line)
            address = said.split("running on ")[1].split()[0]
            with urllib.request.urlopen(f"{address}/ask/prices", timeout=30) as answer:
                assert answer.read()
        finally:
            server.send_signal(signal.SIGTERM)
            server.communicate(timeout=30)
    assert names(spanwise("show", "last", folder=tmp_path).stdout) == tree


def variables(url: str) -> dict[str, str]:
    """Return an environment in which the OpenAI client finds a provider."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "SPANWISE_"))}
    return inherited | {"OPENAI_BASE_URL": url, "OPENAI_API_KEY": "x", "OPENAI_AGENTS_DISABLE_TRACING": "0"}


def shown_of(page: str, folder: Path, *requirements: str) -> None:
    """Run the script of a page beside the libraries that it needs, and compare what is shown with the page."""
    script, tree = example(page)
    (folder / "app.py").write_text(script)
    with provider(folder, QUICK) as url:
        ran = subprocess.run(
            [python_with(*requirements), "-m", "spanwise_cli", "run", "app.py"], cwd=folder, capture_output=True,
            text=True, timeout=120, check=False, env=variables(url),
        )  # fmt: skip
    assert (ran.returncode, ran.stdout) == (0, ""), ran.stderr
    assert names(spanwise("show", "last", folder=folder).stdout) == tree
