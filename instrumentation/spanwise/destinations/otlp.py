"""Sends what was journaled to an OTLP receiver, from a thread of its own, until it is accepted or the process ends.

Encoding and transport are OpenTelemetry's exporters. A batch that failed is tried again with growing, jittered pauses;
what is still here when the process ends stays `pending` in the ledger.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from opentelemetry.sdk.trace.export import SpanExportResult

from spanwise.errors import UnavailableError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter

    from spanwise.config.settings import Settings
    from spanwise.journal.ledger import Ledger

NAME: Final = "otlp"
_THREAD: Final = "spanwise-otlp"
_LOGGERS: Final = (
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.exporter.otlp.proto.grpc.exporter",
)
_LIMIT: Final = 100_000
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 30.0


def exporter_for(settings: Settings) -> SpanExporter:
    """Return the exporter for the configured endpoint and protocol."""
    assert settings.endpoint is not None
    if settings.protocol == "grpc":
        return _grpc_exporter(settings)
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - 60 ms

    base = settings.endpoint.rstrip("/")
    address = base if base.endswith("/v1/traces") else f"{base}/v1/traces"
    return OTLPSpanExporter(endpoint=address, timeout=settings.shutdown_timeout)


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


class Sender:
    """A queue of journaled batches and the thread that delivers them in order."""

    def __init__(self, exporter: SpanExporter, ledger: Ledger) -> None:
        self._exporter = exporter
        self._ledger = ledger
        self._batches: deque[tuple[ReadableSpan, ...]] = deque()
        self._held = 0
        self._changed = threading.Condition()
        self._stopping = False
        self._filter = _OwnThreadFilter()
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(self._filter)
        self._thread = threading.Thread(target=self._run, name=_THREAD, daemon=True)
        self._thread.start()

    def offer(self, spans: tuple[ReadableSpan, ...]) -> None:
        """Take a batch; beyond 100,000 held spans it is not kept and stays pending."""
        with self._changed:
            if self._held + len(spans) <= _LIMIT:
                self._batches.append(spans)
                self._held += len(spans)
                self._changed.notify_all()

    def flush(self, deadline: float) -> bool:
        """Wait until all held spans are delivered or `deadline` (monotonic seconds) passes."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._held, max(0.0, deadline - time.monotonic()))

    def stop(self, deadline: float) -> None:
        """Deliver what can be delivered before `deadline`, then end the thread."""
        self.flush(deadline)
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._exporter.shutdown()
        self._thread.join()
        for name in _LOGGERS:
            logging.getLogger(name).removeFilter(self._filter)

    def _run(self) -> None:
        pause = _FIRST_PAUSE
        while (batch := self._next()) is not None:
            if self._exporter.export(batch) is SpanExportResult.SUCCESS:
                pause = _FIRST_PAUSE
                self._done(batch)
            else:
                self._rest(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
                pause = min(_LONGEST_PAUSE, pause * 2)

    def _next(self) -> tuple[ReadableSpan, ...] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._stopping or self._batches)
            return None if self._stopping else self._batches[0]

    def _done(self, batch: tuple[ReadableSpan, ...]) -> None:
        self._ledger.deliver(NAME, len(batch))
        with self._changed:
            self._batches.popleft()
            self._held -= len(batch)
            self._changed.notify_all()

    def _rest(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._stopping, seconds)
