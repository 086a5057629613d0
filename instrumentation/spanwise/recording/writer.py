"""Measuring, redacting and writing what waits, a batch at a time, on whichever thread has the occasion.

Mostly that is the recorder's thread. A thread that ends spans faster than they can be written, or wants them written
before it goes on, does it itself; a lock keeps them apart. What cannot be written is counted with its reason.
"""

from __future__ import annotations

import threading
from collections import deque
from contextlib import contextmanager, nullcontext
from itertools import compress
from operator import not_
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from spanwise.content.rebuilt import DroppedError
from spanwise.conventions import WAIT_KIND
from spanwise.journal.format import END, START, WAIT
from spanwise.otel.span import OwnSpan
from spanwise.process import own_threads
from spanwise.recording.run_attributes import RunEnds

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from pathlib import Path

    from opentelemetry.sdk.trace import ReadableSpan

    from spanwise.content.filter import ContentFilter
    from spanwise.journal.process_ledger import Ledger
    from spanwise.journal.stream import Stream
    from spanwise.otlp.own_json import OwnJson
    from spanwise.recording.buffer import Buffer
    from spanwise.recording.metrics import SpanMetrics

    Spans: TypeAlias = tuple[ReadableSpan, ...]

BATCH: Final = 256
"""Spans of a record."""
_MOST_STARTS: Final = 100_000


class Destination(Protocol):
    """What is told of written spans; none of its methods raises or waits beyond a deadline (monotonic seconds)."""

    @property
    def name(self) -> str:
        """What the ledger calls it."""
        ...

    def begin(self, folder: Path, stream: str) -> None:
        """Learn, before the first record is written, which stream of a journal is meant for it."""

    def offer(self, spans: Spans) -> None:
        """Learn that spans were written, or take them where there is no journal."""

    def flush(self, deadline: float) -> bool:
        """Deliver what was offered; false where some is left."""
        ...

    def stop(self, deadline: float) -> None:
        """Deliver what can be delivered and end."""


