"""Appends records to the segments of one stream, and never leaves half a record behind.

A record is one write at the end of the file; what the disk did not take whole is cut off again. A segment ends when it
is full or old, so that it can be compressed, sent and deleted while the stream goes on in the next one.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from spanwise.journal import folder as folders
from spanwise.journal.format import COUNTED, FORMAT, HEADER, Position, pack
from spanwise.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SUFFIX: Final = ".seg"
LIMIT_BYTES: Final = 16 * 1024 * 1024
LIMIT_SECONDS: Final = 3600.0


def stream_name() -> str:
    """Return a new name for what this process writes: when, who, and eight random hexadecimal digits."""
    return f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{os.getpid()}-{os.urandom(4).hex()}"


def path_of(folder: Path, stream: str, sequence: int) -> Path:
    """Return the path of a segment that is not compressed."""
    return folder / f"{stream}-{sequence:06d}{SUFFIX}"


class SegmentWriter:
    """The segments of one stream in a journal folder; used by one thread at a time."""

    def __init__(
        self,
        folder: Path,
        stream: str,
        *,
        limit_bytes: int = LIMIT_BYTES,
        limit_seconds: float = LIMIT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._stream = stream
        self._limit_bytes = limit_bytes
        self._limit_seconds = limit_seconds
        self._clock = clock
        self._descriptor: int | None = None
        self._sequence = 1
        self._size = 0
        self._spans = 0
        self._opened = 0.0

    @property
    def path(self) -> Path:
        """The segment that the next record goes to, unless that makes a new one necessary."""
        return path_of(self._folder, self._stream, self._sequence)

    @property
    def position(self) -> Position:
        """Where the next record will begin; a new segment's first is its header."""
        return Position(self._sequence, self._size)

    def append(self, kind: int, payload: bytes, count: int = 0) -> Position:
        """Append one record of `count` spans and return the position behind it.

        Raises:
            OSError: the disk did not take it; nothing of it is left in the segment.
            ValueError: it is too big for a record.
        """
        record = pack(kind, payload, count)
        if self._descriptor is not None and self._is_over(len(record)):
            self.rotate()
        if self._descriptor is None:
            self._write(self._begin() + record)
        else:
            self._write(record)
        self._spans += count if kind in COUNTED else 0
        return self.position

    def rotate(self) -> None:
        """End the segment, if one was begun; the next record begins another."""
        if self._descriptor is None:
            return
        self.close()
        self._sequence, self._size = self._sequence + 1, 0

    def close(self) -> None:
        """Close the file; the next record goes to its end."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _is_over(self, more: int) -> bool:
        """Whether the segment is full, old or no longer in its folder."""
        assert self._descriptor is not None
        if os.fstat(self._descriptor).st_nlink == 0:  # somebody removed it, perhaps with the folder
            folders.make(self._folder)
            return True
        return self._size + more > self._limit_bytes or self._clock() - self._opened >= self._limit_seconds

    def _begin(self) -> bytes:
        """Open the segment; returns the header that it still needs."""
        self._descriptor = folders.open_or_create(self.path, os.O_WRONLY | os.O_APPEND)
        self._opened = self._clock()
        self._size = os.fstat(self._descriptor).st_size
        return b"" if self._size else pack(HEADER, self._header())

    def _header(self) -> bytes:
        about = {
            "format": FORMAT,
            "stream": self._stream,
            "sequence": self._sequence,
            "pid": os.getpid(),
            "host": os.uname().nodename,
            "created_ns": time.time_ns(),
            "spans_before": self._spans,
            "spanwise": VERSION,
        }
        return json.dumps(about, separators=(",", ":")).encode()

    def _write(self, content: bytes) -> None:
        assert self._descriptor is not None
        try:
            written = os.write(self._descriptor, content)
            while written < len(content):  # the next write says why this one was cut short
                written += os.write(self._descriptor, content[written:])
        except OSError:
            self._undo()
            raise
        self._size += len(content)

    def _undo(self) -> None:
        """Cut off what was written in part; where even that fails, go on in a new segment."""
        assert self._descriptor is not None
        try:
            os.ftruncate(self._descriptor, self._size)
        except OSError:
            self.rotate()
            return
        if self._size == 0:
            self.close()
            with suppress(OSError):
                self.path.unlink()
