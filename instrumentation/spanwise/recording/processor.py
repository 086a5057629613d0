"""The span processor through which everything passes: metrics, journal and destinations hang off it.

Ending a span only appends to a queue; the stages of its way belong to one thread of ours, the network to others. Three
things make the thread that ends a span wait for ours: the queue is full or older than the interval (unless an event
loop runs in it), `sync`, and the end of an outermost span. Nothing here raises into the host: what cannot be recorded
is counted.
"""

from __future__ import annotations

import time
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.trace import SpanKind

from spanwise import conventions as c
from spanwise.journal.counts import STARTED
from spanwise.journal.process_ledger import Ledger
from spanwise.otel.span import OwnSpan
from spanwise.process import loop_end, own_threads
from spanwise.recording import model_calls, scope
from spanwise.recording.buffer import ORDINARY_BITS, Buffer
from spanwise.recording.lazy_span import LazySpan, in_request
from spanwise.recording.run_attributes import RunAttributes
from spanwise.recording.stages import BATCH, Stages

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span

    from spanwise.content.filter import ContentFilter
    from spanwise.journal.stream import Stream
    from spanwise.recording.metrics import SpanMetrics
    from spanwise.recording.scope import Usage
    from spanwise.recording.stages import Destination

_Ticket: TypeAlias = Any
INTERVAL: Final = 0.2
BUFFER: Final = 64 * 1024 * 1024
FIRST_WAITS: Final = 100
WAIT_NS: Final = 100_000_000
_WAIT_SHARE: Final = 10
_LONGEST_WAIT: Final = 1.0
_LONGEST_SYNC: Final = 5.0
_LONGEST_OPENING: Final = 0.1
_WAIT_IN_LOOP: Final = 0.01
_SHARE_ASLEEP: Final = 0.5
"""Of the interval; the rest is for writing, so that what ended just after a look is on disk in time."""


