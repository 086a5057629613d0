"""The ledger of streams that are gone whole, so that deleting them changes nobody's sums.

Before the counters and cursors of a stream are deleted, what they say goes into `past.json`, with the stream's name: as
long as its files are still there they are not counted a second time. What a destination had not taken is `expired`.
"""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec

from spanwise.errors import InputError
from spanwise.journal import counts as counters
from spanwise.journal import cursor, process_ledger
from spanwise.journal.folder import create, open_or_create
from spanwise.journal.process_ledger import Counts

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from pathlib import Path

FILE: Final = "past.json"
_LOCK: Final = "housekeeping.lock"
_FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Past:
    """What is remembered of streams that are gone."""

    counts: Counts = field(default_factory=Counts)
    streams: tuple[str, ...] = ()
    """Those whose files may still be there: they are in `counts` already."""
    format: int = _FORMAT


def read(folder: Path) -> Past:
    """Return what `folder` remembers; nothing where there is no such file.

    Raises:
        InputError: it is damaged, or a newer version wrote it.
        OSError: it may not be read.
    """
    path = folder / FILE
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Past)
    except FileNotFoundError:
        return Past()
    except msgspec.DecodeError as error:
        raise InputError(f"{path}: not what it should be ({error}); delete it to forget purged streams") from None
    if found.format > _FORMAT:
        raise InputError(f"{path}: written by a newer spanwise; use that one or a newer one")
    return found


@contextmanager
def housekeeping(folder: Path, *, wait: bool = False) -> Generator[bool]:
    """Hold the one lock for deleting and compressing in `folder`; gives false where another process has it.

    Raises:
        OSError: the folder takes no file.
    """
    import fcntl  # noqa: PLC0415 - with the rest of what POSIX only has

    descriptor = open_or_create(folder / _LOCK, os.O_RDWR)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def fold(folder: Path, stream: str, last: Path | None = None) -> bool:
    """Remember the counts of a stream that is gone, then delete its counters and cursors; holds `housekeeping` already.

    Args:
        folder: the journal.
        stream: its name.
        last: the last file of it, which is deleted, too: before the counts are written, if there is no room for them.

    Returns:
        False where its process lives, or one is sending the stream at this moment; nothing is done then.

    Raises:
        OSError, InputError: the past cannot be read or written; nothing is done then.
    """
    if counters.alive(folder / (stream + counters.SUFFIX)):
        return False
    held = {name: cursor.open_cursor(folder, name, stream, make=False) for name in _destinations(folder, stream)}
    try:
        if None in held.values():
            return False
        past = read(folder)
        counts = _counts(folder, stream, held)
        if stream not in past.streams and counts is not None:
            past.counts.add(counts)
            left = (name for name in past.streams if any(path.exists() for path in _files(folder, name)))
            _remember(folder, Past(past.counts, (*left, stream)), last)
        for path in (*_files(folder, stream), *([last] if last is not None else [])):
            path.unlink(missing_ok=True)
    finally:
        for one in held.values():
            if one is not None:
                one.close()
    return True


def _counts(folder: Path, stream: str, held: Mapping[str, cursor.Cursor | None]) -> Counts | None:
    """Return the counts of a stream with nothing pending: what a destination had not taken has expired."""
    others = dict.fromkeys(path.name for path in (folder / cursor.FOLDER).glob("*"))
    states = others | {name: one.state for name, one in held.items() if one is not None}
    counts = process_ledger.of_stream(folder, stream, states)
    for fates in counts.destinations.values() if counts is not None else ():
        fates["expired"] = fates.get("expired", 0) + fates.get("pending", 0)
        fates["pending"] = 0
    return counts


def _destinations(folder: Path, stream: str) -> list[str]:
    return sorted(path.parent.name for path in (folder / cursor.FOLDER).glob(f"*/{stream}.json"))


def _files(folder: Path, stream: str) -> list[Path]:
    """Return the counters and cursors of a stream, whether they are there or not."""
    cursors = [folder / cursor.FOLDER / name / f"{stream}.json" for name in _destinations(folder, stream)]
    return [*cursors, folder / (stream + counters.SUFFIX), folder / (stream + process_ledger.SUFFIX)]


def _remember(folder: Path, past: Past, last: Path | None) -> None:
    try:
        _write(folder, past)
    except OSError:
        if last is None:
            raise
        last.unlink(missing_ok=True)
        _write(folder, past)


def _write(folder: Path, past: Past) -> None:
    content = msgspec.json.encode(past) + b"\n"
    partial = folder / f"{FILE}.{os.getpid()}.tmp"
    try:
        with os.fdopen(create(partial), "wb") as file:
            file.write(content)
        partial.replace(folder / FILE)
    except OSError:
        with suppress(OSError):
            partial.unlink()
        raise
