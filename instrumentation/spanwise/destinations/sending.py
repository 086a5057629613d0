"""One destination and the thread that delivers to it: this process's spans, and those that dead processes left.

Recording never waits for it. With a journal it reads what is on disk behind a cursor, so that a crash, an outage of
days and the end of the process lose nothing; without one it sends from memory. While the recorder is behind, it holds
back.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as otel_context

from spanwise.destinations.batches import MOST_SPANS
from spanwise.destinations.delivery import Delivery
from spanwise.destinations.sources import MemorySource, StreamSource
from spanwise.errors import InputError
from spanwise.journal import cursor as cursors
from spanwise.process import own_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from opentelemetry.sdk.trace import ReadableSpan

    from spanwise.content.outlet import Outlet
    from spanwise.destinations.transport import Transport
    from spanwise.journal.process_ledger import Ledger

_THREAD: Final = "spanwise-to-"
_LOGGERS: Final = ("urllib3.connectionpool", "urllib3.util.retry")
_LAST_WORDS: Final = 0.2
_LOOK_AROUND: Final = 30.0
"""Seconds between two looks for what dead processes left."""
_BEHIND: Final = 512
"""How many spans the recorder may have before it, and sending still goes on."""
_LONGEST_YIELD, _YIELD = 1.0, 0.02
_BURST: Final = 10_000
"""Spans a second from which on recording is left the interpreter, even where the recorder keeps up."""
_LOOK, _LONGEST_BURST = 0.25, 10.0
# No public name exists; the SDK's own processors import it, too.
_SUPPRESS: Final = otel_context._SUPPRESS_INSTRUMENTATION_KEY  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]


class _OwnThreadFilter(logging.Filter):
    """Drops what clients log on our sending threads: the ledger says it, and the host's log is the host's."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.threadName or "").startswith(_THREAD)


_silence: Final = _OwnThreadFilter()


def _no_backlog() -> int:
    return 0


class _Pace:
    """How fast spans come; what goes on for longer than a burst is the usual pace, and nothing waits for it."""

    def __init__(self) -> None:
        self._began = self._since = time.monotonic()
        self._number = 0
        self._is_fast = False

    def count(self, number: int) -> None:
        """Note that spans were written."""
        self._number += number
        now = time.monotonic()
        elapsed = now - self._began
        if elapsed >= _LOOK:
            was_fast, self._is_fast = self._is_fast, self._number > _BURST * elapsed
            if self._is_fast and not was_fast:
                self._since = now
            self._began, self._number = now, 0

    def is_burst(self) -> bool:
        """Whether spans come fast, and have not done so for long."""
        now = time.monotonic()
        return self._is_fast and now - self._began < 2 * _LOOK and now - self._since < _LONGEST_BURST


