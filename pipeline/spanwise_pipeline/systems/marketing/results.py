"""Where results are kept: a database that blocking functions write to, over connections that are kept or opened anew.

A connection of sqlite3 belongs to the thread that opened it, and using it in another one is an error: in a pool of
threads that is a failure of whichever tool comes second. Here a connection is lent to one thread at a time.
"""

from __future__ import annotations

import json
import queue
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from pathlib import Path

    from spanwise_pipeline import Clock

CONNECT_S: Final = 0.4
"""System seconds that opening a connection to the database takes."""
WRITE_S: Final = 0.15
"""System seconds that a write takes."""


class Results:
    """The results of runs, in `path`. Its methods block and may be called from any thread."""

    def __init__(self, path: Path, clock: Clock, *, pooled: bool) -> None:
        self._path = path
        self._clock = clock
        self._pooled = pooled
        self._free: queue.LifoQueue[sqlite3.Connection] = queue.LifoQueue()
        self.opened = 0
        """Connections opened so far."""

    def save(self, title: str, facts: Mapping[str, str]) -> None:
        """Store one section's facts."""
        with self._connection() as connection, self._clock.at_least_in_thread(WRITE_S), connection:
            connection.execute("INSERT INTO results VALUES (?, ?)", (title, json.dumps(facts)))

    def saved(self) -> dict[str, dict[str, str]]:
        """Return all that was stored, by title; of equal titles the last one."""
        with self._connection() as connection:
            return {title: json.loads(facts) for title, facts in connection.execute("SELECT * FROM results")}

    def close(self) -> None:
        """Close the connections that are kept; nobody may be using one."""
        while not self._free.empty():
            self._free.get_nowait().close()

    @contextmanager
    def _connection(self) -> Generator[sqlite3.Connection]:
        try:
            connection = self._free.get_nowait()
        except queue.Empty:
            connection = self._open()
        try:
            yield connection
        finally:
            if self._pooled:
                self._free.put(connection)
            else:
                connection.close()

    def _open(self) -> sqlite3.Connection:
        with self._clock.at_least_in_thread(CONNECT_S):
            connection = sqlite3.connect(self._path, check_same_thread=False)
            connection.execute("PRAGMA synchronous = OFF")  # only a crash of the whole machine could cost a row
            connection.execute("CREATE TABLE IF NOT EXISTS results (title TEXT, facts TEXT)")
        self.opened += 1
        return connection
