"""Appends whole lines to this process's own file in the journal folder, and never leaves half a line behind.

Every process writes a file of its own, so that no lock is shared. A line that the disk did not take is cut off again,
so that what was written before stays readable.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

from spanwise.journal import folder as folders
from spanwise.journal import otlp_json  # not on the recorder's thread: a fork amid an import would hang the child
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
        folders.prepare(folder)

    @property
    def path(self) -> Path:
        """The file that spans are written to."""
        return self._folder / (self._stem + SUFFIX)

    def write(self, spans: Sequence[ReadableSpan]) -> None:
        """Append `spans` as one line.

        Raises:
            OSError: the disk did not take it; nothing of it is left in the file.
            ValueError: a span cannot be encoded; nothing was written.
        """
        line = otlp_json.encode(spans)
        descriptor, before = self._open()
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

    def _open(self) -> tuple[int, int]:
        """Return the descriptor and the size of the file; makes it anew where somebody removed it meanwhile."""
        if self._descriptor is not None:
            status = os.fstat(self._descriptor)
            if status.st_nlink:
                return self._descriptor, status.st_size
            self.close()
            folders.make(self._folder)
        self._descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return self._descriptor, os.fstat(self._descriptor).st_size