class Sender:
    """Everything on its way to one destination.

    Args:
        name: the destination's.
        transport: the connection; closed by `stop`.
        outlet: what the destination gets.
        ledger: where the fates of this process's spans are counted.
        journaled: whether spans are read from the journal; else they are kept in memory.
        backlog: how many spans the recorder has still to write.
    """

    def __init__(
        self,
        name: str,
        transport: Transport,
        outlet: Outlet,
        ledger: Ledger,
        *,
        journaled: bool,
        backlog: Callable[[], int] = _no_backlog,
    ) -> None:
        self.name = name
        self._transport = transport
        self._outlet = outlet
        self._ledger = ledger
        self._backlog = backlog
        self._pace = _Pace()
        self._memory = None if journaled else MemorySource(outlet, self._count)
        self._place: tuple[Path, str] | None = None
        self._own: StreamSource | None = None
        self._left_behind: StreamSource | None = None
        self._finished: set[str] = set()
        self._look_due = 0.0
        self._changed = own_threads.Condition()
        self._offered = False
        self._asked = 0
        self._answered = 0
        self._stopping = False
        self._thread: Any = None

    @property
    def problem(self) -> str:
        """Why nothing is delivered at the moment; empty while all goes well."""
        if self._memory is not None:
            return self._memory.last_problem
        return self._own.cursor.state.problem if self._own is not None else ""

    def begin(self, folder: Path, stream: str) -> None:
        """Note that `stream` is meant for this destination, before its first span is written; never raises."""
        if self._memory is None:
            self._place = folder, stream
            self._open_own()

    def offer(self, spans: Sequence[ReadableSpan]) -> None:
        """Note that `spans` were written, or where there is no journal, take them."""
        if self._memory is not None:
            self._memory.offer(spans)
        with self._changed:
            self._pace.count(len(spans))
            self._offered = True
            self._changed.notify_all()
        if self._thread is None:
            self._start()

    def flush(self, deadline: float) -> bool:
        """Wait until what was offered is settled or `deadline` (monotonic seconds) passes; false where some is not."""
        with self._changed:
            if self._thread is None:
                return True
            self._asked = mine = self._asked + 1
            self._changed.notify_all()
            sent = self._changed.wait_for(lambda: self._answered >= mine, max(0.0, deadline - time.monotonic()))
        return sent and not (self._memory is not None and self._memory.not_kept)

    def stop(self, deadline: float) -> None:
        """Deliver what can be delivered before `deadline`, then end the thread.

        A request that hangs is left to the thread, which ends with it: the host must not wait for a silent receiver.
        """
        self.flush(deadline)
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._transport.close()
        if self._thread is not None:
            self._thread.join(max(_LAST_WORDS, deadline - time.monotonic()))
        elif self._own is not None:
            self._own.close()

    def now(self) -> float:
        """Return monotonic seconds."""
        return time.monotonic()

    def rest(self, seconds: float, *, obeying: bool) -> bool:
        """Wait between two tries; false where the thread is to end. A flush ends it, unless a receiver is obeyed."""
        with self._changed:
            before = self._asked
            self._changed.wait_for(lambda: self._stopping or (not obeying and self._asked != before), seconds)
            return not self._stopping

    def _start(self) -> None:
        with self._changed:
            if self._thread is None and not self._stopping:
                self._thread = own_threads.Thread(self._run, _THREAD + self.name)
                self._thread.start()

    def _run(self) -> None:
        # An instrumented HTTP client must not record the sending of the record, or sending would never end.
        otel_context.attach(otel_context.set_value(_SUPPRESS, "spanwise"))
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(_silence)  # the same one for all; adding it again does nothing
        delivery = Delivery(self._transport, self)
        try:
            while not self._stopping:
                self._round(delivery)
        finally:
            for source in (self._own, self._left_behind):
                if source is not None:
                    source.close()

    def _round(self, delivery: Delivery) -> None:
        """Deliver one batch of this process and one of a dead one; without either, wait."""
        with self._changed:
            asked, self._offered = self._asked, False
        own = self._memory if self._memory is not None else self._open_own()
        went_on = self._step(delivery, own) if own is not None else False
        if went_on is None:
            with self._changed:
                self._answered = asked
                self._changed.notify_all()
        if not (self._take_up(delivery) or went_on):
            with self._changed:
                pause = max(0.0, self._look_due - time.monotonic()) if self._place is not None else None
                self._changed.wait_for(lambda: self._stopping or self._offered or self._asked != asked, pause)

    def _step(self, delivery: Delivery, source: MemorySource | StreamSource) -> bool | None:
        """Deliver the next batch of `source`; none where there is none, false where it stays where it is."""
        most = self._yield()
        try:
            batch = source.batch(most)
        except (OSError, InputError) as error:
            source.problem(str(error))
            source.rewind()
            return False
        if not batch:
            return None
        if delivery.deliver(batch, source):
            return True
        source.rewind()
        return False

    def _yield(self) -> int:
        """Leave the interpreter to a recorder that is behind, and to a burst: the journal keeps what is sent later.

        Returns:
            How many spans to send now; few where neither is over.
        """
        until = time.monotonic() + _LONGEST_YIELD
        while self._is_behind() and not self._stopping:
            if time.monotonic() >= until:
                return _BEHIND
            own_threads.sleep(_YIELD)
        return MOST_SPANS

    def _is_behind(self) -> bool:
        is_awaited = self._asked > self._answered
        return self._backlog() > _BEHIND or (self._pace.is_burst() and not is_awaited)

    def _open_own(self) -> StreamSource | None:
        if self._own is None and self._place is not None:
            folder, stream = self._place
            try:
                held = cursors.open_cursor(folder, self.name, stream)
            except (OSError, InputError):  # the disk is full: tried again before the next batch
                return None
            if held is not None:
                self._own = StreamSource(
                    folder, self.name, held, self._outlet, tally=self._count, counted=self._ledger.position
                )
        return self._own

    def _take_up(self, delivery: Delivery) -> bool:
        """Deliver a batch of a stream whose process is dead; false where there is none."""
        if self._place is None or self._stopping:
            return False
        source = self._left_behind = self._left_behind or self._dead_stream(*self._place)
        if source is None:
            return False
        went_on = self._step(delivery, source)
        if went_on:
            return True
        if not self._stopping:
            if went_on is None:
                source.finish()
            self._finished.add(source.cursor.stream)
            source.close()
            self._left_behind = None
        return False

    def _dead_stream(self, folder: Path, own: str) -> StreamSource | None:
        if time.monotonic() < self._look_due:
            return None
        for stream in cursors.streams(folder, self.name):
            if stream == own or stream in self._finished:
                continue
            try:
                held = cursors.open_cursor(folder, self.name, stream, make=False)
            except (OSError, InputError):
                continue
            if held is not None and not held.state.done:
                return StreamSource(folder, self.name, held, self._outlet)
            if held is not None:
                self._finished.add(stream)
                held.close()
        self._look_due = time.monotonic() + _LOOK_AROUND
        return None

    def _count(self, *, delivered: int, set_aside: int, filtered: int, expired: int) -> None:
        self._ledger.deliver(self.name, delivered)
        self._ledger.set_aside(self.name, set_aside)
        self._ledger.filter(self.name, filtered)
        self._ledger.expire(self.name, expired)
