"""The counters of one process in a file that outlives it: memory-mapped, so that `kill -9` cannot take a count back.

A counter is a slot of 8 bytes in the machine's byte order. What was journaled is kept with the position in the segments
up to which it was counted, twice, and a switch says which of the two holds: a process that is killed in between leaves
one that is whole, and only the records behind its position have to be counted. A lock that the process holds for life
says that it lives.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

SUFFIX: Final = ".counts"
SIZE: Final = 4096
"""A page: what is mapped must be allocated, or writing to it on a full disk would end the process (SIGBUS)."""
STARTED: Final = 2
ENDED: Final = 3
REASONS: Final = ("sampled", "buffer_full", "disk_full", "invalid", "hook", "hook_failed")
"""Why a span was dropped, in the order of the slots; new ones come last."""
_MAGIC: Final = int.from_bytes(b"spw1cnts", "little")
_PID, _SWITCH, _COMMITS, _DROPPED = 1, 4, (5, 8), 16


def in_memory() -> memoryview:
    """Return counters that are in no file."""
    return memoryview(bytearray(SIZE)).cast("Q")


def copy(source: memoryview, target: memoryview) -> None:
    """Copy every counter but the number of started spans."""
    for slot in (ENDED, *range(_SWITCH, _DROPPED + len(REASONS))):
        target[slot] = source[slot]


def dropped(slots: memoryview) -> dict[str, int]:
    """Return the numbers of dropped spans by reason, without zeros."""
    return {reason: number for index, reason in enumerate(REASONS) if (number := slots[_DROPPED + index])}


def drop(slots: memoryview, reason: str, number: int) -> None:
    """Count dropped spans; a reason without a slot counts as `invalid`."""
    known = reason if reason in REASONS else "invalid"
    slots[_DROPPED + REASONS.index(known)] += number


def commit(slots: memoryview, journaled: int, sequence: int, offset: int) -> None:
    """Say that `journaled` spans stand before `offset` of segment `sequence`."""
    switch = 1 - slots[_SWITCH]
    at = _COMMITS[switch]
    slots[at], slots[at + 1], slots[at + 2] = journaled, sequence, offset
    slots[_SWITCH] = switch


def committed(slots: memoryview) -> tuple[int, int, int]:
    """Return what `commit` last said."""
    at = _COMMITS[slots[_SWITCH] & 1]
    return slots[at], slots[at + 1], slots[at + 2]


class CountsFile:
    """The counters of this process in a new file, and the lock on it.

    Raises:
        OSError: the file cannot be made; nothing of it is left.
    """

    def __init__(self, path: Path) -> None:
        import fcntl  # noqa: PLC0415 - only where something is recorded into a journal
        import mmap  # noqa: PLC0415 - likewise

        self.path = path
        partial = path.with_suffix(".partial")
        self._lock: int | None = os.open(
            partial, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
        )
        try:
            with suppress(OSError):  # a file system without locks: whoever reads cannot tell either
                fcntl.flock(self._lock, fcntl.LOCK_EX)
            _fill(self._lock, partial)
            # Mapped through a description of its own: the lock's must be closed in a forked child, a mapping stays.
            mapped = os.open(partial, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                self._map = mmap.mmap(mapped, SIZE)
            finally:
                os.close(mapped)
            partial.rename(path)
        except OSError:
            os.close(self._lock)
            with suppress(OSError):
                partial.unlink()
            raise
        self.slots = memoryview(self._map).cast("Q")
        self.slots[0], self.slots[_PID] = _MAGIC, os.getpid()

    @property
    def removed(self) -> bool:
        """Whether somebody has removed the file."""
        return self._lock is not None and not os.fstat(self._lock).st_nlink

    def release(self) -> None:
        """Give the lock up: the process is done with its counters. They can still be read and written here.

        A forked child calls it, too: the parent keeps the lock then.
        """
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _fill(descriptor: int, path: Path) -> None:
    """Write zeros: a file that is only made longer has no blocks."""
    if os.write(descriptor, bytes(SIZE)) != SIZE:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


class Reading(NamedTuple):
    """The counters of one process as they were read; numbers of spans."""

    pid: int
    started: int
    ended: int
    dropped: dict[str, int]
    """Reason to number."""
    journaled: int
    sequence: int
    """Segment that `journaled` was counted up to, and the offset in it."""
    offset: int


def read(path: Path) -> Reading | None:
    """Return the counters in a file; none where it is no such file or of another machine's byte order.

    Each counter is read before those that it is a part of, so that none is greater than what it belongs to. The file is
    read and not mapped: who reads a mapping of a file that somebody makes shorter is ended by SIGBUS.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb", buffering=0) as file:
        readings = [os.pread(file.fileno(), SIZE, 0) for _ in range(3)]
    if any(len(one) != SIZE for one in readings):
        return None
    parts, ends, starts = (memoryview(one).cast("Q") for one in readings)
    if parts[0] != _MAGIC:
        return None
    journaled, sequence, offset = committed(parts)
    lost = dropped(parts)
    ended = max(ends[ENDED], journaled + sum(lost.values()))
    started = max(starts[STARTED], ended)
    return Reading(starts[_PID], started, ended, lost, journaled, sequence, offset)


def alive(path: Path) -> bool:
    """Whether the process that writes these counters lives and records; false where there is no such file."""
    import fcntl  # noqa: PLC0415 - as above

    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks: what nobody can tell is not called dead
        return True
    finally:
        os.close(descriptor)
    return False
