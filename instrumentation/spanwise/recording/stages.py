"""The way of a span from its end to its destinations, as six stages that a batch passes one after the other.

| stage   | does                                                        | loses a span as             |
| ------- | ----------------------------------------------------------- | --------------------------- |
| enrich  | works out the cost of a call, path and budget of a run      | nothing                     |
| measure | counts it in the metrics                                    | `sampled`, when unwanted    |
| admit   | takes out what may not be recorded; the hook decides        | `hook`, `hook_failed`, `invalid` |
| encode  | writes it as OTLP/JSON, waits before those who waited       | `invalid`                   |
| append  | adds the records to the journal                             | `disk_full`                 |
| deliver | tells the destinations, whose own threads send              | nothing                     |

Each stage takes a `Batch` and returns one. The recorder's thread runs them. Where there is none (a forked child that
has not begun a span, an interpreter that is ending), whoever flushes does, and a lock keeps the two apart.
"""

from __future__ import annotations

import threading
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeAlias

from spanwise.content.rebuilt import DroppedError
from spanwise.conventions import WAIT_KIND
from spanwise.journal.format import END, START, WAIT
from spanwise.otel.span import OwnSpan
from spanwise.process.contained import contained

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from pathlib import Path

    from opentelemetry.sdk.trace import ReadableSpan

    from spanwise.content.filter import ContentFilter
    from spanwise.journal.process_ledger import Ledger
    from spanwise.journal.stream import Stream
    from spanwise.recording.buffer import Buffer
    from spanwise.recording.metrics import SpanMetrics
    from spanwise.recording.run_attributes import RunAttributes

    Spans: TypeAlias = tuple[ReadableSpan, ...]

BATCH: Final = 256
"""Spans that pass the stages together."""
_MOST_STARTS: Final = 100_000


class Record(NamedTuple):
    """Spans as the journal gets them."""

    kind: int
    payload: bytes
    spans: Spans


class Batch(NamedTuple):
    """What one stage hands to the next."""

    spans: Spans
    records: tuple[Record, ...] = ()
    """The same spans encoded; empty before `encode`, and where there is no journal."""


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


