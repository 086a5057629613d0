"""Sends what was journaled to an OTLP receiver, from a thread of its own, until it is accepted or the process ends.

Encoding and transport are OpenTelemetry's exporters. A batch that failed is tried again with growing, jittered pauses;
what is still here when the process ends stays `pending` in the ledger. Spans that no request can hold are `set_aside`,
so that they do not block the others.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit, urlunsplit

from opentelemetry import context as otel_context
from opentelemetry.sdk.trace.export import SpanExportResult

from spanwise.content.filters import Outlet, portions
from spanwise.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter

    from spanwise.config.settings import Settings
    from spanwise.journal.ledger import Ledger

NAME: Final = "otlp"
_THREAD: Final = "spanwise-otlp"
_LOGGERS: Final = (
    "opentelemetry.exporter.otlp.common.http",
    "opentelemetry.exporter.otlp.proto.common._internal",
    "opentelemetry.exporter.otlp.proto.common._internal.trace_encoder",
    "opentelemetry.exporter.otlp.proto.grpc.exporter",
    "opentelemetry.exporter.otlp.proto.grpc.trace_exporter",
    "opentelemetry.exporter.otlp.proto.http._common",
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "urllib3.connectionpool",
    "urllib3.util.retry",
)
_LIMIT: Final = 100_000
_LAST_WORDS: Final = 0.2
# No public name exists; the SDK's own processors import it, too.
_SUPPRESS: Final = otel_context._SUPPRESS_INSTRUMENTATION_KEY  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 30.0


def exporter_for(settings: Settings) -> SpanExporter:
    """Return the exporter for the configured endpoint and protocol."""
    assert settings.endpoint is not None
    if settings.protocol == "grpc":
        return _grpc_exporter(settings)
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - 60 ms

    return OTLPSpanExporter(endpoint=traces_address(settings.endpoint), timeout=settings.shutdown_timeout)


def traces_address(endpoint: str) -> str:
    """Return where spans are posted to at an endpoint: `/v1/traces` is added unless it ends in that."""
    parts = urlsplit(endpoint)
    path = parts.path.rstrip("/")
    return urlunsplit(parts._replace(path=path if path.endswith("/v1/traces") else f"{path}/v1/traces"))


def _grpc_exporter(settings: Settings) -> SpanExporter:
    try:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - an extra
    except ImportError:
        raise UnavailableError("protocol grpc needs an extra: pip install 'spanwise[grpc]'") from None
    return OTLPSpanExporter(endpoint=settings.endpoint, timeout=settings.shutdown_timeout)


class _OwnThreadFilter(logging.Filter):
    """Drops what exporters log on our sending thread: the ledger says it, and the host's log is the host's."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.threadName != _THREAD


def _can_be_sent(spans: Sequence[ReadableSpan]) -> bool:
    """Whether protobuf can hold `spans`: one text that is no Unicode fails a whole request, every time."""
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans  # noqa: PLC0415 - with the exporter

    try:
        encode_spans(spans).SerializePartialToString()
    except Exception:  # noqa: BLE001 - whatever the encoder raises, the exporter would meet it again and again
        return False
    return True


class Sender:
    """A queue of journaled batches and the thread that delivers them in order."""

    def __init__(self, exporter: SpanExporter, ledger: Ledger, outlet: Outlet | None = None) -> None:
        self._outlet = outlet or Outlet()
        self._exporter = exporter
        self._ledger = ledger
        self._batches: deque[tuple[ReadableSpan, ...]] = deque()
        self._held = 0
        self._not_kept = 0
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=_THREAD, daemon=True)
        self._thread.start()

    def offer(self, spans: tuple[ReadableSpan, ...]) -> None:
        """Take what of a batch may be sent; beyond 100,000 held spans it is not kept and stays pending."""
        admitted = self._outlet.admitted(spans)
        self._ledger.filter(NAME, len(spans) - len(admitted))
        with self._changed:
            if self._held + len(admitted) > _LIMIT:
                self._not_kept += len(admitted)
                return
            self._batches.extend(portions(admitted))
            self._held += len(admitted)
            self._changed.notify_all()

    def flush(self, deadline: float) -> bool:
        """Wait until no held span is left or `deadline` (monotonic seconds) passes; false where some stay pending."""
        with self._changed:
            sent = self._changed.wait_for(lambda: not self._held, max(0.0, deadline - time.monotonic()))
            return sent and not self._not_kept

    def stop(self, deadline: float) -> None:
        """Deliver what can be delivered before `deadline`, then end the thread.

        A request that hangs is left to the thread, which ends with it: the host must not wait for a silent receiver.
        """
        self.flush(deadline)
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._exporter.shutdown()
        self._thread.join(max(_LAST_WORDS, deadline - time.monotonic()))

    def _run(self) -> None:
        # An instrumented HTTP client must not record the sending of the record, or sending would never end.
        otel_context.attach(otel_context.set_value(_SUPPRESS, "spanwise"))
        silence = _OwnThreadFilter()
        loggers = [logging.getLogger(name) for name in _LOGGERS]
        for logger in loggers:
            logger.addFilter(silence)
        try:
            self._deliver_all()
        finally:
            for logger in loggers:
                logger.removeFilter(silence)

    def _deliver_all(self) -> None:
        pause = _FIRST_PAUSE
        while (batch := self._next()) is not None:
            if self._accepted(batch):
                pause = _FIRST_PAUSE
                self._done(batch)
            elif not _can_be_sent(batch):
                self._sort_out(batch)
            else:
                self._rest(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
                pause = min(_LONGEST_PAUSE, pause * 2)

    def _accepted(self, batch: tuple[ReadableSpan, ...]) -> bool:
        try:
            return self._exporter.export(batch) is SpanExportResult.SUCCESS
        except Exception:  # noqa: BLE001 - an exporter is foreign code; it must neither end this thread nor print
            return False

    def _next(self) -> tuple[ReadableSpan, ...] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._stopping or self._batches)
            return None if self._stopping else self._batches[0]

    def _sort_out(self, batch: tuple[ReadableSpan, ...]) -> None:
        """Take the spans that cannot be sent out of the batch at the head of the queue."""
        sound = tuple(span for span in batch if _can_be_sent((span,)))
        self._ledger.set_aside(NAME, len(batch) - len(sound))
        with self._changed:
            self._batches.popleft()
            self._held -= len(batch) - len(sound)
            if sound:
                self._batches.appendleft(sound)
            self._changed.notify_all()

    def _done(self, batch: tuple[ReadableSpan, ...]) -> None:
        self._ledger.deliver(NAME, len(batch))
        with self._changed:
            self._batches.popleft()
            self._held -= len(batch)
            self._changed.notify_all()

    def _rest(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._stopping, seconds)
