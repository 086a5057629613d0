"""The metrics as Prometheus reads them: samples made of what was counted, at the moment of the scrape."""

from __future__ import annotations

import io
from itertools import accumulate
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, Metric, make_wsgi_app, utils  # pyright: ignore[reportUnknownVariableType]
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar

from spanwise import conventions as c
from spanwise.errors import UnavailableError
from spanwise.process import own_threads

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spanwise.recording.metrics import Exemplar as Seen
    from spanwise.recording.metrics import Row, SpanMetrics


def registry_of(metrics: SpanMetrics, registry: CollectorRegistry | None = None) -> CollectorRegistry:
    """Return `registry` (default: a new one) with `metrics` in it."""
    registry = registry if registry is not None else CollectorRegistry()
    registry.register(_Families(metrics))
    registry.register(_Ledger(metrics))
    return registry


_utils: Any = utils  # it has no annotations


class _Families(Collector):
    def __init__(self, metrics: SpanMetrics) -> None:
        self._metrics = metrics

    def describe(self) -> Iterator[Metric]:
        return (_empty(metric) for metric, _ in self._metrics.snapshot())

    def collect(self) -> Iterator[Metric]:
        for metric, rows in self._metrics.snapshot():
            family = _empty(metric)
            for row in rows:
                _add(family, metric, row)
            yield family


class _Ledger(Collector):
    """What became of the spans: totals as a counter, what is under way as a gauge."""

    def __init__(self, metrics: SpanMetrics) -> None:
        self._metrics = metrics

    def describe(self) -> Iterator[Metric]:
        return iter((_totals(), _current()))

    def collect(self) -> Iterator[Metric]:
        if self._metrics.ledger is None:
            return
        counts = self._metrics.ledger()
        totals, current = _totals(), _current()

        def total(state: str, number: int, reason: str = "", destination: str = "") -> None:
            labels: dict[str, str] = dict(zip(c.LEDGER_TOTAL_LABELS, (state, reason, destination), strict=True))
            totals.add_sample(c.LEDGER_TOTAL, labels, number)

        def now(state: str, number: int, destination: str = "") -> None:
            labels: dict[str, str] = dict(zip(c.LEDGER_CURRENT_LABELS, (state, destination), strict=True))
            current.add_sample(c.LEDGER_CURRENT, labels, number)

        total("started", counts.started)
        total("journaled", counts.journaled)
        for reason, number in sorted(counts.dropped.items()):
            total("dropped", number, reason)
        now("open", counts.open)
        now("buffered", counts.buffered)
        for destination, fates in sorted(counts.destinations.items()):
            for fate, number in fates.items():
                if fate == "pending":
                    now(fate, number, destination)
                else:
                    total(fate, number, destination=destination)
        yield totals
        yield current


def _totals() -> Metric:
    return Metric(c.LEDGER_TOTAL.removesuffix("_total"), "Spans, by what became of them.", "counter")


def _current() -> Metric:
    return Metric(c.LEDGER_CURRENT, "Spans that are open, or wait to be written or delivered.", "gauge")


def _empty(metric: c.Metric) -> Metric:
    return Metric(metric.name.removesuffix("_total"), metric.help, metric.kind)


def _add(family: Metric, metric: c.Metric, row: Row) -> None:
    """Add the samples of one label set, in prometheus-client's order."""
    values, counts, total, created, exemplars = row
    labels = dict(zip(metric.all_labels, values, strict=True))
    if metric.kind == "counter":
        family.add_sample(f"{family.name}_total", labels, total, exemplar=_shown(exemplars[0]))
    else:
        bounds = [*(_utils.floatToGoString(bound) for bound in metric.buckets), "+Inf"]
        for bound, below, exemplar in zip(bounds, accumulate(counts), exemplars, strict=True):
            family.add_sample(f"{family.name}_bucket", labels | {"le": bound}, float(below), exemplar=_shown(exemplar))
        family.add_sample(f"{family.name}_count", labels, float(sum(counts)))
        family.add_sample(f"{family.name}_sum", labels, total)
    family.add_sample(f"{family.name}_created", labels, created)


def _shown(seen: Seen | None) -> Exemplar | None:
    if seen is None:
        return None
    (trace_id, span_id, time_ns), value = seen
    return Exemplar({"trace_id": f"{trace_id:032x}", "span_id": f"{span_id:016x}"}, float(value), time_ns / 1e9)


_LOOK: Final = 0.5
"""Seconds between two looks whether to stop."""


class _Quiet(WSGIRequestHandler):
    """Answers a request without a word on the host's standard error, whatever is wrong with it."""

    timeout = 10.0
    """Seconds that a client may leave a request unfinished."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base class
        """Log nothing."""

    def get_stderr(self) -> Any:
        """Return where tracebacks go."""
        return io.StringIO()


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that went away or does not speak HTTP."""


class MetricsServer:
    """Serves a registry to Prometheus on a port of 127.0.0.1."""

    def __init__(self, registry: CollectorRegistry, port: int) -> None:
        try:
            app: Any = make_wsgi_app(registry)  # pyright: ignore[reportUnknownVariableType]
            self._server = make_server("127.0.0.1", port, app, _Server, handler_class=_Quiet)
        except OSError as error:
            raise UnavailableError(
                f"port {port}: metrics cannot be served there ({error.strerror}); free it, or set "
                "SPANWISE_METRICS_PORT to another one (0 takes a free one)"
            ) from None
        self._server.timeout = _LOOK
        self._stopping = False
        self._thread = own_threads.Thread(self._serve, "spanwise-metrics")
        self._thread.start()
        self.port = int(self._server.server_address[1])

    def _serve(self) -> None:
        while not self._stopping:
            self._server.handle_request()

    def abandon(self) -> None:
        """Give the port up in a forked child: the thread stayed with the parent."""
        self._server.socket.close()

    def stop(self) -> None:
        """Stop serving and end the thread."""
        self._stopping = True
        self._thread.join(4 * _LOOK)
        self._server.server_close()