class Stages:
    """Takes ended spans out of the buffer and passes them through the stages.

    Args:
        buffer: where ended spans wait.
        ledger: what became of each of them.
        run_attributes: what `enrich` works out.
        metrics: what `measure` counts in.
        content_filter: what `admit` asks; without one, everything may be recorded.
        stream: what `append` writes to; without one, spans go to the destinations only.
        destinations: what `deliver` tells.
    """

    def __init__(
        self,
        buffer: Buffer,
        ledger: Ledger,
        *,
        run_attributes: RunAttributes,
        metrics: SpanMetrics | None = None,
        content_filter: ContentFilter | None = None,
        stream: Stream | None = None,
        destinations: Sequence[Destination] = (),
    ) -> None:
        self._buffer = buffer
        self._ledger = ledger
        self._metrics = metrics
        self._filter = content_filter
        self._stream = stream
        self._destinations = destinations
        self.run_attributes = run_attributes
        self.began: deque[ReadableSpan] = deque(maxlen=_MOST_STARTS if stream is not None else 0)
        """Spans whose start is to be seen before they end."""
        self.write_error: OSError | None = None
        """Why the disk last refused spans."""
        self._shown: set[int] = set()
        """Those whose start is on disk and of which a hook has still to decide."""
        self._begun = ""
        self._lock = threading.RLock()
        self._owner = 0
        self._later: Callable[[], object] | None = None

    def pass_batch(self, *, in_host: bool) -> int:
        """Pass on at most `BATCH` of the waiting spans; returns how many were taken, 0 from inside a passing.

        Args:
            in_host: whether this is a thread of the host, on which path and budget are never worked out.
        """
        if self.is_busy_here:
            return 0
        with self._turn():
            taken = self._buffer.take(BATCH)
            self._ledger.take(len(taken))
            if taken:
                batch = self.enrich(Batch(taken), in_host=in_host)
                batch = self.measure(batch)
                batch = self.admit(batch)
                batch = self.encode(batch)
                batch = self.append(batch)
                self.deliver(batch)
                if self._shown:
                    self._shown.difference_update(map(_id_of, taken))
                self._buffer.release(taken)
            return len(taken)

    def enrich(self, batch: Batch, *, in_host: bool) -> Batch:
        """Work out the cost of calls, and path and budget of runs that have ended."""
        enriched = self.run_attributes.enriched
        return Batch(
            tuple([enriched(span, in_host=in_host) if type(span) is OwnSpan else span for span in batch.spans])
        )

    def measure(self, batch: Batch) -> Batch:
        """Count spans in the metrics; the sampler does not want some of them further on."""
        if self._metrics is not None:
            with self._metrics.lock:
                for span in batch.spans:
                    with _MEASURING:
                        self._metrics.observe(span)
        wanted = tuple([span for span in batch.spans if not (type(span) is OwnSpan and span.measured_only)])
        if len(wanted) < len(batch.spans):
            self._ledger.drop("sampled", len(batch.spans) - len(wanted))
        return Batch(wanted)

    def admit(self, batch: Batch) -> Batch:
        """Take out what may not be recorded, and drop the spans that the hook drops."""
        if self._filter is None:
            return batch
        admitted: list[ReadableSpan] = []
        for span in batch.spans:
            reason = "invalid"  # a span that cannot be looked through is not written unseen
            with _ADMITTING:
                try:
                    admitted.append(self._filter.admit(span))
                    continue
                except DroppedError as dropped:
                    reason = dropped.reason
            self._ledger.drop(reason, 1)
            self._withdraw(span)
        return Batch(tuple(admitted))

    def encode(self, batch: Batch) -> Batch:
        """Write spans as OTLP/JSON: one record of the waits, one of the others."""
        if self._stream is None:
            return batch
        # In line, as a call for each span costs twice that.
        kinds = [
            WAIT_KIND in (span.own_attributes if type(span) is OwnSpan else span.attributes or ())
            for span in batch.spans
        ]
        if not any(kinds):
            return Batch(batch.spans, self._records(END, batch.spans))
        waits = tuple(span for span, is_wait in zip(batch.spans, kinds, strict=True) if is_wait)
        others = tuple(span for span, is_wait in zip(batch.spans, kinds, strict=True) if not is_wait)
        return Batch(batch.spans, self._records(WAIT, waits) + self._records(END, others))

    def append(self, batch: Batch) -> Batch:
        """Add records to the journal; returns the spans that are in it now."""
        if self._stream is None:
            self._ledger.journal(len(batch.spans))
            return batch
        written: list[Record] = []
        for record in batch.records:
            try:
                self._append(record)
                written.append(record)
            except OSError as error:
                self.write_error = error
                self._ledger.drop("disk_full", len(record.spans))
        return Batch(tuple([span for record in written for span in record.spans]), tuple(written))

    def deliver(self, batch: Batch) -> None:
        """Tell the destinations what was written."""
        if batch.spans:
            for destination in self._destinations:
                destination.offer(batch.spans)

    def pass_starts(self) -> None:
        """Write the starts of spans that are still open."""
        if not self.began or self._stream is None or self.is_busy_here:
            return
        with self._turn():
            while spans := self._still_open():
                self._append_starts(spans)

    def open(self) -> None:
        """Open the stream's file of counters; where that fails, they stay in memory for now."""
        if self._stream is not None and not self.is_busy_here:
            with self._turn(), self._noting_refusals():
                self._stream.open()

    def close_segment_if_asked(self) -> None:
        """End the stream's segment where a purge asks for it; who asked waits no longer than it wants to."""
        if self._stream is not None and not self.is_busy_here:
            with self._turn(), self._noting_refusals():
                self._stream.close_segment_if_asked()

    def forget(self) -> None:
        """Let go of everything that waits, without a lock: in a forked child nobody may hold one."""
        self._buffer.ended.clear()
        self.began.clear()
        self._shown.clear()
        self.run_attributes.forget()

    @property
    def is_busy_here(self) -> bool:
        """Whether this very thread is in a stage: a signal or a garbage collection has interrupted it."""
        return self._owner == threading.get_ident()

    def when_done(self, act: Callable[[], object]) -> None:
        """Have `act` called by the thread that is in a stage, as soon as it is done."""
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

    @contextmanager
    def _noting_refusals(self) -> Generator[None]:
        try:
            yield
        except OSError as error:
            self.write_error = error

    def _records(self, kind: int, spans: Spans) -> tuple[Record, ...]:
        """Return the record of `spans`; where one of them cannot be encoded, the others have records of their own."""
        if not spans:
            return ()
        with _ENCODING:
            return (Record(kind, self._encoded(spans), spans),)
        if len(spans) > 1:
            return tuple(record for one in spans for record in self._records(kind, (one,)))
        self._ledger.drop("invalid", 1)
        return ()

    @staticmethod
    def _encoded(spans: Spans) -> bytes:
        from spanwise.otlp import json_encoder  # noqa: PLC0415 - loaded by `build` where something is written

        return json_encoder.encode(spans)

    def _append(self, record: Record) -> None:
        assert self._stream is not None
        self._stream.open()
        if self._begun != self._stream.name:
            self._begun = self._stream.name
            for destination in self._destinations:
                destination.begin(self._stream.folder, self._stream.name)
        self._stream.append(record.kind, record.payload, len(record.spans))

    def _append_starts(self, spans: Spans) -> None:
        """Write starts; one that is missing shows a run later, and nothing is lost."""
        with _ENCODING, self._noting_refusals():
            self._append(Record(START, self._encoded(spans), spans))

    def _still_open(self) -> Spans:
        """Take starts to write, as they may be recorded; none where no more are left."""
        spans: list[ReadableSpan] = []
        while self.began and len(spans) < BATCH:
            span = self.began.popleft()
            is_wanted = span.end_time is None and not (isinstance(span, OwnSpan) and span.measured_only)
            if is_wanted and self._filter is not None:
                with _ADMITTING:
                    spans.append(self._filter.begun(span))
                    if self._filter.hooked:
                        self._shown.add(_id_of(span))
        return tuple(spans)

    def _withdraw(self, span: ReadableSpan) -> None:
        """Where a dropped span was shown when it began, have its end known, so that it does not look interrupted."""
        if self._filter is not None and _id_of(span) in self._shown:
            with _ADMITTING:
                self._append_starts((self._filter.begun(span, span.end_time),))


_MEASURING: Final = contained("measuring a span")
_ADMITTING: Final = contained("looking through a span")
_ENCODING: Final = contained("encoding a span")


def _id_of(span: ReadableSpan) -> int:
    return span.context.span_id if span.context is not None else 0
