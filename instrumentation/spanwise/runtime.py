"""The one telemetry set-up of a process: `configure` makes it, the span helpers record through it.

Calling `configure` again with the same settings changes nothing; with other ones it replaces the recorder. A forked
child goes on recording for itself.
"""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.sdk.trace import Tracer as SdkTracer
from opentelemetry.trace import NonRecordingSpan, SpanContext

from spanwise import conventions as c
from spanwise import endings, providers, threads
from spanwise.assembly import recorder_of
from spanwise.config.settings import Settings, Sourced, resolve, settings_of
from spanwise.content.guard import Guard
from spanwise.context import attach, current
from spanwise.errors import SpanwiseError, UnavailableError
from spanwise.journal.ledger import Ledger
from spanwise.metrics import SpanMetrics
from spanwise.own_span import OwnSpan
from spanwise.scope import with_span
from spanwise.span_maker import SpanMaker

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from pathlib import Path

    from opentelemetry.sdk.trace import Span, TracerProvider
    from opentelemetry.trace import Tracer

    from spanwise.config.settings import Causality, Durability
    from spanwise.content.guard import Hook
    from spanwise.exposition import MetricsServer
    from spanwise.journal.ledger import Counts
    from spanwise.recorder import Recorder


class Telemetry:
    """What `configure` returns: the settings in force, and the handles to flush, read and stop."""

    def __init__(
        self,
        settings: Settings,
        sources: dict[str, Sourced],
        provider: TracerProvider | None,
        recorder: Recorder | None = None,
        metrics: SpanMetrics | None = None,
        *,
        server: MetricsServer | None = None,
        guard: Guard | None = None,
    ) -> None:
        self.settings = settings
        self.sources = sources
        """Each setting with the place it came from."""
        self.provider = provider
        """Where spans are made; none when recording is disabled."""
        self.recorder = recorder
        self.metrics = metrics
        self.server = server
        self.guard = Guard(settings) if guard is None and provider is not None else guard
        """What may be recorded; none when recording is disabled."""
        self.maker: SpanMaker | None = None
        """What the span helpers record through; none where nothing is recorded."""
        self._tracer = (provider or trace.NoOpTracerProvider()).get_tracer(c.SCOPE)
        self._make_maker()

    @property
    def shared(self) -> bool:
        """Whether processors other than ours see the spans."""
        return (
            self.provider.watch.others
            if isinstance(self.provider, providers.OwnProvider)
            else self.provider is not None
        )

    @property
    def hook_error(self) -> Exception | None:
        """What the span hook last raised."""
        return self.guard.hook_error if self.guard is not None else None

    @property
    def metrics_port(self) -> int | None:
        """The port that metrics are served on."""
        return self.server.port if self.server is not None else None

    @property
    def journal_path(self) -> Path | None:
        """The file of the journal that this process writes."""
        return self.recorder.journal_path if self.recorder is not None else None

    @property
    def write_error(self) -> OSError | None:
        """Why the journal last refused spans."""
        return self.recorder.write_error if self.recorder is not None else None

    def _make_maker(self) -> None:
        if self.recorder is not None and isinstance(self._tracer, SdkTracer):
            watch = self.provider.watch if isinstance(self.provider, providers.OwnProvider) else None
            self.maker = SpanMaker(self._tracer, self.recorder, watch, self.guard)

    def tracer(self) -> Tracer:
        """Return a tracer of the provider; its spans land in the same record as those of the helpers."""
        return self._tracer

    def ledger(self) -> Counts:
        """Return what became of the spans so far."""
        return (self.recorder.ledger if self.recorder is not None else Ledger()).counts()

    def flush(self, timeout: float | None = None) -> bool:
        """Write and deliver every ended span within `timeout` seconds (default: the setting); false when late."""
        seconds = self.settings.shutdown_timeout if timeout is None else timeout
        return self.recorder is None or self.recorder.force_flush(int(seconds * 1000))

    def go_on_in_child(self) -> None:
        """Record into a stream of the forked child's own; spans that are open belong to the parent."""
        if self.recorder is None or self.metrics is None or self.guard is None:
            return
        self.recorder.abandon()
        if self.server is not None:
            self.server.abandon()
            self.server = None
        self.metrics.renew()
        try:
            recorder = recorder_of(self.settings, self.metrics, self.guard, check=False)
        except SpanwiseError:  # what the parent could use cannot be used here: the child records nothing
            self.recorder, self.maker = None, None
            return
        self.recorder = recorder
        for provider in providers.recorded(self.provider):
            providers.relay_of(provider).target = recorder
        if self.maker is not None:
            self.maker.lock = threading.RLock()
            self._make_maker()
        if type(span := trace.get_current_span()) is OwnSpan:
            _point(span)
        endings.watch_worker()

    def shutdown(self) -> None:
        """Flush, then end every thread; recording through this set-up ends."""
        _started.discard(self)
        for provider in providers.recorded(self.provider):
            providers.relay_of(provider).target = None
        if self.settings.causality != "off" and not self.settings.disabled:
            _switch("off", 0)
        if self.settings.thread_context and not self.settings.disabled:
            threads.stop()
        if self.recorder is not None:
            self.recorder.shutdown(self.settings.shutdown_timeout)
        if self.server is not None:
            self.server.stop()
            self.server = None


