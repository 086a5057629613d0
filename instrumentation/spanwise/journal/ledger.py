"""What became of every span: the counts of one process, kept in its file beside the journal, and a folder's sum.

Two equations hold at any moment: started = open + buffered + journaled + sum(dropped), and for each destination
journaled = delivered + pending + set_aside + filtered + expired.
"""

from __future__ import annotations

import errno
import itertools
import os
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SUFFIX: Final = ".ledger.json"
_FATES: Final = ("delivered", "pending", "set_aside", "filtered", "expired")


@dataclass(slots=True)
class Counts:
    """One reading of a ledger; numbers of spans."""

    started: int = 0
    open: int = 0
    buffered: int = 0
    journaled: int = 0
    dropped: dict[str, int] = field(default_factory=dict[str, int])
    """Reason to number."""
    destinations: dict[str, dict[str, int]] = field(default_factory=dict[str, dict[str, int]])
    """Name to `delivered`, `pending`, `set_aside`, `filtered`, `expired`."""

    def add(self, other: Counts) -> None:
        """Add another process's counts."""
        self.started += other.started
        self.open += other.open
        self.buffered += other.buffered
        self.journaled += other.journaled
        self.dropped = dict(Counter(self.dropped) + Counter(other.dropped))
        for name, fates in other.destinations.items():
            mine = self.destinations.setdefault(name, dict.fromkeys(_FATES, 0))
            for fate, number in fates.items():
                mine[fate] = mine.get(fate, 0) + number


class Tally:
    """A counter without a lock: counting is one step of the interpreter, and reading it corrects for itself."""

    def __init__(self) -> None:
        counter = itertools.count()
        self.tick: Callable[[], int] = counter.__next__
        """Count one."""
        self._reads = 0

    def read(self) -> int:
        """Return the number; one thread at a time."""
        number = self.tick() - self._reads
        self._reads += 1
        return number


class Ledger:
    """The counters of this process; safe to call from any thread."""

    def __init__(self, destinations: tuple[str, ...] = ()) -> None:
        self._lock = threading.Lock()
        self.starts = Tally()
        self.ends = Tally()
        self._journaled = 0
        self._dropped: Counter[str] = Counter()
        self._delivered: dict[str, int] = dict.fromkeys(destinations, 0)
        self._set_aside: dict[str, int] = dict.fromkeys(destinations, 0)
        self._filtered: dict[str, int] = dict.fromkeys(destinations, 0)

    def start(self) -> None:
        """Count a span that was started."""
        self.starts.tick()

    def end(self) -> None:
        """Count a span that ended and waits to be written."""
        self.ends.tick()

    def journal(self, number: int) -> None:
        """Count ended spans that were written."""
        with self._lock:
            self._journaled += number

    def drop(self, reason: str, number: int) -> None:
        """Count ended spans that were lost."""
        with self._lock:
            self._dropped[reason] += number

    def set_aside(self, destination: str, number: int) -> None:
        """Count journaled spans that cannot be sent there, however often it is tried."""
        with self._lock:
            self._set_aside[destination] += number

    def filter(self, destination: str, number: int) -> None:
        """Count journaled spans that a destination is not to get."""
        with self._lock:
            self._filtered[destination] += number

    def deliver(self, destination: str, number: int) -> None:
        """Count journaled spans that a destination accepted."""
        with self._lock:
            self._delivered[destination] += number

    def counts(self) -> Counts:
        """Return a consistent reading."""
        with self._lock:
            lost = sum(self._dropped.values())
            ended = self.ends.read()  # before the starts: a span that ends in between is then seen as open, not as -1
            started = self.starts.read()
            return Counts(
                started=started,
                open=started - ended,
                buffered=ended - self._journaled - lost,
                journaled=self._journaled,
                dropped=dict(self._dropped),
                destinations={name: self._fates(name) for name in self._delivered},
            )

    def _fates(self, destination: str) -> dict[str, int]:
        gone = {
            "delivered": self._delivered[destination],
            "set_aside": self._set_aside[destination],
            "filtered": self._filtered[destination],
        }
        return dict.fromkeys(_FATES, 0) | gone | {"pending": self._journaled - sum(gone.values())}

    def save(self, path: Path) -> None:
        """Write the counts to `path` in one step, on a full disk over the old ones; raises `OSError` if it cannot."""
        import msgspec  # noqa: PLC0415 - 6 ms, and only where something is written

        line = msgspec.json.encode(self.counts()) + b"\n"
        partial = path.with_suffix(".partial")
        try:
            _write(partial, os.O_TRUNC, line)
            partial.replace(path)
        except OSError:
            with suppress(OSError):
                partial.unlink()
            if not path.exists():
                raise
            # A block that the file has already can be written where no new one can be had.
            _write(path, 0, line[:-1].ljust(path.stat().st_size - 1) + b"\n")


def _write(path: Path, flags: int, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | flags, 0o600)
    try:
        if os.write(descriptor, content) != len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    finally:
        os.close(descriptor)


def read(folder: Path) -> Counts:
    """Return the sum over all processes that recorded into `folder`; zeros for an empty one.

    A ledger file that cannot be read (another process removed or is replacing it) counts as nothing.
    """
    import msgspec  # noqa: PLC0415 - as above

    total = Counts()
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        with suppress(OSError, msgspec.DecodeError):
            total.add(msgspec.json.decode(path.read_bytes(), type=Counts))
    return total


def as_document(counts: Counts) -> dict[str, Any]:
    """Return the counts as a JSON-able mapping."""
    return asdict(counts)
