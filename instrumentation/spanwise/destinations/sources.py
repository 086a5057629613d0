"""Where spans to be sent come from: a stream of the journal behind a cursor, or this process's memory.

Both give the next spans again and again until their fate is settled, so that what fails is not lost and nothing is sent
before what was recorded earlier.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from spanwise.destinations import batches, set_aside
from spanwise.destinations.batches import EXPIRED, MOST_BYTES, MOST_SPANS, NOT_MEANT, Entry
from spanwise.journal import follow
from spanwise.journal.format import COUNTED, HEADER, WAIT
from spanwise.journal.scan import Header
from spanwise.otlp import json_encoder as otlp_json
from spanwise.process import own_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from opentelemetry.sdk.trace import ReadableSpan

    from spanwise.content.outlet import Outlet
    from spanwise.journal.cursor import Cursor
    from spanwise.journal.format import Position
    from spanwise.journal.window import Record

HELD: Final = 100_000
"""Most spans that are kept in memory for a receiver, where there is no journal."""


class Tally(Protocol):
    """What counts fates elsewhere, such as the process's ledger."""

    def __call__(self, *, delivered: int, set_aside: int, filtered: int, expired: int) -> None:
        """Count them."""
        ...


def _uncounted(*, delivered: int, set_aside: int, filtered: int, expired: int) -> None:
    del delivered, set_aside, filtered, expired


class StreamSource:
    """What is pending of one stream for one destination; an account of `Delivery`.

    Args:
        folder: the journal.
        destination: its name.
        cursor: how far it has come; held by this process.
        outlet: what the destination gets.
        tally: counts the fates, too.
        counted: up to where the stream's spans are counted as journaled: none may be settled before that.
    """

    def __init__(
        self,
        folder: Path,
        destination: str,
        cursor: Cursor,
        outlet: Outlet,
        *,
        tally: Tally = _uncounted,
        counted: Callable[[], Position] | None = None,
    ) -> None:
        self._folder = folder
        self._cursor = cursor
        self._outlet = outlet
        self._tally = tally
        self._counted = counted
        self._aside = set_aside.path_of(folder, destination, cursor.stream)
        self._records: Iterator[tuple[Position, Path, Record]] | None = None
        self.rewind()

    @property
    def cursor(self) -> Cursor:
        """How far it has come."""
        return self._cursor

    def rewind(self) -> None:
        """Read again from the first span that is not settled."""
        self._stop_reading()
        self._position = self._cursor.state.position
        self._skip = self._cursor.state.skip
        self._ahead: deque[tuple[int, Position]] = deque()

    def batch(self, most: int = MOST_SPANS) -> list[Entry]:
        """Return the next spans that are not settled, up to the record in which there are `most`; none: all is settled.

        Raises:
            OSError: a segment cannot be read.
            InputError: a newer version wrote it.
        """
        if self._ahead:
            self.rewind()
        found: list[Entry] = []
        weight, to_skip = 0, self._skip
        while len(found) < most and weight < MOST_BYTES and (record := self._next()) is not None:
            made = self._made(record)
            self._ahead.append((len(made), self._position))
            weight += len(record.payload)
            found += made[to_skip:]
            to_skip = max(0, to_skip - len(made))
        self._stop_reading()  # a purge may replace the file before the next batch
        if not found:
            self._advance()
        return found

    def _made(self, record: Record) -> list[Entry]:
        """Return the spans of a record; for the first of a segment, those that were in segments deleted before."""
        if record.kind == WAIT and not self._outlet.waits:
            return [NOT_MEANT] * record.count
        if record.kind in COUNTED:
            return batches.entries(record.payload, record.count, self._outlet)
        if record.kind != HEADER:
            return []
        known = self._cursor.state.settled - self._cursor.state.skip + sum(number for number, *_ in self._ahead)
        before = msgspec.json.decode(record.payload, type=Header).spans_before
        return [EXPIRED] * (before - known)

    def settle(self, *, delivered: int = 0, set_aside: int = 0, filtered: int = 0, expired: int = 0) -> None:
        """Note what became of the next spans, and move the cursor behind them."""
        state = self._cursor.state
        self._skip += delivered + set_aside + filtered + expired
        self._advance(
            delivered=state.delivered + delivered,
            set_aside=state.set_aside + set_aside,
            filtered=state.filtered + filtered,
            expired=state.expired + expired,
        )
        self._tally(delivered=delivered, set_aside=set_aside, filtered=filtered, expired=expired)

    def keep(self, entry: Entry | None, reason: str, number: int = 1) -> None:
        """Keep a span that cannot be sent in a file of its own, where the disk takes it; it is counted in any case."""
        with suppress(OSError):
            set_aside.keep(self._aside, entry, reason, number)

    def problem(self, reason: str) -> None:
        """Write into the cursor why nothing is delivered."""
        if reason != self._cursor.state.problem:
            self._cursor.save(problem=reason)

    def finish(self) -> None:
        """Note that the stream's process is dead and nothing of it is pending; not where it only cannot be read."""
        if not self._cursor.state.problem and not self._ahead:
            self._cursor.save(done=True)

    def close(self) -> None:
        """Leave the stream to others."""
        self._stop_reading()
        self._cursor.close()

    def _advance(self, **counts: int) -> None:
        position = self._cursor.state.position
        while self._ahead and self._skip >= self._ahead[0][0]:
            number, position = self._ahead.popleft()
            self._skip -= number
        if counts or position != self._cursor.state.position:
            self._cursor.save(sequence=position.sequence, offset=position.offset, skip=self._skip, **counts)

    def _next(self) -> Record | None:
        if self._counted is not None and self._position >= self._counted():
            return None
        if self._records is None:
            self._records = follow.records(self._folder, self._cursor.stream, self._position)
        self._position, _, record = next(self._records, (self._position, None, None))
        if record is None:
            self._stop_reading()
        return record

    def _stop_reading(self) -> None:
        self._records = None  # a generator closes its file when it goes


