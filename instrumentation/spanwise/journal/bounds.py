"""Keeps a journal folder within its bounds: compresses what is done with, deletes the oldest of what is too much.

The oldest closed segments go first, whether their process lives or not; the one that a living process writes to stays.
Deleting does not ask whether a destination has taken the spans: the disk is bounded, and what was not taken is counted
as `expired`. A stream whose last segment goes is remembered in the ledger's past. Any process may do this, one at a
time.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from spanwise.journal import closing, packing, past, scan
from spanwise.journal import counts as counters

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


MAX_BYTES: Final = 1024**3
MAX_AGE: Final = 14 * 86_400.0
LINES_SUFFIX: Final = ".otlp.jsonl"
_LEFT_BEHIND: Final = ("*.seg.*.tmp", f"*{LINES_SUFFIX}.*.tmp", f"{past.FILE}.*.tmp", f"*{closing.SUFFIX}")
"""What a process that was killed in the middle leaves; nobody else writes these while the lock is held."""


@dataclass(frozen=True, slots=True, order=True)
class _File:
    changed: float
    """When it was last written to, in seconds since 1970."""
    path: Path
    size: int


@dataclass(slots=True)
class Kept:
    """What one round of housekeeping did."""

    packed: int = 0
    """Segments that were compressed."""
    deleted: list[Path] = field(default_factory=list["Path"])
    """The oldest first."""


def keep(
    folder: Path,
    *,
    now: float,
    max_bytes: int = MAX_BYTES,
    max_age: float = MAX_AGE,
    is_busy: Callable[[], bool] = lambda: False,
) -> Kept:
    """Compress closed segments, then delete what is too old or too much; nothing where another process is at it.

    Args:
        folder: the journal.
        now: seconds since 1970.
        max_bytes: how much all segments may take.
        max_age: seconds since a segment was last written to.
        is_busy: whether there is something more urgent: compressing then stops for this time.

    Raises:
        OSError: the folder cannot be read or written to.
        InputError: a newer version wrote its past.
    """
    kept = Kept()
    with past.housekeeping(folder) as is_mine:
        if is_mine:
            try:
                _pack(folder, kept, is_busy)
            finally:  # a disk that takes no compressed segment needs this all the more
                _delete(folder, kept, now - max_age, max_bytes)
    return kept


class Deleting:
    """Deletes files of a folder, and remembers the counts of streams of which nothing is left; holds `housekeeping`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._left: dict[str, set[Path]] = {stream.name: set(stream.segments) for stream in scan.streams(folder)}

    def delete(self, path: Path) -> bool:
        """Delete a closed segment or a file of lines.

        Returns:
            False where it has to stay: the last segment of a stream goes last, since its counters may lag behind
            it, and not while somebody is sending it.
        """
        name = stream_of(path)
        left = self._left.get(name, set()) - {path}
        if left and path == max(self._left[name], key=scan.sequence_of):
            return False
        if left:
            path.unlink(missing_ok=True)
        elif not past.fold(self._folder, name, path):
            return False
        self._left[name] = left
        return True

    def forget(self, name: str) -> None:
        """Remember the counts of a stream that has no segment, and delete them."""
        if not self._left.get(name):
            past.fold(self._folder, name)


def closed(folder: Path) -> list[Path]:
    """Return the segments that nobody writes to any more, by name."""
    found: list[Path] = []
    for stream in scan.streams(folder):
        is_alive = counters.alive(folder / (stream.name + counters.SUFFIX))
        found += stream.segments[:-1] if is_alive else stream.segments
    return found


def stream_of(path: Path) -> str:
    """Return the name that the ledger knows the writer of a segment or a file of lines by."""
    return scan.stream_of(path) if scan.is_segment(path.name) else path.name.removesuffix(LINES_SUFFIX)


def lines_in(folder: Path) -> list[Path]:
    """Return the files of lines that an earlier version wrote, by name."""
    return sorted(folder.glob(f"*{LINES_SUFFIX}"))


def _pack(folder: Path, kept: Kept, is_busy: Callable[[], bool]) -> None:
    for pattern in _LEFT_BEHIND:
        for partial in folder.glob(pattern):
            partial.unlink(missing_ok=True)
    for path in closed(folder):
        if is_busy():
            return
        if path.suffix != packing.SUFFIX:
            packing.pack_segment(path)
            kept.packed += 1


def _delete(folder: Path, kept: Kept, too_old: float, max_bytes: int) -> None:
    deleting = Deleting(folder)
    excess = sum(file.size for file in _files([p for p in folder.iterdir() if scan.is_segment(p.name)])) - max_bytes
    excess += sum(file.size for file in _files(lines_in(folder)))
    for file in sorted(_files([*closed(folder), *lines_in(folder)])):
        if file.changed >= too_old and excess <= 0:
            break
        if deleting.delete(file.path):
            kept.deleted.append(file.path)
            excess -= file.size
    for counts in _files(sorted(folder.glob(f"*{counters.SUFFIX}"))):
        if counts.changed < too_old:
            deleting.forget(counts.path.stem)


def _files(paths: list[Path]) -> list[_File]:
    files: list[_File] = []
    for path in paths:
        with suppress(FileNotFoundError):
            about = path.stat()
            files.append(_File(about.st_mtime, path, about.st_size))
    return files
