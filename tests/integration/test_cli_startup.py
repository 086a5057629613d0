"""What a command loads before it answers: little, and nothing of what records."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support.screens import GOLDEN

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
import sys
sys.argv = ["spanwise", *sys.argv[1:]]
from spanwise_cli.entry import main
code = main()
print(code, *sorted(sys.modules), file=sys.stderr)
"""
RECORDING = GOLDEN / "recordings" / "trading-baseline.jsonl.gz"


def loaded(folder: Path, *words: str) -> set[str]:
    """Return the modules that a command had loaded when it ended well."""
    command = [sys.executable, "-c", PROGRAM, *words]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=folder)
    code, *modules = done.stderr.splitlines()[-1].split()
    assert code == "0"
    return set(modules)


@pytest.mark.parametrize("word", ["--version", "--help"])
def test_version_and_help_load_no_command_and_no_library(tmp_path: Path, word: str) -> None:
    modules = loaded(tmp_path, word)
    assert not modules & {"typer", "rich", "opentelemetry", "msgspec", "numpy", "yaml", "importlib.metadata"}
    assert not any(name.startswith("spanwise_cli.commands") for name in modules)


@pytest.mark.parametrize("words", [("runs",), ("show",), ("profile",), ("explain", "1")], ids=" ".join)
def test_what_reads_a_recording_loads_nothing_that_records_or_serves(tmp_path: Path, words: tuple[str, ...]) -> None:
    loaded(tmp_path, "import", str(RECORDING))
    modules = loaded(tmp_path, *words)
    heavy = {"opentelemetry", "requests", "prometheus_client", "pydantic", "numpy", "http.client"}
    assert modules & heavy == set()
    assert {name for name in modules if name.startswith("spanwise_cli.commands.")} <= {
        f"spanwise_cli.commands.{words[0]}", "spanwise_cli.commands.runs",
    }  # fmt: skip
