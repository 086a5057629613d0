"""What became of every span of one process: its counters, and what they say once it is gone.

Two equations hold at any moment: started = open + buffered + journaled + sum(dropped), and for each destination
journaled = delivered + pending + set_aside + filtered + expired. Counters that are part of others are counted later and
read earlier than those, so that no reading finds a part greater than the whole, also while processes write. A process
that is gone has nothing open any more: what it had is dropped for the reason `crash`.
"""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from spanwise.errors import InputError
from spanwise.journal import counts as counters
from spanwise.journal.counts import ENDED, STARTED
from spanwise.journal.format import COUNTED, Position

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from spanwise.journal.counts import Reading
    from spanwise.journal.cursor import CursorState

SUFFIX: Final = ".ledger.json"
"""Of the ledgers that earlier versions wrote."""
CRASH: Final = "crash"
_SETTLED: Final = ("delivered", "set_aside", "filtered", "expired")


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
        """Add another process's counts; what it wrote without one of the destinations is not meant for that."""
        for name in self.destinations.keys() | other.destinations.keys():
            mine, others = (one.destinations.get(name) or _fates(one.journaled, None) for one in (self, other))
            self.destinations[name] = {fate: mine.get(fate, 0) + others.get(fate, 0) for fate in mine | others}
        self.started += other.started
        self.open += other.open
        self.buffered += other.buffered
        self.journaled += other.journaled
        self.dropped = dict(Counter(self.dropped) + Counter(other.dropped))


def _fates(journaled: int, settled: Mapping[str, int] | None) -> dict[str, int]:
    """Return what became of `journaled` spans at a destination; without settled ones they are not meant for it."""
    if settled is None:
        settled = {"filtered": journaled}
    known = {fate: settled.get(fate, 0) for fate in _SETTLED}
    return {"delivered": known.pop("delivered"), "pending": journaled - sum(settled.values()), **known}


class _Unopened:
    """In place of the counters before the first span: counting that one opens the file that they belong in."""

    def __init__(self, ledger: Ledger, memory: memoryview, opens: Callable[[], object]) -> None:
        self._ledger, self._memory, self._opens = ledger, memory, opens

    def __getitem__(self, slot: int) -> int:
        return 0 if slot == STARTED else self._memory[slot]

    def __setitem__(self, slot: int, number: int) -> None:
        if slot != STARTED:
            self._memory[slot] = number
            return
        self._ledger.settle()
        self._ledger.slots[STARTED] += number
        self._opens()


class Ledger:
    """The counters of this process; safe to call from any thread.

    `slots[STARTED] += 1` counts a span that was started. It is exact without a lock: the interpreter changes threads
    at calls and jumps only, and there is none in it.
    """

    def __init__(self, destinations: Iterable[str] = ()) -> None:
        self._lock = threading.RLock()  # a garbage collection inside it can end an abandoned stream's span
        self._memory = counters.in_memory()
        self.slots: Any = self._memory
        """The counters by number (`spanwise.journal.counts`)."""
        self._taken = 0
        self.waiting: Callable[[], int] = int
        """Return how many ended spans nobody has taken to write yet; whoever queues them sets it."""
        self._closed = False
        self._settled: dict[str, Counter[str]] = {name: Counter() for name in destinations}

    def opening(self, opens: Callable[[], object]) -> None:
        """Have `opens` called when the first span has been counted."""
        self.slots = _Unopened(self, self._memory, opens)

    def settle(self) -> None:
        """Count in memory from now on, unless the counters have moved already."""
        with self._lock:
            if type(self.slots) is _Unopened:
                self.slots = self._memory

    def move(self, slots: memoryview) -> None:
        """Go on counting in `slots`, with what was counted so far."""
        with self._lock:
            self.settle()
            counters.copy(self.slots, slots)
            # No call may stand between these two lines, so that nothing is counted there.
            slots[STARTED] = self.slots[STARTED]
            self.slots = slots

    def start(self) -> None:
        """Count a span that was started."""
        self.slots[STARTED] += 1

    def take(self, number: int) -> None:
        """Count ended spans that were taken out of the queue; until then they are `waiting`."""
        with self._lock:
            self._taken += number

    def arrive(self, number: int) -> None:
        """Count spans that were started and ended elsewhere."""
        self.slots[STARTED] += number
        self.take(number)

    def _ended(self) -> int:
        # In this order: a span that is taken in between is then seen as open, and never counted twice.
        taken = self._taken
        return taken + self.waiting()

    def publish(self) -> None:
        """Show other processes how many spans have ended."""
        with self._lock:
            self.slots[ENDED] = self._ended()

    def journal(self, number: int, position: Position | None = None) -> None:
        """Count ended spans that were written, up to `position` of the stream."""
        with self._lock:
            self.publish()
            journaled, sequence, offset = counters.committed(self.slots)
            counters.commit(self.slots, journaled + number, *(position or (sequence, offset)))

    def position(self) -> Position:
        """Return the place in the stream up to which written spans are counted."""
        with self._lock:
            _, sequence, offset = counters.committed(self.slots)
        return Position(sequence, offset)

    def drop(self, reason: str, number: int) -> None:
        """Count ended spans that were lost."""
        with self._lock:
            self.publish()
            counters.drop(self.slots, reason, number)

    def deliver(self, destination: str, number: int) -> None:
        """Count journaled spans that a destination accepted."""
        self._settle(destination, "delivered", number)

    def set_aside(self, destination: str, number: int) -> None:
        """Count journaled spans that cannot be sent there, however often it is tried."""
        self._settle(destination, "set_aside", number)

    def filter(self, destination: str, number: int) -> None:
        """Count journaled spans that a destination is not to get."""
        self._settle(destination, "filtered", number)

    def expire(self, destination: str, number: int) -> None:
        """Count journaled spans that were deleted before a destination had them."""
        self._settle(destination, "expired", number)

    def _settle(self, destination: str, fate: str, number: int) -> None:
        with self._lock:
            self._settled[destination][fate] += number

    def close(self) -> None:
        """Book what is open or waits as lost: nobody will write it."""
        with self._lock:
            self.publish()
            self._closed = True

    def counts(self) -> Counts:
        """Return a consistent reading."""
        with self._lock:
            slots = self.slots
            ended = self._ended()  # before the starts: a span that ends in between is then seen as open, not as -1
            found = _found(slots[STARTED], ended, counters.committed(slots)[0], counters.dropped(slots))
            for name, settled in self._settled.items():
                found.destinations[name] = _fates(found.journaled, settled)
            return _ended(found) if self._closed else found


