"""Sends what is recorded to a destination at somebody's request: all that is pending there, or chosen spans again.

Streams whose own process is at it are left to that. Everything else goes the way that a recording process sends, so
that a cursor, a filter and a refusal mean the same.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from spanwise.destinations import batches
from spanwise.destinations.batches import MOST_SPANS
from spanwise.destinations.sources import StreamSource
from spanwise.journal import cursor as cursors
from spanwise.journal import payloads, scan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from spanwise.content.outlet import Outlet
    from spanwise.destinations.batches import Entry
    from spanwise.destinations.delivery import Delivery


class WallClock:
    """Real time for `Delivery` where the calling thread waits."""

    def now(self) -> float:
        """Return monotonic seconds."""
        return time.monotonic()

    def rest(self, seconds: float, *, obeying: bool) -> bool:
        """Sleep."""
        del obeying
        time.sleep(seconds)
        return True


@dataclass(slots=True)
class Sent:
    """What became of the spans; also the account of `Delivery` for spans that have no cursor."""

    delivered: int = 0
    set_aside: int = 0
    filtered: int = 0
    expired: int = 0
    busy: int = 0
    """Streams that were left to their own processes."""
    failure: str = ""
    """Why it ended before everything was settled; empty where it did not."""
    reasons: Counter[str] = field(default_factory=Counter[str])
    """Why spans were set aside, with their numbers."""
    tell: Callable[[Sent], None] = lambda _: None
    """Called after each change."""

    @property
    def settled(self) -> int:
        """Spans whose fate is known."""
        return self.delivered + self.set_aside + self.filtered + self.expired

    def settle(self, *, delivered: int = 0, set_aside: int = 0, filtered: int = 0, expired: int = 0) -> None:
        """Count what became of spans."""
        self.delivered += delivered
        self.set_aside += set_aside
        self.filtered += filtered
        self.expired += expired
        self.tell(self)

    def keep(self, entry: Entry | None, reason: str, number: int = 1) -> None:
        """Count why spans cannot be sent; they are in the journal or file that they come from."""
        del entry
        self.reasons[reason] += number

    def problem(self, reason: str) -> None:
        """Note why nothing goes on."""
        self.failure = reason


def drain(folder: Path, destination: str, delivery: Delivery, outlet: Outlet, sent: Sent) -> None:
    """Send what is pending of every stream of a journal; stops at the first failure, which `sent` then names.

    A stream in which a span fails waits until the others had their turn: they show whether it is the span's fault.

    Raises:
        InputError: a newer version wrote a segment or a cursor.
        OSError: the journal cannot be read, or its cursors not be made.
    """
    waiting = deque(stream.name for stream in scan.streams(folder))
    while waiting:
        name = waiting.popleft()
        is_alive = scan.is_alive(folder, name)
        held = cursors.open_cursor(folder, destination, name)
        if held is None:
            sent.busy += 1
            continue
        if held.state.done:
            held.close()
            continue
        source = StreamSource(folder, destination, held, outlet, tally=sent.settle)
        try:
            is_drained = _drained(source, delivery, sent)
            if is_drained is None:
                return
            if not is_drained:
                waiting.append(name)
            elif not is_alive:
                source.finish()
        finally:
            source.close()


def _drained(source: StreamSource, delivery: Delivery, sent: Sent) -> bool | None:
    """Send what is pending of a stream; false where a span in it fails, none where delivering stops."""
    while batch := source.batch():
        before = source.cursor.state
        if not delivery.deliver(batch, source):
            sent.failure = source.cursor.state.problem
            return None
        if more := source.cursor.state.set_aside - before.set_aside:
            sent.reasons["refused"] += more
        if source.cursor.state.settled - before.settled < len(batch):
            return False
    return True


def send(requests: Iterable[bytes], delivery: Delivery, outlet: Outlet, sent: Sent) -> None:
    """Send the spans of `requests` (OTLP/JSON), whether or not they were sent before; stops at the first failure."""
    for entries in _together(requests, outlet):
        left = entries
        while left:
            before = sent.settled
            if not delivery.deliver(left, sent):
                return
            left = left[sent.settled - before :]


def _together(requests: Iterable[bytes], outlet: Outlet) -> Iterator[list[Entry]]:
    """Yield the spans of many small requests in larger ones."""
    found: list[Entry] = []
    for payload in requests:
        found += batches.entries(payload, payloads.counted(payload), outlet)
        if len(found) >= MOST_SPANS:
            yield found
            found = []
    if found:
        yield found