class MemorySource:
    """Spans that are kept in memory until they are sent, where there is no journal; an account of `Delivery`."""

    def __init__(self, outlet: Outlet, tally: Tally) -> None:
        self._outlet = outlet
        self._tally = tally
        self._spans: deque[ReadableSpan] = deque()
        self._lock = own_threads.RLock()
        self.not_kept = 0
        """Spans that were too many to be held; they stay pending."""
        self.last_problem = ""

    def offer(self, spans: Sequence[ReadableSpan]) -> None:
        """Take spans; those beyond what can be held are not kept."""
        with self._lock:
            if len(self._spans) + len(spans) > HELD:
                self.not_kept += len(spans)
            else:
                self._spans.extend(spans)

    def batch(self, most: int = MOST_SPANS) -> list[Entry]:
        """Return the next spans, at most `most`; none where nothing is pending."""
        with self._lock:
            some = [self._spans[position] for position in range(min(len(self._spans), most))]
        return _entries(some, self._outlet)

    def settle(self, *, delivered: int = 0, set_aside: int = 0, filtered: int = 0, expired: int = 0) -> None:
        """Note what became of the next spans, and let go of them."""
        with self._lock:
            for _ in range(delivered + set_aside + filtered + expired):
                self._spans.popleft()
        self._tally(delivered=delivered, set_aside=set_aside, filtered=filtered, expired=expired)

    def keep(self, entry: Entry | None, reason: str, number: int = 1) -> None:
        """Note the reason; there is no place to keep a span in."""
        del entry, number
        self.last_problem = reason

    def problem(self, reason: str) -> None:
        """Note why nothing is delivered."""
        self.last_problem = reason

    def rewind(self) -> None:
        """Do nothing: a batch is taken from the front each time."""

    def close(self) -> None:
        """Do nothing: what is left goes with the process."""


def _entries(spans: Sequence[ReadableSpan], outlet: Outlet) -> list[Entry]:
    try:
        # One at a time: the encoder groups spans, and their order is the order of their fates.
        return [entry for span in spans for entry in batches.entries(otlp_json.encode((span,)), 1, outlet)]
    except Exception as error:  # noqa: BLE001 - attributes of foreign spans are anything; the others are sent
        if len(spans) == 1:
            return [Entry(None, None, f"cannot be encoded: {type(error).__name__}")]
        return [entry for span in spans for entry in _entries((span,), outlet)]