class BatchWriter:
    """Takes spans out of the buffer and writes them to the stream."""

    def __init__(
        self,
        buffer: Buffer,
        ledger: Ledger,
        *,
        metrics: SpanMetrics | None = None,
        stream: Stream | None = None,
        destinations: Sequence[Destination] = (),
        guard: ContentFilter | None = None,
    ) -> None:
        self._buffer = buffer
        self._ledger = ledger
        self._metrics = metrics
        self._stream = stream
        self._destinations = destinations
        self._guard = guard
        self.began: deque[ReadableSpan] = deque(maxlen=_MOST_STARTS if stream is not None else 0)
        """Spans whose start is to be seen before they end."""
        self._shown: set[int] = set()
        """Those whose start is on disk and of which a hook has still to decide."""
        self.run_ends = RunEnds()
        """What is worked out of calls and runs; its `failures` say why something was not."""
        self.unmeasured = 0
        """How many spans the metrics could not take."""
        self.write_error: OSError | None = None
        """Why the disk last refused spans."""
        self._own: OwnJson | None = None
        self._texts: dict[ReadableSpan, bytes] = {}
        """Those spans of the batch whose JSON is known: seeing whether all of it may be recorded made it."""
        self._begun = ""
        self._measuring = own_threads.RLock()
        self._lock = own_threads.RLock()
        self._owner = 0
        self._later: Callable[[], object] | None = None

    @property
    def is_busy_here(self) -> bool:
        """Whether this very thread is writing: a signal or a garbage collection has interrupted it."""
        return self._owner == threading.get_ident()

    def when_done(self, act: Callable[[], object]) -> None:
        """Have `act` called by the thread that is writing, as soon as it has written."""
        self._later = act

    @contextmanager
    def _turn(self) -> Generator[None]:
        with self._lock:
            self._owner = threading.get_ident()
            try:
                yield
            finally:
                self._owner = 0
        if self._later is not None:
            act, self._later = self._later, None
            act()

    def forget(self) -> None:
        """Let go of everything that waits, without a lock: in a forked child nobody may hold one."""
        self._buffer.ended.clear()
        self._buffer.measured.clear()
        self.began.clear()
        self._shown.clear()
        self.run_ends = RunEnds()

    def open(self) -> None:
        """Open the stream's file of counters; where that fails, they stay in memory for now."""
        if self._stream is None or self.is_busy_here:
            return
        with self._turn():
            try:
                self._stream.open()
            except OSError as error:
                self.write_error = error

    def measure(self, most: int | None = None) -> None:
        """Observe the metrics of spans that have ended: of `most`, or of all."""
        metrics = self._metrics
        with self._measuring, metrics.lock if metrics is not None else nullcontext():
            self._measure(metrics.observe if metrics is not None else None, most)
            self._buffer.moved()

    def _next_batch(self) -> Spans:
        with self._measuring:
            self.measure(BATCH)
            batch = self._buffer.take(BATCH)
            self._buffer.moved()
        return batch

    def _measure(self, observe: Callable[[ReadableSpan], None] | None, most: int | None) -> None:
        ended, measured = self._buffer.ended, self._buffer.measured
        while ended and (most is None or len(measured) < most):
            span = ended[0]
            self.run_ends.ended(span)
            if observe is not None:
                try:
                    observe(span)
                except Exception:  # noqa: BLE001 - attributes of foreign spans are anything; the next is measured
                    self.unmeasured += 1
            if type(span) is OwnSpan and span.measured_only:
                self._buffer.release((span,))
                self._ledger.drop("sampled", 1)
            else:
                measured.append(span)
            ended.popleft()

    def write_batch(self) -> int:
        """Write at most `BATCH` of the waiting spans and return how many were taken; 0 from inside a writing."""
        if self.is_busy_here:
            return 0
        with self._turn():
            batch = self._next_batch()
            if batch:
                written = self._journaled(self._admitted(batch))
                self._texts.clear()
                if self._shown:
                    self._shown.difference_update(map(_id_of, batch))
                self._buffer.release(batch)
                self._buffer.moved()
                if written:
                    for destination in self._destinations:
                        destination.offer(written)
            return len(batch)

    def write_starts(self) -> None:
        """Write the starts of spans that are still open."""
        if not self.began or self._stream is None or self.is_busy_here:
            return
        with self._turn():
            while batch := self._still_open():
                try:
                    self._append(START, batch)
                except OSError as error:  # a start that is missing shows a run later; nothing is lost
                    self.write_error = error
                except Exception:  # noqa: BLE001, S112 - likewise, whatever a foreign span does to the encoder
                    continue

    def close_segment_if_asked(self) -> None:
        """End the stream's segment where a purge asks for it."""
        if self._stream is None or self.is_busy_here:
            return
        with self._turn():
            try:
                self._stream.close_segment_if_asked()
            except OSError as error:  # who asked waits no longer than it wants to
                self.write_error = error

    def _still_open(self) -> Spans:
        """Take starts to write, as they may be recorded; none where no more are left."""
        batch: list[ReadableSpan] = []
        while self.began and len(batch) < BATCH:
            span = self.began.popleft()
            is_wanted = span.end_time is None and not (isinstance(span, OwnSpan) and span.measured_only)
            if is_wanted and self._guard is not None:
                batch.append(self._guard.begun(span))
                if self._guard.hooked:
                    self._shown.add(_id_of(span))
        return tuple(batch)

    def _withdraw(self, span: ReadableSpan) -> None:
        """Where a dropped span was shown when it began, have its end known, so that it does not look interrupted."""
        if self._guard is None or _id_of(span) not in self._shown:
            return
        try:
            self._append(START, (self._guard.begun(span, span.end_time),))
        except OSError as error:
            self.write_error = error
        except Exception:  # noqa: BLE001 - whatever a foreign span does to the encoder, the others of its batch are written
            return

    def _admitted(self, batch: Spans) -> Spans:
        """Return what of a batch may be recorded, as it may be recorded."""
        if self._guard is None:
            return batch
        admitted: list[ReadableSpan] = []
        text_of, admit = self._text_of(self._guard), self._guard.admit
        for span in batch:
            try:
                if text_of is not None and type(span) is OwnSpan and (text := text_of(span)) is not None:
                    self._texts[span] = text
                    admitted.append(span)
                else:
                    admitted.append(admit(span))
            except DroppedError as dropped:
                self._ledger.drop(dropped.reason, 1)
                self._withdraw(span)
            except Exception:  # noqa: BLE001 - a foreign span that cannot be looked through is not written unseen
                self._ledger.drop("invalid", 1)
        return tuple(admitted)

    def _text_of(self, guard: ContentFilter) -> Callable[[OwnSpan], bytes | None] | None:
        """Return what encodes a span that may be written as it is; none where nothing is, or a hook decides."""
        if self._stream is None or guard.hooked:
            return None
        if self._own is None:
            from spanwise.otlp import json_encoder as otlp_json  # noqa: PLC0415 - loads only where it is needed

            self._own = otlp_json.own_json(guard)
        return self._own.text

    def _journaled(self, batch: Spans) -> Spans:
        """Write a batch, what was waited for before those who waited; returns what of it was written."""
        # In line, as a call for each span costs twice that.
        kinds = [
            WAIT_KIND in (span.own_attributes if type(span) is OwnSpan else span.attributes or ()) for span in batch
        ]
        if not any(kinds):
            return self._written(END, batch)
        waits, spans = tuple(compress(batch, kinds)), tuple(compress(batch, map(not_, kinds)))
        return self._written(WAIT, waits) + self._written(END, spans)

    def _written(self, kind: int, batch: Spans) -> Spans:
        """Write one record; returns what of it was written."""
        if not batch:
            return ()
        try:
            if self._stream is None:
                self._ledger.journal(len(batch))
            else:
                self._append(kind, batch)
        except OSError as error:
            self.write_error = error
            self._ledger.drop("disk_full", len(batch))
            return ()
        except Exception:  # noqa: BLE001 - whatever a foreign span does to the encoder, this thread saves the others
            if len(batch) > 1:
                return tuple(span for one in batch for span in self._written(kind, (one,)))
            self._ledger.drop("invalid", 1)
            return ()
        return batch

    def _append(self, kind: int, batch: Spans) -> None:
        from spanwise.otlp import json_encoder as otlp_json  # noqa: PLC0415 - loads only where it is needed

        assert self._stream is not None
        payload = otlp_json.encode(batch, self._texts)
        self._stream.open()
        if self._begun != self._stream.name:
            self._begun = self._stream.name
            for destination in self._destinations:
                destination.begin(self._stream.folder, self._stream.name)
        self._stream.append(kind, payload, len(batch))


def _id_of(span: ReadableSpan) -> int:
    return span.context.span_id if span.context is not None else 0
