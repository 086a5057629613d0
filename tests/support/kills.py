"""Processes that record under load and are killed at a moment nobody chose, and what is then found on disk."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from support import journal_files
from support.real_time import spend
from support.servers import eventually

from spanwise.journal import ledger
from spanwise.journal.format import END, WAIT

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from spanwise.journal.ledger import Counts

INTERVAL = 0.2
LOAD = """
import asyncio, os, sys, threading, time
import spanwise  # noqa: PLC0415 - the other kind is not to load it
durability, threads, said, endpoint = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
spanwise.configure(journal_dir="journal", durability=durability, endpoint=endpoint or None)
def record(number):
    with spanwise.step(f"{number}"):
        if not number % 4:
            now = time.time_ns()
            spanwise.record_wait("lock", f"{number}", now - 2_000_000, now)
    # In one write, after the span's end has returned: when, and which one it was.
    os.write(said, b"%d %d\\n" % (time.time_ns(), number))
def load(first):
    number = first
    with spanwise.step("outer"):
        while True:
            record(number)
            number += threads
            if not number // threads % 8:
                time.sleep(0.001)
for first in range(1, threads):
    threading.Thread(target=load, args=(first,), daemon=True).start()
load(0)
"""
"""Some thousand spans a second, and beside the journal a note of each that has ended."""


@dataclass(frozen=True)
class Killed:
    """What was left of a process."""

    ended: int
    """Spans and waits whose `end` had returned."""
    lost: int
    """Those of them that are not in the journal."""
    oldest_lost: float
    """Seconds between the end of the oldest of those and the last end; 0 where none is lost."""
    counts: Counts

    @property
    def adds_up(self) -> bool:
        """Whether the ledger's equations hold, with nothing open or waiting."""
        counts = self.counts
        return all(counts.journaled == sum(fates.values()) for fates in counts.destinations.values()) and (
            counts.open == counts.buffered == 0
            and counts.started == counts.journaled + sum(counts.dropped.values())
            and counts.dropped.keys() <= {"crash"}
        )


def kill_one(
    folder: Path, chance: random.Random, *, durability: str = "interval", threads: int = 2, endpoint: str = ""
) -> Killed:
    """Run the load in `folder`, kill it at a random moment of its first second, and return what was found.

    A torn record that is read as a whole one fails the caller's test, as does one that is damaged elsewhere than at
    the end.
    """
    folder.mkdir()
    notes = folder / "notes"
    with notes.open("wb") as said:
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "SPANWISE_"))}
        process = subprocess.Popen(
            [sys.executable, "-c", LOAD, durability, str(threads), str(said.fileno()), endpoint],
            cwd=folder, env=inherited, pass_fds=[said.fileno()],
        )  # fmt: skip
        try:
            eventually(lambda: notes.stat().st_size > 0)
            spend(chance.uniform(0.0, 1.0))
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
    return _found(folder / "journal", notes)


def _found(journal: Path, notes: Path) -> Killed:
    noted = [line.split() for line in notes.read_text().splitlines()]
    ends = {f"step {number}": int(time_ns) for time_ns, number in noted}
    ends |= {f"wait {number}": int(time_ns) for time_ns, number in noted if not int(number) % 4}
    written = [name for kind in (END, WAIT) for name in journal_files.names(journal, kind, may_be_torn=True)]
    counts = ledger.read(journal)
    assert len(written) == len(set(written)) == counts.journaled, "a span was counted and not written, or twice"
    lost = ends.keys() - set(written)
    last = max(ends.values())
    oldest = (last - min(ends[name] for name in lost)) / 1e9 if lost else 0.0
    return Killed(len(ends), len(lost), oldest, counts)
