"""A place to build one server in: a temporary folder, a log, and a way to run tools that fail with a remedy.

Nothing is built in its final place. The folder is renamed when it is complete, so an interrupted build is never taken
for a finished one.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spanwise.config.folders import make_folder
from spanwise.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from pathlib import Path

_BUILDING = ".building-"


def say(line: str) -> None:
    """Write a progress line to standard error."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


@dataclass(frozen=True, slots=True)
class Workshop:
    """The folder and log of one build."""

    folder: Path
    """Scratch space; `bin` in it becomes the server's."""
    final: Path
    """Where `folder` will be once it is whole; wrapper scripts name this path."""
    log: Path

    @property
    def bin(self) -> Path:
        """The folder of finished binaries, created."""
        return make_folder(self.folder / "bin")

    def run(
        self, *command: str, cwd: Path | None = None, environment: Mapping[str, str] | None = None, check: bool = True
    ) -> str:
        """Run `command`, its errors into the log, and return its output; raises `UnavailableError` when it fails."""
        with self.log.open("a", encoding="utf-8") as log:
            log.write(f"$ {' '.join(command)}\n")
            log.flush()
            done = subprocess.run(  # noqa: S603 - commands are this package's own
                command, cwd=cwd or self.folder, env={**os.environ, **(environment or {})}, check=False,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip
            log.write(done.stdout)
        if check and done.returncode:
            raise UnavailableError(f"{command[0]} {command[1]} failed: {self._last_words()} (log: {self.log})")
        return done.stdout

    def _last_words(self) -> str:
        lines = [line for line in self.log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
        return lines[-1].strip()[:200] if lines else "no output"


@contextlib.contextmanager
def workshop(servers: Path, name: str) -> Generator[Workshop, None, None]:
    """Give a `Workshop` for `servers/name`; on leaving without an error it becomes that folder."""
    final, scratch = servers / name, servers / f"{_BUILDING}{name}"
    _remove(scratch)  # what an interrupted build left: the caller holds the lock, so nobody is in there
    log = make_folder(servers / "logs") / f"{name}.log"
    log.unlink(missing_ok=True)
    try:
        yield Workshop(make_folder(scratch), final, log)
        for leftover in scratch.iterdir():
            if leftover.name not in {"bin", "root"}:
                _remove(leftover)
        _remove(final)
        scratch.rename(final)
    finally:
        _remove(scratch)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
