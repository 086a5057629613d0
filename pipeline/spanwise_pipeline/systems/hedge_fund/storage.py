"""The predictions of a run in SQLite: each write is one transaction, in a thread, on a connection of a pool.

The database is a real file; only the way to a remote server is simulated, in the worker thread that waits for it.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing, contextmanager
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final

from spanwise_pipeline.systems.hedge_fund.predictions import Prediction

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from spanwise_pipeline import Clock, Pool

CONNECT: Final = 0.06
"""System seconds that opening a connection to the server takes."""
TRANSACTION: Final = 0.04
"""System seconds that a transaction takes there."""
_PATIENCE: Final = 30.0
_TABLE: Final = """\
CREATE TABLE IF NOT EXISTS predictions (
    agent TEXT NOT NULL,
    ticker TEXT NOT NULL,
    as_of TEXT NOT NULL,
    score REAL NOT NULL,
    signal TEXT NOT NULL,
    confidence REAL NOT NULL,
    PRIMARY KEY (agent, ticker, as_of)
)"""
_INSERT: Final = "INSERT OR REPLACE INTO predictions VALUES (?, ?, ?, ?, ?, ?)"


class PredictionStore:
    """The table of predictions.

    Args:
        file: the database; made at the first write.
        pool: threads that wait for the database.
        clock: system time.
        pooled: keep connections for the next write.
    """

    def __init__(self, file: Path, pool: Pool, clock: Clock, *, pooled: bool) -> None:
        self._file = file
        self._pool = pool
        self._clock = clock
        self._pooled = pooled
        self._idle: SimpleQueue[sqlite3.Connection] = SimpleQueue()
        self._creating = threading.Lock()
        self._created = False

    async def write(self, predictions: Sequence[Prediction]) -> None:
        """Store `predictions` in one transaction: all of them or, after an error, none."""
        await self._pool.run(self._write, tuple(predictions))

    async def read(self) -> list[Prediction]:
        """Return all predictions, in the order of their names."""
        return await self._pool.run(self._read)

    def close(self) -> None:
        """Close the connections that were kept; nothing may be written meanwhile."""
        while (connection := self._taken()) is not None:
            connection.close()

    def _write(self, predictions: Sequence[Prediction]) -> None:
        rows = [(p.agent, p.ticker, p.as_of, p.score, p.signal, p.confidence) for p in predictions]
        with self._connection() as connection:
            self._clock.sleep_in_thread(TRANSACTION)
            with connection:
                connection.executemany(_INSERT, rows)

    def _read(self) -> list[Prediction]:
        with self._connection() as connection:
            return [Prediction(*row) for row in connection.execute("SELECT * FROM predictions ORDER BY agent, ticker")]

    @contextmanager
    def _connection(self) -> Generator[sqlite3.Connection]:
        connection = self._taken() if self._pooled else None
        if connection is None:
            connection = self._connect()
        if not self._pooled:
            with closing(connection):
                yield connection
            return
        try:
            yield connection
        finally:
            self._idle.put(connection)

    def _connect(self) -> sqlite3.Connection:
        self._clock.sleep_in_thread(CONNECT)
        connection = sqlite3.connect(self._file, timeout=_PATIENCE, check_same_thread=False)
        # The file lives as long as the run, so nothing waits for the disk: that time of a server is in `TRANSACTION`.
        connection.execute("PRAGMA synchronous = OFF")
        with self._creating:  # two connections that change the mode of a new file at once refuse each other
            if not self._created:
                connection.execute("PRAGMA journal_mode = WAL")  # lets several analysts write at once
                connection.execute(_TABLE)
                self._created = True
        return connection

    def _taken(self) -> sqlite3.Connection | None:
        try:
            return self._idle.get_nowait()
        except Empty:
            return None
