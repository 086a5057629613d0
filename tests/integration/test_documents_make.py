"""`make help` and `.ci/run` as a shell runs them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from support.pages import ROOT

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow


def ci_run(folder: Path, make: str) -> subprocess.CompletedProcess[str]:
    """Run `.ci/run` with a `make` of ours first on PATH."""
    (folder / "make").write_text(f'#!/bin/sh\necho "$* CI=$CI in $(basename "$PWD")"\n{make}\n', encoding="utf-8")
    (folder / "make").chmod(0o755)
    environment = {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(
        [ROOT / ".ci" / "run"], cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_machine_runs_test_and_demo_and_nothing_else(tmp_path: Path) -> None:
    done = ci_run(tmp_path, "exit 0")
    lines = [re.sub(r"\d+ s$", "N s", line) for line in done.stdout.splitlines()]
    here = ROOT.name
    assert (done.returncode, done.stderr) == (0, "")
    assert lines == [
        f"test CI=true in {here}",
        "make test took N s",
        f"demo CI=true in {here}",
        "make demo took N s",
    ]


def test_a_machine_stops_at_what_fails(tmp_path: Path) -> None:
    done = ci_run(tmp_path, "exit 2")
    assert (done.returncode, done.stdout) == (2, f"test CI=true in {ROOT.name}\n")


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_without_a_target_lists_every_target_with_what_it_does() -> None:
    done = subprocess.run(["make", "-C", ROOT], capture_output=True, text=True, timeout=60, check=True)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    expected = re.findall(r"^([a-z-]+):.*## (.*)$", makefile, re.MULTILINE)
    assert re.findall(r"^  make (\S+) +(.*)$", done.stdout, re.MULTILINE) == expected
