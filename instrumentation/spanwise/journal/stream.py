"""What one process writes into a journal folder: its segments, and beside them the counters of its ledger.

Nothing is there before the first span. Where the disk refuses the counters' file, they are kept in memory until it
takes one; the spans of that time are lost and counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from spanwise.journal import closing
from spanwise.journal import folder as folders
from spanwise.journal.counts import SUFFIX, CountsFile
from spanwise.journal.format import COUNTED, END
from spanwise.journal.process_ledger import Ledger
from spanwise.journal.segment import SegmentWriter, stream_name

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self


class Stream:
    """One process's stream in a journal folder; used by one thread at a time.

    Args:
        folder: the journal; made when the stream is opened.
        ledger: its counters move into the stream's file.
    """

    def __init__(self, folder: Path, ledger: Ledger | None = None) -> None:
        self.folder = folder
        self.ledger = ledger or Ledger()
        self.name = stream_name()
        self.segments = SegmentWriter(folder, self.name)
        self._counts: CountsFile | None = None
        self._asks = closing.path_of(folder, self.name)

    @property
    def is_open(self) -> bool:
        """Whether the counters are in their file."""
        return self._counts is not None

    def open(self) -> None:
        """Put the counters into their file, unless they are there and nobody has removed it.

        Raises:
            OSError: the disk does not take it.
        """
        if self._counts is not None and not self._counts.removed:
            return
        if self._counts is not None:
            folders.make(self.folder)
        fresh = self._made()
        self.ledger.move(fresh.slots)
        if self._counts is not None:
            self._counts.release()
        self._counts = fresh

    def _made(self) -> CountsFile:
        path = self.folder / (self.name + SUFFIX)
        try:
            return CountsFile(path)
        except FileNotFoundError:  # somebody removed the folder since it was prepared
            folders.make(self.folder)
            return CountsFile(path)

    def append(self, kind: int, payload: bytes, count: int = 0) -> None:
        """Write one record; spans that have ended, and waits, are counted as journaled.

        Raises:
            OSError: the disk did not take it; nothing of it is left.
            ValueError: it is too big for a record.
        """
        self.open()
        position = self.segments.append(kind, payload, count)
        self.ledger.journal(count if kind in COUNTED else 0, position)

    def add(self, payload: bytes, count: int, kind: int = END) -> None:
        """Write spans, or waits, that were recorded elsewhere: they count as started here, too. Raises as `append`."""
        self.ledger.arrive(count)
        try:
            self.append(kind, payload, count)
        except OSError:
            self.ledger.drop("disk_full", count)
            raise
        except ValueError:
            self.ledger.drop("invalid", count)
            raise

    def close_segment_if_asked(self) -> None:
        """End the segment where somebody asks for it, such as a purge; the next record begins another.

        Raises:
            OSError: the file that asks cannot be removed.
        """
        if self._counts is not None and self._asks.exists():
            self.segments.rotate()
            self._asks.unlink(missing_ok=True)

    def close(self) -> None:
        """End the stream: what is open or waits is lost from now on. Without a span, nothing of it is left."""
        self.segments.close()
        if self._counts is None:
            return
        self.ledger.close()
        self._counts.release()
        if not self.ledger.counts().started:
            self._counts.path.unlink(missing_ok=True)
        self._counts = None

    def abandon(self) -> None:
        """Let go of the parent's files in a forked child."""
        self.segments.close()
        if self._counts is not None:
            self._counts.release()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()