class RecordingProcessor(SpanProcessor):
    """Counts, names, measures, writes and sends the spans of a tracer provider.

    Args:
        metrics: observed for each ended span.
        stream: where spans are written; none: nowhere.
        ledger: of a recorder without a stream.
        destinations: where spans are sent.
        content_filter: what of a span may be recorded.
        sync: write each span before its `end` returns.
        interval: seconds that an ended span may wait to be written.
        buffer: what may wait; by default 64 MiB.
        run_attributes: what is worked out of calls and runs.
        tidy: called on the recorder's thread when nothing waits, with what says whether something does.
    """

    def __init__(
        self,
        *,
        metrics: SpanMetrics | None = None,
        stream: Stream | None = None,
        ledger: Ledger | None = None,
        destinations: Sequence[Destination] = (),
        content_filter: ContentFilter | None = None,
        sync: bool = False,
        interval: float = INTERVAL,
        buffer: Buffer | None = None,
        run_attributes: RunAttributes | None = None,
        tidy: Callable[[Callable[[], bool]], object] | None = None,
    ) -> None:
        self.ledger = stream.ledger if stream is not None else ledger or Ledger()
        self.metrics = metrics
        self._filter = content_filter
        self._stream = stream
        self._destinations = destinations
        self._sync = sync
        self._pause = interval * _SHARE_ASLEEP
        self._tidy = tidy
        self._buffer = buffer if buffer is not None else Buffer(BUFFER, pressed=sync)
        self._stages = Stages(
            self._buffer, self.ledger, run_attributes=run_attributes or RunAttributes(), metrics=metrics,
            content_filter=content_filter, stream=stream, destinations=destinations,
        )  # fmt: skip
        self.ledger.waiting = self._buffer.__len__
        self.began: Callable[[ReadableSpan], object] = self._stages.began.append
        """Have the start of a span written, so that it is seen while it is open."""
        self._closed = False
        self._open: dict[int, Usage | None] = {}
        """Spans of other libraries that are open; for a model's call, where its tokens are added."""
        self._asks: SimpleQueue[_Ticket] = SimpleQueue()
        """Who waits for our thread; no lock is in it that an interrupted thread of the host could go on holding."""
        self._stopping = False
        self._thread: Any = None
        self._is_run = own_threads.Lock()
        """Held by our thread as long as it runs, so that there is one."""
        self._free_waits = FIRST_WAITS
        self._next_wait = 0
        if stream is not None:
            self.ledger.opening(self._first_started)
        if metrics is not None:
            metrics.before_scrape = self.measure
            metrics.ledger = self.ledger.counts

    @property
    def journal_path(self) -> Path | None:
        """The file that this process writes its spans to."""
        return self._stream.segments.path if self._stream is not None else None

    @property
    def write_error(self) -> OSError | None:
        """Why the journal last refused spans; none if it never did."""
        return self._stages.write_error

    def backlog(self) -> int:
        """Return how many ended spans wait to be written."""
        return len(self._buffer)

    def on_starting(self, span: Span) -> None:
        """Take secrets out of what a span of another library starts with."""
        if self._filter is not None and not isinstance(span, OwnSpan):
            self._filter.redact_started(span)

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Count a span of another library and give it the names of its workflow and agent."""
        if isinstance(span, OwnSpan) or self._closed:
            return  # its tracer counted it
        above = trace.get_current_span(parent_context)
        if isinstance(above, LazySpan):
            above.adopt(span)
        elif span.kind is SpanKind.SERVER and (request := in_request.get()) is not None:
            request.was_left = True  # the framework records the request itself, in a trace of its own
        self.ledger.slots[STARTED] += 1
        enclosing, known = scope.current(parent_context), span.attributes or {}
        is_call = known.get(c.OPERATION_NAME) in model_calls.OPERATIONS and not model_calls.is_one(above)
        self._open[span.get_span_context().span_id] = enclosing.usage if is_call else None
        inherited = enclosing.names
        for name, value in inherited.items():
            if name not in known:
                span.set_attribute(name, value if self._filter is None else self._filter.text(value))
        if span.parent is not None and span.parent.is_remote:
            self.began(span)

    def on_ending(self, span: Span) -> None:
        """Take secrets out of a span of another library as it ends."""
        if self._filter is not None and not isinstance(span, OwnSpan):
            self._filter.redact_ended(span)

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a span of another library."""
        context = span.context
        if isinstance(span, OwnSpan) or context is None or context.span_id not in self._open:
            return  # its tracer hands it over, or it was started before this processor was attached
        if (usage := self._open.pop(context.span_id)) is not None:
            usage.add(*model_calls.tokens_of(span))
        self.take(span)

    def take(self, span: Any) -> None:
        """Queue an ended span; one that was open while recording moved on stays open in the ledger."""
        try:
            weight: int = span.weight
        except AttributeError:
            self._take_foreign(span)
            return
        buffer = self._buffer
        if len(buffer.ended) >= buffer.room:
            self._crowded(span)
        else:
            buffer.ended.append(span)  # one step: an interrupt comes before it or after
        if weight:
            # Each line is one step, as no call is in it; `room` is reckoned anew by whoever takes spans out.
            buffer.heavy += weight
            buffer.room -= weight >> ORDINARY_BITS
        # The property costs the hot path a tenth of a microsecond.
        if not span.parent_id:
            if span._end_time >= self._next_wait:  # noqa: SLF001
                self._outermost_ended(span._end_time)  # noqa: SLF001
        elif not span.plain and span.foreign_parent is not None and span.foreign_parent.is_remote:
            self._outermost_ended(span.end_time)

    def _take_foreign(self, span: ReadableSpan) -> None:
        self._buffer.hold_foreign(span)
        if len(self._buffer.ended) >= self._buffer.room:
            self._crowded(span)
        else:
            self._buffer.ended.append(span)
        if span.parent is None or span.parent.is_remote:
            self._outermost_ended(span.end_time or 0)

    def _first_started(self) -> None:
        self._start()
        self._buffer.open()
        self.flush_journal(_LONGEST_OPENING)

    def _crowded(self, span: ReadableSpan) -> None:
        """Queue a span where there is no room to just append it: the first one, `sync`, full, behind, closed.

        A thread of the host writes nothing itself: it waits for ours, so that an interrupt finds no batch half written.
        """
        if self._closed:
            return
        if self._thread is None:
            self._start()
            self._buffer.open()
        may_wait = loop_end.running() is None and not self._stages.is_busy_here
        if self._buffer.is_full and may_wait:
            self.flush_journal()
        if self._buffer.is_full:
            self._buffer.release((span,))
            self.ledger.take(1)
            self.ledger.drop("buffer_full", 1)
            return
        self._buffer.ended.append(span)
        if self._sync:
            self.flush_journal(_LONGEST_SYNC)
        elif may_wait and self._buffer.room == 0 and len(self._buffer) >= BATCH:
            self.flush_journal()

    def _outermost_ended(self, now_ns: int) -> None:
        """See to it that a process which ends without a word (`os._exit`) has its last run on disk.

        The thread waits for the write, if no event loop runs in it: the first hundred times always; then not within
        0.1 s, or ten times what it took, of the last time.
        """
        if self._stream is None or self._closed or self._sync or self._stages.is_busy_here:
            return
        if self._free_waits:
            self._free_waits -= 1
        elif now_ns < self._next_wait:
            return
        took, written = -time.monotonic_ns(), True
        if (loop := loop_end.running()) is None:
            written = self._flush_journal(time.monotonic() + _LONGEST_WAIT)
        else:
            loop_end.call(loop, self.flush_journal)
            self._ask()
        took += time.monotonic_ns()
        if not written:
            self._free_waits = 0
        if not self._free_waits:
            self._next_wait = now_ns + took + max(WAIT_NS, _WAIT_SHARE * took)

    def abandon(self) -> None:
        """Take nothing any more and write nothing: for a forked child, whose threads stayed with the parent."""
        self._closed = self._stopping = True
        self._buffer.close()
        self._stages.forget()
        if self._stream is not None:
            self._stream.abandon()

    def measure(self) -> None:
        """Have the metrics of every span that has ended counted; a scrape calls it, so that it sees them all.

        A scrape inside an event loop waits for a hundredth of a second at most: the next one sees the rest.
        """
        wait = _LONGEST_WAIT if loop_end.running() is None else _WAIT_IN_LOOP
        self._flush_journal(time.monotonic() + wait)

    def flush_journal(self, timeout: float = _LONGEST_WAIT) -> bool:
        """Wait until every ended span is written; false on timeout."""
        return self._flush_journal(time.monotonic() + timeout)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Wait until every ended span is written, and delivered where a destination is set; false on timeout."""
        deadline = time.monotonic() + timeout_millis / 1000
        written = self._flush_journal(deadline)
        return all([written, *(destination.flush(deadline) for destination in self._destinations)])

    def write_or(self, act: Callable[[], object], timeout: float) -> bool:
        """Write what has ended; from inside a writing, have `act` called when that is done, and return false."""
        if self._stages.is_busy_here:
            self._stages.when_done(act)
            return False
        self.flush_journal(timeout)
        return True

    def shutdown(self, timeout: float = 5.0) -> None:
        """Write and send what is left within `timeout` seconds, then end the threads."""
        self._closed = True
        self._buffer.close()
        deadline = time.monotonic() + timeout
        self._flush_journal(deadline)
        self._stopping = True
        self._ask()
        if self._thread is not None:
            self._thread.join(max(0.1, deadline - time.monotonic()))
        for destination in self._destinations:
            destination.stop(deadline)
        if self._stream is not None and not self._is_run.locked():
            self._stream.close()

    def _start(self) -> bool:
        """Start our thread, unless it runs; false where none can be started, as the interpreter is ending."""
        if self._is_run.locked():
            return True
        try:
            thread = own_threads.Thread(lambda: self._run(thread), "spanwise-recorder")
            thread.start()
        except RuntimeError:
            return False
        return True

    def _run(self, thread: Any) -> None:
        if not self._is_run.acquire(blocking=False):
            return  # whoever started this one was not told of the other yet
        try:
            self._thread = thread
            self._stages.open()
            while not (self._stopping and not self._buffer):
                asked = self._asked()
                self._write_out()
                for ticket in asked:
                    ticket.release()
        finally:
            self._is_run.release()

    def _ask(self) -> _Ticket:
        """Wake our thread; the ticket is released when what has ended by now is written."""
        ticket = own_threads.Lock()
        ticket.acquire()
        self._asks.put(ticket)
        return ticket

    def _asked(self) -> list[_Ticket]:
        """Return who waits, as soon as somebody does, or nobody after a pause."""
        tickets: list[_Ticket] = []
        with suppress(Empty):
            tickets.append(self._asks.get(timeout=self._pause))
            while True:
                tickets.append(self._asks.get_nowait())
        return tickets

    def _flush_journal(self, deadline: float) -> bool:
        if self._stopping or self._stages.is_busy_here:
            return not self._buffer
        if not self._start():
            while self._stages.pass_batch(in_host=True):
                pass
            return not self._buffer
        is_written: bool = self._ask().acquire(timeout=max(0.0, deadline - time.monotonic()))
        return is_written

    def _is_busy(self) -> bool:
        return bool(self._buffer) or self._stopping or not self._asks.empty()

    def _write_out(self) -> None:
        """Write what has ended by now."""
        left, began = len(self._buffer), time.monotonic()
        self._stages.pass_starts()
        self._stages.close_segment_if_asked()
        while left > 0 and (taken := self._stages.pass_batch(in_host=False)):
            left -= taken
            if time.monotonic() - began > self._pause:
                self._buffer.press(behind=True)
        self._buffer.press(behind=False)
        self.ledger.publish()
        if self._clock_went_back():
            self._next_wait = 0
        if self._tidy is not None and not self._is_busy():
            self._tidy(self._is_busy)

    def _clock_went_back(self) -> bool:
        return self._next_wait > time.time_ns() + _WAIT_SHARE * 1_000_000_000 * _LONGEST_WAIT
