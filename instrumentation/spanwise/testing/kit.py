"""For tests of traced programs: spans in memory as plain dicts, and an event loop on a virtual clock.

with capture() as spans:
    run_my_agent()
assert [span["name"] for span in spans()] == ["invoke_agent risk"]
"""

from __future__ import annotations

import itertools
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator

from spanwise import conventions as c
from spanwise.config.settings import Settings
from spanwise.content.policy import kinds
from spanwise.otel.span import OwnSpan
from spanwise.recording.metrics import SpanMetrics
from spanwise.recording.processor import RecordingProcessor
from spanwise.recording.telemetry import Telemetry, substituted
from spanwise.testing.virtual_clock import VirtualLoop, run_virtual

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

PlainSpan = dict[str, Any]

__all__ = ["CountingIds", "PlainSpan", "VirtualLoop", "capture", "captured_telemetry", "plain", "run_virtual"]


class CountingIds(IdGenerator):
    """Trace and span ids 1, 2, 3, ...: the same in every run."""

    def __init__(self) -> None:
        self._spans = itertools.count(1)
        self._traces = itertools.count(1)

    def generate_span_id(self) -> int:
        """Return the next span id."""
        return next(self._spans)

    def generate_trace_id(self) -> int:
        """Return the next trace id."""
        return next(self._traces)


class _Memory(RecordingProcessor):
    def __init__(self, metrics: SpanMetrics) -> None:
        super().__init__(metrics=metrics)
        metrics.ledger = None  # nothing is written here
        self.spans: list[ReadableSpan] = []

    def take(self, span: ReadableSpan) -> None:
        if self.metrics is not None:
            self.metrics.observe(span)
        if not (isinstance(span, OwnSpan) and span.measured_only):
            self.spans.append(span)


@contextmanager
def capture(
    *,
    time_scale: float = 1.0,
    wait_threshold: float = 0.0,
    capture_content: str = "none",
    exceptions: str = "type",
    fingerprints: bool = False,
) -> Generator[Callable[[], list[PlainSpan]]]:
    """Record into memory inside the block; yields a function that returns the ended spans, by start time."""
    with captured_telemetry(
        time_scale=time_scale,
        wait_threshold=wait_threshold,
        capture_content=capture_content,
        exceptions=exceptions,
        fingerprints=fingerprints,
    ) as (_, spans):
        yield spans


@contextmanager
def captured_telemetry(
    *,
    time_scale: float = 1.0,
    wait_threshold: float = 0.0,
    capture_content: str = "none",
    exceptions: str = "type",
    fingerprints: bool = False,
) -> Generator[tuple[Telemetry, Callable[[], list[PlainSpan]]]]:
    """Like `capture`, and yields the telemetry too, whose `metrics.registry` holds what the spans counted."""
    resource = Resource({"service.name": "test", c.TIME_SCALE: time_scale})
    provider = TracerProvider(resource=resource, id_generator=CountingIds(), shutdown_on_exit=False)
    metrics = SpanMetrics()
    memory = _Memory(metrics)
    provider.add_span_processor(memory)
    settings = Settings(
        service_name="test",
        time_scale=time_scale,
        wait_threshold=wait_threshold,
        capture_content=kinds(capture_content),
        fingerprints=fingerprints,
        exceptions=exceptions,
    )
    telemetry = Telemetry(settings, {}, provider, memory, metrics)
    try:
        with substituted(telemetry):
            yield telemetry, lambda: [plain(span) for span in sorted(memory.spans, key=_start)]
    finally:
        provider.shutdown()


def _start(span: ReadableSpan) -> tuple[int, int]:
    return span.start_time or 0, span.context.span_id if span.context else 0


def plain(span: ReadableSpan) -> PlainSpan:
    """Return a span as a dict: name, ids, kind, times in ns, attributes, links, status."""
    assert span.context is not None
    return {
        "name": span.name,
        "trace_id": span.context.trace_id,
        "span_id": span.context.span_id,
        "parent_id": span.parent.span_id if span.parent else None,
        "kind": span.kind.name,
        "start_ns": span.start_time,
        "end_ns": span.end_time,
        "attributes": dict(span.attributes or {}),
        "links": [(link.context.span_id, dict(link.attributes or {})) for link in span.links],
        "status": span.status.status_code.name,
    }
