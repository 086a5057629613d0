"""Appends whole lines to this process's own file in the journal folder, and never leaves half a line behind.

Every process writes a file of its own, so that no lock is shared. A line that the disk did not take is cut off again,
so that what was written before stays readable.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

from spanwise.errors import UnavailableError
from spanwise.journal import otlp_json
from spanwise.journal.ledger import SUFFIX as LEDGER_SUFFIX

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from opentelemetry.sdk.trace import ReadableSpan

    from spanwise.journal.ledger import Ledger

SUFFIX: Final = ".otlp.jsonl"


class JournalWriter:
    """One process's file in a journal folder; used by one thread at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stem = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{os.getpid()}-{time.time_ns() % 10**9:09d}"
        self._descriptor: int | None = None
        prepare(folder)

    @property
    def path(self) -> Path:
        """The file that spans are written to."""
        return self._folder / (self._stem + SUFFIX)

    def write(self, spans: Sequence[ReadableSpan]) -> None:
        """Append `spans` as one line; raises `OSError` with nothing of it written."""
        line = otlp_json.encode(spans)
        descriptor = self._open()
        before = os.fstat(descriptor).st_size
        try:
            written = os.write(descriptor, line)
            while written < len(line):
                written += os.write(descriptor, line[written:])
        except OSError:
            os.ftruncate(descriptor, before)
            raise

    def save(self, ledger: Ledger) -> None:
        """Write the ledger beside the spans; raises `OSError`."""
        ledger.save(self._folder / (self._stem + LEDGER_SUFFIX))

    def close(self) -> None:
        """Close the file; writing opens it again."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self) -> int:
        if self._descriptor is None:
            self._descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return self._descriptor


def prepare(folder: Path) -> None:
    """Make the journal folder (0700, ignored by git) and check that it takes a file.

    Raises:
        UnavailableError: the folder cannot be made or written to; names it and the remedy.
    """
    ignore = folder / ".gitignore"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not ignore.exists():
            ignore.write_text("*\n", encoding="ascii")
        probe = folder / f".probe-{os.getpid()}"
        probe.write_bytes(b"probe\n")
        probe.unlink()
    except OSError as error:
        reason = error.strerror or str(error)
        raise UnavailableError(
            f"{folder}: runs cannot be recorded here ({reason}); free or unlock the disk, or name another folder with "
            "--journal or SPANWISE_JOURNAL_DIR"
        ) from None
