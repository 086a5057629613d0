"""The `spanwise` program in a process of its own, with no settings but the ones that a test gives."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

LIMIT_S = 120
PROGRAM = (sys.executable, "-W", "error", "-m", "spanwise_cli")


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process's environment without anybody's settings, and with `extra`."""
    ours = ("OTEL_", "SPANWISE_", "OPENAI_", "NO_COLOR", "FORCE_COLOR", "COLUMNS")
    return {key: value for key, value in os.environ.items() if not key.startswith(ours)} | dict(extra or {})


def spanwise(*arguments: str, folder: Path, extra: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run `spanwise` with `arguments` in `folder` and return what became of it."""
    return subprocess.run(
        [*PROGRAM, *arguments],
        cwd=folder, env=environment(extra), stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=LIMIT_S, check=False,
    )  # fmt: skip


def providers() -> dict[int, int]:
    """Return the simulated providers that commands started and that still run: process id to parent's (Linux only)."""
    found: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            status = (entry / "stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        if b"spanwise_pipeline.provider" in words and status[0] != "Z":
            found[int(entry.name)] = int(status[1])
    return found
