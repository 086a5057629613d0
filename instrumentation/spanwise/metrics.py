"""Prometheus metrics derived from ended spans: the same families that the collector derives from the same spans.

A span's duration is multiplied by `spanwise.time.scale` of its resource, rates are divided by it. Histogram and counter
observations carry the trace and span id as exemplars. A family holds at most `SERIES_LIMIT` label sets; what comes
beyond goes to one whose labels all read `other`, so that a runaway agent name costs one series.
"""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Any, Final

from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server
from prometheus_client.registry import Collector

from spanwise import conventions as c
from spanwise.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from wsgiref.simple_server import WSGIServer

    from opentelemetry.sdk.trace import ReadableSpan
    from prometheus_client import Metric

SERIES_LIMIT: Final = 2_000
OVERFLOW: Final = "other"
_NANO: Final = 1e-9
_LARGEST: Final = 10**300
_LABELS: Final = frozenset(label for metric in c.METRICS for label in metric.all_labels)


class _Family:
    """One metric family with a bound on its label sets."""

    def __init__(self, metric: c.Metric, registry: CollectorRegistry) -> None:
        self._labels = metric.all_labels
        self._seen: set[tuple[str, ...]] = set()
        self._lock = threading.Lock()
        self._counter: Counter | None = None
        self._histogram: Histogram | None = None
        if metric.kind == "counter":
            self._counter = Counter(metric.name, metric.help, self._labels, registry=registry)
        else:
            self._histogram = Histogram(
                metric.name, metric.help, self._labels, registry=registry, buckets=metric.buckets
            )

    def record(self, value: float, labels: Mapping[str, str], exemplar: dict[str, str] | None) -> None:
        if not 0 <= value < math.inf:
            return  # a clock that went back or a foreign attribute: prometheus-client would raise into the host
        values = self._bounded(tuple(labels.get(name, "") for name in self._labels))
        if self._counter is not None:
            self._counter.labels(*values).inc(value, exemplar=exemplar)
        elif self._histogram is not None:
            self._histogram.labels(*values).observe(value, exemplar=exemplar)

    def _bounded(self, values: tuple[str, ...]) -> tuple[str, ...]:
        with self._lock:
            if values in self._seen:
                return values
            if len(self._seen) >= SERIES_LIMIT:
                return (OVERFLOW,) * len(values)
            self._seen.add(values)
            return values


class _Reading:
    """A span as the metrics see it: typed attributes, scaled seconds, labels."""

    def __init__(self, span: ReadableSpan) -> None:
        self.attributes: Mapping[str, Any] = span.attributes or {}
        scale = span.resource.attributes.get(c.TIME_SCALE, 1.0)
        self.scale = float(scale) if isinstance(scale, int | float) else 1.0
        self.seconds = ((span.end_time or 0) - (span.start_time or 0)) * _NANO * self.scale
        named = ((c.label_of(name), value) for name, value in self.attributes.items())
        self.labels = {label: _text(value) for label, value in named if label in _LABELS}
        context = span.context
        sampled = context is not None and context.trace_flags.sampled
        self.exemplar = (
            {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}
            if context is not None and sampled
            else None
        )

    def number(self, name: str) -> float | None:
        value = self.attributes.get(name)
        if not isinstance(value, int | float) or isinstance(value, bool):
            return None
        return float(value) if abs(value) <= _LARGEST else None  # an integer can be too large for a float


def _text(value: object) -> str:
    try:
        return str(value)
    except ValueError:  # Python writes no integer of more than some thousand digits
        return OVERFLOW