def _found(started: int, ended: int, journaled: int, dropped: dict[str, int]) -> Counts:
    buffered = ended - journaled - sum(dropped.values())
    return Counts(started=started, open=started - ended, buffered=buffered, journaled=journaled, dropped=dropped)


def _ended(found: Counts) -> Counts:
    """Return the counts of a process that is gone: what was open or waited is lost."""
    lost = found.open + found.buffered
    dropped = found.dropped | ({CRASH: lost} if lost else {})
    return replace(found, open=0, buffered=0, dropped=dropped)


def of_stream(folder: Path, name: str, states: Mapping[str, CursorState | None]) -> Counts | None:
    """Return the counts of the process that wrote a stream; none where they are gone or cannot be read.

    Args:
        folder: the journal.
        name: the stream, or the stem of an earlier version's files.
        states: what the cursors of all destinations said before; none where a destination has no cursor for it.
    """
    import msgspec  # noqa: PLC0415 - 6 ms, and only where something is read

    with suppress(OSError, msgspec.DecodeError):
        return msgspec.json.decode((folder / (name + SUFFIX)).read_bytes(), type=Counts)
    with suppress(OSError):
        found = _of_stream(folder / (name + counters.SUFFIX))
        if found is not None:
            found.destinations = {
                destination: _fates_at(state, found.journaled) for destination, state in states.items()
            }
        return found
    return None


def _settled(state: CursorState) -> dict[str, int]:
    return {fate: getattr(state, fate) for fate in _SETTLED}


def _fates_at(state: CursorState | None, journaled: int) -> dict[str, int]:
    """Return a stream's fates at a destination; what could not be read in a stream that is done is lost for it."""
    fates = _fates(journaled, None if state is None else _settled(state))
    if state is not None and state.done:
        fates["expired"], fates["pending"] = fates["expired"] + fates["pending"], 0
    return fates


def _of_stream(path: Path) -> Counts | None:
    is_alive = counters.alive(path)  # before they are read: those of a process that is gone do not change
    reading = counters.read(path)
    if reading is None:
        return None
    if is_alive:
        return _found(reading.started, reading.ended, reading.journaled, reading.dropped)
    journaled = reading.journaled + _behind(path, reading)
    ended = max(reading.ended, journaled + sum(reading.dropped.values()))
    return _ended(_found(max(reading.started, ended), ended, journaled, reading.dropped))


def _behind(path: Path, reading: Reading) -> int:
    """Return the number of spans that were written after the last count of them.

    The last segment of a stream is deleted with its counters only, so what is behind the last count is there.
    """
    from spanwise.journal import follow  # noqa: PLC0415 - only for a process that is gone

    position = Position(reading.sequence or 1, reading.offset)
    with suppress(InputError):  # nothing can be said of what a newer version wrote
        records = follow.records(path.parent, path.stem, position)
        return sum(record.count for _, _, record in records if record.kind in COUNTED)
    return 0
