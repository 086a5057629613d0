"""The `spanwise` program in a process of its own, with no settings but the ones that a test gives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

LIMIT_S = 120
PROGRAM = (sys.executable, "-W", "error", "-m", "spanwise_cli")


MARK = "SPANWISE_TEST_FOLDER"


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process's environment without anybody's settings, and with `extra`."""
    ours = ("OTEL_", "SPANWISE_", "OPENAI_", "NO_COLOR", "FORCE_COLOR", "COLUMNS")
    return {key: value for key, value in os.environ.items() if not key.startswith(ours)} | dict(extra or {})


def start(
    *arguments: str, folder: Path, extra: Mapping[str, str] | None = None, stdout: int | IO[str] = subprocess.PIPE
) -> subprocess.Popen[str]:
    """Start `spanwise` with `arguments` in `folder`, as the leader of a process group of its own."""
    return subprocess.Popen(
        [*PROGRAM, *arguments],
        cwd=folder, env=environment(extra) | {MARK: str(folder)}, stdin=subprocess.DEVNULL, stdout=stdout,
        stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=hear_ctrl_c,  # noqa: PLW1509 - it takes no lock that another thread could hold
    )  # fmt: skip


def hear_ctrl_c() -> None:
    """Undo that a shell lets what it starts in the background ignore Ctrl-C, which its children inherit."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def spanwise(*arguments: str, folder: Path, extra: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run `spanwise` with `arguments` in `folder` and return what became of it."""
    with start(*arguments, folder=folder, extra=extra) as process:
        try:
            out, err = process.communicate(timeout=LIMIT_S)
        finally:
            process.kill()
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


def running_for(folder: Path) -> list[tuple[int, str]]:
    """Return id and command of each live process that commands in `folder` started, themselves included (Linux)."""
    found: list[tuple[int, str]] = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if f"{MARK}={folder}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
                found.append((int(entry.name), command.decode(errors="replace")))
        except OSError:  # it ended meanwhile, or is another user's
            continue
    return found