def _point(span: Span | Any) -> None:
    """Make the span that was current at a fork what it is for the child: one of another process."""
    above = span.get_span_context()
    seen = SpanContext(above.trace_id, above.span_id, True, above.trace_flags, above.trace_state)  # noqa: FBT003
    attach(with_span(current(), NonRecordingSpan(seen)))


def _start(settings: Settings, sources: dict[str, Sourced]) -> Telemetry:
    if settings.disabled:
        return Telemetry(settings, sources, None)
    guard = Guard(settings)
    metrics = SpanMetrics(shown=guard.text)
    recorder = recorder_of(settings, metrics, guard)
    try:
        server = None if settings.metrics_port is None else _server(metrics, settings.metrics_port)
    except UnavailableError:
        recorder.shutdown(0)
        raise
    provider = providers.in_force(settings)
    for one in providers.recorded(provider):
        providers.relay_of(one).target = recorder
    if settings.causality != "off":
        _switch(settings.causality, settings.wait_threshold)
    if settings.thread_context:
        threads.carry()
    telemetry = Telemetry(settings, sources, provider, recorder, metrics, server=server, guard=guard)
    _started.add(telemetry)
    return telemetry


def _switch(mode: Causality, wait_threshold: float) -> None:
    from spanwise import causality  # noqa: PLC0415 - asyncio loads only where causality is wanted

    causality.start(mode, wait_threshold=wait_threshold)


def _server(metrics: SpanMetrics, port: int) -> MetricsServer:
    from spanwise.exposition import MetricsServer  # noqa: PLC0415 - prometheus-client takes 50 ms to load

    return MetricsServer(metrics.registry, port)


_lock = threading.Lock()
_active: Telemetry | None = None
_started: set[Telemetry] = set()
_unconfigured: Guard | None = None


def configure(
    *,
    service_name: str | None = None,
    journal_dir: str | Path | None = None,
    durability: Durability | None = None,
    journal_interval: float | None = None,
    buffer_size: int | str | None = None,
    journal_size: int | str | None = None,
    journal_age: float | None = None,
    endpoint: str | None = None,
    protocol: str | None = None,
    metrics_port: int | None = None,
    time_scale: float | None = None,
    wait_threshold: float | None = None,
    causality: Causality | None = None,
    shutdown_timeout: float | None = None,
    capture_content: str | Sequence[str] | None = None,
    fingerprints: bool | None = None,
    exceptions: str | None = None,
    content_limit: int | None = None,
    redact: bool | None = None,
    redact_patterns: str | Sequence[str] | None = None,
    span_hook: str | Hook | None = None,
    otlp_content: str | Sequence[str] | None = None,
    otlp_drop: str | Sequence[str] | None = None,
    otlp_waits: bool | None = None,
    langsmith_project: str | None = None,
    langsmith_content: str | Sequence[str] | None = None,
    langsmith_drop: str | Sequence[str] | None = None,
    langsmith_waits: bool | None = None,
    propagate_to: str | Sequence[str] | None = None,
    thread_context: bool | None = None,
) -> Telemetry:
    """Set up recording for this process and return its handle; safe to call more than once.

    What is not given here comes from `SPANWISE_*`, `OTEL_*`, `[tool.spanwise]` of pyproject.toml, or the default. A
    forked child goes on recording, into a stream of its own.

    Args:
        service_name: `service.name`; kept as it is where the host has set a tracer provider of its own.
        journal_dir: folder to record runs in.
        durability: `interval` writes ended spans every `journal_interval`, `sync` each one before its `end` returns.
        journal_interval: longest time in seconds that an ended span waits to be written.
        buffer_size: bytes of ended spans that may wait to be written, or text such as `64 MiB`.
        journal_size: bytes that the folder's segments may take; the oldest are deleted beyond that.
        journal_age: seconds that a segment is kept.
        endpoint: base address of an OTLP receiver to send to.
        protocol: `http/protobuf` or `grpc`.
        metrics_port: port to serve Prometheus metrics on; 0 takes a free one.
        time_scale: system seconds that a recorded second stands for; likewise the host's own resource is kept.
        wait_threshold: seconds from which a wait gets a record of its own.
        causality: whether asyncio tasks say what they waited for: `off`, `sampled` (one trace in ten) or `on`.
        shutdown_timeout: seconds that flushing may take at the end.
        capture_content: kinds of content to record, `all`, or `none`.
        fingerprints: record short hashes of what is asked and returned.
        exceptions: what to record of one: `type`, also its `message`, or its `stacktrace` besides.
        content_limit: longest text in characters; JSON stays JSON when it is cut.
        redact: replace secrets and personal data.
        redact_patterns: regular expressions of further things to replace.
        span_hook: gets each ended span and returns it, a changed one, or none to drop it.
        otlp_content: kinds of content that the receiver gets of those recorded.
        otlp_drop: rules such as `http.route=/health*` of spans that the receiver does not get.
        otlp_waits: whether the receiver gets waits, each as a span.
        langsmith_project: project of LangSmith to send to.
        langsmith_content: kinds of content that LangSmith gets of those recorded.
        langsmith_drop: rules of spans that LangSmith does not get.
        langsmith_waits: whether LangSmith gets waits, each as a run.
        propagate_to: hosts that requests carry the trace to; none by default.
        thread_context: let threads and thread pools continue the span that they are started or asked in.

    Raises:
        InputError: a setting cannot be used.
        UnavailableError: the journal folder, the port or the exporter's extra cannot be used.
    """
    sources = resolve({**locals()})
    return configured(settings_of(sources), sources)


