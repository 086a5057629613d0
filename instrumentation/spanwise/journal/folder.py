"""The journal folder: private, ignored by git, and proven to take a file before anything is recorded into it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from spanwise.errors import UnavailableError

if TYPE_CHECKING:
    from pathlib import Path


def prepare(folder: Path) -> None:
    """Make the journal folder (0700, ignored by git) and check that it takes a file.

    Raises:
        UnavailableError: the folder cannot be made or written to; names it and the remedy.
    """
    try:
        make(folder)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UnavailableError(
            f"{folder}: runs cannot be recorded here ({reason}); free or unlock the disk, or name another folder with "
            "--journal or SPANWISE_JOURNAL_DIR"
        ) from None


def make(folder: Path) -> None:
    """Do what `prepare` does; raises the `OSError` itself."""
    ignore, probe = folder / ".gitignore", folder / f".probe-{os.getpid()}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        _put(probe, b"probe\n")
    finally:
        probe.unlink(missing_ok=True)
    if not ignore.exists():
        _put(ignore, b"*\n")


def _put(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
