"""The span processor through which everything passes: metrics, journal and destinations hang off it.

Ending a span only appends to a queue; metrics, encoding and disk belong to one background thread, the network to
another. Nothing here raises into the host: what cannot be recorded is counted in the ledger, with its reason.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final, TypeAlias

from opentelemetry.sdk.trace import SpanProcessor

from spanwise import scope
from spanwise.content.rebuilt import DroppedError
from spanwise.journal.ledger import Ledger
from spanwise.own_span import OwnSpan
from spanwise.run_end import RunEnds

if TYPE_CHECKING:
    from pathlib import Path

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span

    from spanwise.content.guard import Guard
    from spanwise.destinations.otlp import Sender
    from spanwise.journal.ledger import Counts
    from spanwise.journal.writer import JournalWriter
    from spanwise.metrics import SpanMetrics

    Spans: TypeAlias = tuple[ReadableSpan, ...]

_INTERVAL: Final = 0.2
_SAVE_INTERVAL: Final = 1.0  # replacing a file costs more than writing 500 spans
_LIMIT: Final = 200_000
_BATCH: Final = 512  # a line of the journal and a request: below the 4 MiB that a gRPC receiver takes


class Recorder(SpanProcessor):
    """Counts, names, measures, writes and sends the spans of a tracer provider."""

    def __init__(
        self,
        *,
        metrics: SpanMetrics | None = None,
        journal: JournalWriter | None = None,
        ledger: Ledger | None = None,
        sender: Sender | None = None,
        guard: Guard | None = None,
    ) -> None:
        self._guard = guard
        self.ledger = ledger or Ledger()
        self.write_error: OSError | None = None
        """Why the journal last refused spans; none if it never did."""
        self.metrics = metrics
        self._journal = journal
        self._sender = sender
        self.run_ends = RunEnds()
        """What is worked out of calls and runs; its `failures` say why something was not."""
        self.unmeasured = 0
        """How many spans the metrics could not take."""
        self._ended: deque[ReadableSpan] = deque()
        self._measured: deque[ReadableSpan] = deque()
        self._measuring = threading.RLock()
        self._closed = False
        self._open: set[int] = set()
        self._wake = threading.Condition()
        self._asked = 0
        self._answered = 0
        self._stopping = False
        self._saved: Counts | None = None
        self._save_due = 0.0
        self._thread: threading.Thread | None = None
        if metrics is not None:
            metrics.before_scrape = self.measure

    @property
    def journal_path(self) -> Path | None:
        """The file that this process writes its spans to."""
        return self._journal.path if self._journal is not None else None

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Count a span of another library and give it the names of its workflow and agent."""
        if isinstance(span, OwnSpan):
            return  # its maker counted it
        self.ledger.start()
        self._open.add(span.get_span_context().span_id)
        inherited = scope.current(parent_context).names
        known = span.attributes or {}
        for name, value in inherited.items():
            if name not in known:
                span.set_attribute(name, value if self._guard is None else self._guard.text(value))

    def on_ending(self, span: Span) -> None:
        """Take secrets out of a span of another library."""
        if self._guard is not None and not isinstance(span, OwnSpan):
            self._guard.redact_ended(span)

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a span of another library."""
        context = span.context
        if isinstance(span, OwnSpan) or context is None or context.span_id not in self._open:
            return  # its maker hands it over itself, or it was started before this recorder was attached
        self._open.discard(context.span_id)
        self.take(span)

    def take(self, span: ReadableSpan) -> None:
        """Queue an ended span; one that was open while recording moved on stays open in the ledger."""
        if self._closed:
            return
        self.ledger.ends.tick()
        if len(self._ended) + len(self._measured) >= _LIMIT:
            self.ledger.drop("buffer_full", 1)
            return
        self._ended.append(span)
        if self._thread is None:
            self._start()

    def abandon(self) -> None:
        """Take nothing any more and write nothing: for a forked child, whose threads stayed with the parent."""
        self._closed = True
        self._ended.clear()
        self._measured.clear()
        self.run_ends = RunEnds()

    def measure(self) -> None:
        """Observe the metrics of every span that has ended; a scrape calls it, too, so that it sees them all."""
        observe = self.metrics.observe if self.metrics is not None else None
        with self._measuring:
            while self._ended:
                span = self._ended[0]
                self.run_ends.ended(span)
                if observe is not None:
                    try:
                        observe(span)
                    except Exception:  # noqa: BLE001 - attributes of foreign spans are anything; the next is measured
                        self.unmeasured += 1
                if type(span) is OwnSpan and span.measured_only:
                    self.ledger.drop("sampled", 1)
                else:
                    self._measured.append(span)
                self._ended.popleft()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Wait until every ended span is written, and delivered where a destination is set; false on timeout."""
        deadline = time.monotonic() + timeout_millis / 1000
        written = self._flush_journal(deadline)
        return written and (self._sender is None or self._sender.flush(deadline))

    def shutdown(self, timeout: float = 5.0) -> None:
        """Write and send what is left within `timeout` seconds, then end the threads."""
        self._closed = True
        deadline = time.monotonic() + timeout
        self._flush_journal(deadline)
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        if self._thread is not None:
            self._thread.join(max(0.1, deadline - time.monotonic()))
        if self._sender is not None:
            self._sender.stop(deadline)
        if self._journal is not None:
            self._save_ledger(self._journal)
            self._journal.close()

    def _start(self) -> None:
        with self._wake:
            if self._thread is None and not self._stopping:
                self._thread = threading.Thread(target=self._run, name="spanwise-recorder", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            self._write_out()
            with self._wake:
                self._wake.notify_all()
                if self._stopping and not self._waiting():
                    return
                self._wake.wait_for(self._is_wanted, _INTERVAL)

    def _is_wanted(self) -> bool:
        return self._stopping or self._asked > self._answered

    def _flush_journal(self, deadline: float) -> bool:
        with self._wake:
            if self._thread is None:
                return not self._waiting()
            self._asked = mine = self._asked + 1
            self._wake.notify_all()
            return self._wake.wait_for(lambda: self._answered >= mine, max(0.0, deadline - time.monotonic()))

    def _waiting(self) -> int:
        return len(self._ended) + len(self._measured)

    def _write_out(self) -> None:
        """Write what has ended by now, and answer for it to those who asked before."""
        asked, left = self._asked, self._waiting()
        while left > 0:
            self.measure()
            batch = tuple(self._measured.popleft() for _ in range(min(_BATCH, len(self._measured))))
            written = self._journaled(self._admitted(batch)) if batch else ()
            if written and self._sender is not None:
                self._sender.offer(written)
            left = left - len(batch) if batch else 0
        if self._journal is not None and (self._is_wanted() or time.monotonic() >= self._save_due):
            self._save_ledger(self._journal)
            self._save_due = time.monotonic() + _SAVE_INTERVAL
        self._answered = asked

    def _admitted(self, batch: Spans) -> Spans:
        """Return what of a batch may be recorded, as it may be recorded."""
        if self._guard is None:
            return batch
        admitted: list[ReadableSpan] = []
        for span in batch:
            try:
                admitted.append(self._guard.admit(span))
            except DroppedError as dropped:
                self.ledger.drop(dropped.reason, 1)
            except Exception:  # noqa: BLE001 - a foreign span that cannot be looked through is not written unseen
                self.ledger.drop("invalid", 1)
        return tuple(admitted)

    def _journaled(self, batch: Spans) -> Spans:
        """Write a batch; returns what of it was written."""
        try:
            if self._journal is not None and batch:
                self._journal.write(batch)
        except OSError as error:
            self.write_error = error
            self.ledger.drop("disk_full", len(batch))
            return ()
        except Exception:  # noqa: BLE001 - whatever a foreign span does to the encoder, this thread saves the others
            if len(batch) > 1:
                return tuple(span for one in batch for span in self._journaled((one,)))
            self.ledger.drop("invalid", 1)
            return ()
        self.ledger.journal(len(batch))
        return batch

    def _save_ledger(self, journal: JournalWriter) -> None:
        counts = self.ledger.counts()
        if counts == self._saved:
            return
        try:
            journal.save(self.ledger)
        except OSError as error:  # counts stay in memory and are written with the next batch that the disk takes
            self.write_error = self.write_error or error
        else:
            self._saved = counts