class _BeforeScrape(Collector):
    """Stands first in a registry and has no metrics: being asked for them, it lets what waits be observed."""

    def __init__(self, metrics: SpanMetrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        self._metrics.before_scrape()
        return iter(())


class SpanMetrics:
    """All span-derived metrics of one process."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry if registry is not None else CollectorRegistry()
        self.before_scrape: Callable[[], object] = tuple
        """Called before each scrape: observes the spans that have ended and were not observed yet."""
        self.registry.register(_BeforeScrape(self))
        self._families = {metric: _Family(metric, self.registry) for metric in c.METRICS}
        self._by_operation: dict[str, Callable[[_Reading], None]] = {
            "invoke_workflow": self._workflow,
            "invoke_agent": self._agent,
            "execute_tool": self._tool,
            "chat": self._model_call,
            "embeddings": self._model_call,
        }

    def observe(self, span: ReadableSpan) -> None:
        """Count an ended span in every family that it belongs to."""
        reading = _Reading(span)
        observe = self._by_operation.get(str(reading.attributes.get(c.OPERATION_NAME, "")))
        if observe is not None:
            observe(reading)
        if c.CACHE_RESULT in reading.attributes:
            self._cache(reading)
        if c.WAIT_KIND in reading.attributes:
            self._put(c.WAIT_SECONDS, reading, reading.seconds)
        if reading.attributes.get(c.RETRY_SCHEDULED) is True:
            self._put(c.RETRIES, reading, 1.0)

    def _put(self, metric: c.Metric, span: _Reading, value: float, **labels: str) -> None:
        self._families[metric].record(value, span.labels | labels, span.exemplar)

    def _model_call(self, span: _Reading) -> None:
        self._put(c.OPERATION_DURATION, span, span.seconds)
        for kind, name in (("input", c.USAGE_INPUT_TOKENS), ("output", c.USAGE_OUTPUT_TOKENS)):
            tokens = span.number(name)
            if tokens is not None:
                self._put(c.TOKEN_USAGE, span, tokens, gen_ai_token_type=kind)
        first = span.number(c.RESPONSE_TIME_TO_FIRST_CHUNK)
        if first is None:
            return
        self._put(c.TIME_TO_FIRST_CHUNK, span, first * span.scale)
        chunks = span.number(c.STREAM_CHUNKS) or 0
        if chunks > 1:
            self._put(c.TIME_PER_OUTPUT_CHUNK, span, (span.seconds - first * span.scale) / (chunks - 1))

    def _agent(self, span: _Reading) -> None:
        self._put(c.AGENT_DURATION, span, span.seconds)

    def _tool(self, span: _Reading) -> None:
        self._put(c.TOOL_DURATION, span, span.seconds)

    def _workflow(self, span: _Reading) -> None:
        self._put(c.WORKFLOW_DURATION, span, span.seconds)
        used = [span.number(c.USAGE_INPUT_TOKENS), span.number(c.USAGE_OUTPUT_TOKENS)]
        if None not in used and span.seconds > 0:
            self._put(c.WORKFLOW_TOKENS_PER_SECOND, span, sum(tokens or 0 for tokens in used) / span.seconds)

    def _cache(self, span: _Reading) -> None:
        self._put(c.CACHE_LOOKUPS, span, 1.0)
        self._put(c.CACHE_LOOKUP_DURATION, span, span.seconds)
        seconds, tokens = span.number(c.CACHE_SAVED_SECONDS), span.number(c.CACHE_SAVED_TOKENS)
        if seconds is not None:
            self._put(c.CACHE_SAVED_SECONDS_TOTAL, span, seconds * span.scale)
        if tokens is not None:
            self._put(c.CACHE_SAVED_TOKENS_TOTAL, span, tokens)


class MetricsServer:
    """Serves a registry to Prometheus on a port of 127.0.0.1."""

    def __init__(self, registry: CollectorRegistry, port: int) -> None:
        try:
            self._server: WSGIServer
            self._server, self._thread = start_http_server(port, addr="127.0.0.1", registry=registry)
        except OSError as error:
            raise UnavailableError(
                f"port {port}: metrics cannot be served there ({error.strerror}); free it, or set "
                "SPANWISE_METRICS_PORT to another one (0 takes a free one)"
            ) from None
        self.port = int(self._server.server_address[1])

    def stop(self) -> None:
        """Stop serving and end the thread."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