def configured(settings: Settings, sources: dict[str, Sourced]) -> Telemetry:
    """Set up recording with settings that are resolved; for what is no code of the user's. Raises as `configure`."""
    global _active  # noqa: PLW0603 - a process has one set-up
    with _lock:
        if _active is not None and _active.settings == settings:
            return _active
        if _active is not None:
            _active.shutdown()
            _active = None
        _active = _start(settings, sources)
        if not settings.disabled:
            endings.watch(shutdown, _write_or)
        return _active


def shutdown() -> None:
    """Flush and end what `configure` set up; does nothing without it."""
    global _active
    with _lock:
        telemetry, _active = _active, None
    endings.unwatch(shutdown)
    if telemetry is not None:
        telemetry.shutdown()


def _write_or(act: Callable[[], object]) -> bool:
    """Write what has ended; from inside a writing, have `act` called after that and return false."""
    telemetry = _active
    if telemetry is None or telemetry.recorder is None:
        return True
    return telemetry.recorder.write_or(act, telemetry.settings.shutdown_timeout)


def active() -> Telemetry | None:
    """Return what `configure` set up."""
    return _active


def maker() -> SpanMaker | None:
    """Return what spans are made by; none without `configure` and where recording is disabled."""
    return _active.maker if _active is not None else None


def tracer() -> Tracer:
    """Return the tracer in force: of `configure`, else of the host's provider (which records nothing by default)."""
    return _active.tracer() if _active is not None else trace.get_tracer(c.SCOPE)


def guard() -> Guard | None:
    """Return what says what may be recorded: of `configure`, else the defaults; none when recording is disabled."""
    global _unconfigured  # noqa: PLW0603 - a process has one set-up
    if _active is not None:
        return _active.guard
    if _unconfigured is None:
        _unconfigured = Guard(Settings())
    return _unconfigured


def shared() -> bool:
    """Whether processors other than ours see the spans that the helpers make."""
    return _active is None or _active.shared


def _go_on() -> None:
    """Let a forked child record for itself: it has the parent's queues and locks, but none of its threads."""
    global _lock  # noqa: PLW0603 - a process has one set-up
    _lock = threading.Lock()
    for telemetry in tuple(_started):
        telemetry.go_on_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_go_on)


@contextmanager
def substituted(telemetry: Telemetry) -> Generator[Telemetry]:
    """Record through `telemetry` inside the block in place of what is configured; for `spanwise.testing`."""
    global _active  # noqa: PLW0603 - a process has one set-up
    before, _active = _active, telemetry
    try:
        yield telemetry
    finally:
        _active = before


@contextmanager
def paused() -> Generator[None]:
    """Record nothing inside the block: for work that is not part of what is measured."""
    with substituted(Telemetry(Settings(disabled=True), {}, None)):
        yield
