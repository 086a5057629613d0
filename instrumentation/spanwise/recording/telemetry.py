"""The telemetry of a process: the handle that `configure` returns, and which one is active now.

Everything that records asks this module for the active telemetry. Making one is the business of `spanwise.setup`, which
stands above it. A forked child goes on recording into a stream of its own.
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.sdk.trace import Tracer as SdkTracer
from opentelemetry.trace import NonRecordingSpan, SpanContext

from spanwise import conventions as c
from spanwise.config.settings import Settings, Sourced
from spanwise.content.filter import ContentFilter
from spanwise.errors import SpanwiseError
from spanwise.journal.process_ledger import Ledger
from spanwise.otel.context import attach, current
from spanwise.otel.span import OwnSpan
from spanwise.process import exit as process_exit
from spanwise.process import own_threads
from spanwise.recording import providers, scope
from spanwise.recording.build import processor_of
from spanwise.recording.tracer import OwnTracer

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence
    from pathlib import Path

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Link, Span, SpanKind, Tracer

    from spanwise.journal.process_ledger import Counts
    from spanwise.recording.exposition import MetricsServer
    from spanwise.recording.metrics import SpanMetrics
    from spanwise.recording.processor import RecordingProcessor


class Telemetry:
    """What `configure` returns: the settings in force, and the handles to flush, read and stop.

    Args:
        settings: the settings in force.
        sources: each setting with the place it came from.
        provider: where spans are made; `None` when recording is disabled.
        processor: what takes ended spans.
        metrics: what counts them.
        server: what serves the metrics.
        content_filter: what may be recorded; by default what the settings say.
        undo: called at `shutdown`, to take back what was switched on in the process.
    """

    def __init__(
        self,
        settings: Settings,
        sources: dict[str, Sourced],
        provider: TracerProvider | None,
        processor: RecordingProcessor | None = None,
        metrics: SpanMetrics | None = None,
        *,
        server: MetricsServer | None = None,
        content_filter: ContentFilter | None = None,
        undo: Sequence[Callable[[], object]] = (),
    ) -> None:
        self.settings = settings
        self.sources = sources
        self.provider = provider
        self.processor = processor
        self.metrics = metrics
        self.server = server
        if content_filter is None and provider is not None:
            content_filter = ContentFilter(settings)
        self.content_filter = content_filter
        self._undo = undo
        self.own_tracer: OwnTracer | None = None
        """What the span helpers make spans with; `None` where nothing is recorded."""
        self._tracer = (provider or trace.NoOpTracerProvider()).get_tracer(c.SCOPE)
        self._make_own_tracer()

    @property
    def shared(self) -> bool:
        """Whether processors other than ours see the spans."""
        if isinstance(self.provider, providers.OwnProvider):
            return self.provider.watch.others
        return self.provider is not None

    @property
    def hook_error(self) -> Exception | None:
        """What the span hook last raised."""
        return self.content_filter.hook_error if self.content_filter is not None else None

    @property
    def metrics_port(self) -> int | None:
        """The port that metrics are served on."""
        return self.server.port if self.server is not None else None

    @property
    def journal_path(self) -> Path | None:
        """The file of the journal that this process writes."""
        return self.processor.journal_path if self.processor is not None else None

    @property
    def write_error(self) -> OSError | None:
        """Why the journal last refused spans."""
        return self.processor.write_error if self.processor is not None else None

    def _make_own_tracer(self) -> None:
        if self.processor is not None and isinstance(self._tracer, SdkTracer):
            watch = self.provider.watch if isinstance(self.provider, providers.OwnProvider) else None
            self.own_tracer = OwnTracer(self._tracer, self.processor, watch, self.content_filter)

    def tracer(self) -> Tracer:
        """Return a tracer of the provider; its spans land in the same record as those of the helpers."""
        return self._tracer

    def ledger(self) -> Counts:
        """Return what became of the spans so far."""
        return (self.processor.ledger if self.processor is not None else Ledger()).counts()

    def flush(self, timeout: float | None = None) -> bool:
        """Write and deliver every ended span within `timeout` seconds (default: the setting); false when late."""
        seconds = self.settings.shutdown_timeout if timeout is None else timeout
        return self.processor is None or self.processor.force_flush(int(seconds * 1000))

    def go_on_in_child(self) -> None:
        """Record into a stream of the forked child's own; spans that are open belong to the parent."""
        if self.processor is None or self.metrics is None or self.content_filter is None:
            return
        self.processor.abandon()
        if self.server is not None:
            self.server.abandon()
            self.server = None
        self.metrics.renew()
        try:
            processor = processor_of(self.settings, self.metrics, self.content_filter, check=False)
        except SpanwiseError:  # what the parent could use cannot be used here: the child records nothing
            self.processor, self.own_tracer = None, None
            return
        self.processor = processor
        for provider in providers.attached(self.provider):
            providers.relay_of(provider).target = processor
        if self.own_tracer is not None:
            self.own_tracer.lock = own_threads.RLock()
            self._make_own_tracer()
        if type(span := trace.get_current_span()) is OwnSpan:
            _make_remote(span)
        process_exit.watch_worker()

    def shutdown(self) -> None:
        """Flush, then end every thread; recording through this set-up ends."""
        _in_children.discard(self)
        for provider in providers.attached(self.provider):
            providers.relay_of(provider).target = None
        for undo in self._undo:
            undo()
        if self.processor is not None:
            self.processor.shutdown(self.settings.shutdown_timeout)
        if self.server is not None:
            self.server.stop()
            self.server = None


def _make_remote(span: OwnSpan) -> None:
    """Make the span that was current at a fork what it is for the child: one of another process."""
    above = span.get_span_context()
    seen = SpanContext(above.trace_id, above.span_id, True, above.trace_flags, above.trace_state)  # noqa: FBT003
    attach(scope.with_span(current(), NonRecordingSpan(seen)))


_active: Telemetry | None = None
_in_children: set[Telemetry] = set()
_unconfigured: ContentFilter | None = None


def active() -> Telemetry | None:
    """Return the telemetry in force; `None` without `configure`."""
    return _active


def activate(telemetry: Telemetry | None) -> Telemetry | None:
    """Put `telemetry` in force; returns the one that was."""
    global _active
    before, _active = _active, telemetry
    return before


def go_on_in_children(telemetry: Telemetry) -> None:
    """Have `telemetry` record in forked children, too, until it is shut down."""
    _in_children.add(telemetry)


def own_tracer() -> OwnTracer | None:
    """Return what makes spans of our own; `None` without `configure` and where recording is disabled."""
    return _active.own_tracer if _active is not None else None


def tracer() -> Tracer:
    """Return the tracer in force: of `configure`, else of the host's provider (which records nothing by default)."""
    return _active.tracer() if _active is not None else trace.get_tracer(c.SCOPE)


def content_filter() -> ContentFilter | None:
    """Return what may be recorded: of `configure`, else the defaults; `None` when recording is disabled."""
    global _unconfigured  # noqa: PLW0603 - a process has one set-up
    if _active is not None:
        return _active.content_filter
    if _unconfigured is None:
        _unconfigured = ContentFilter(Settings())
    return _unconfigured


def shared() -> bool:
    """Whether processors other than ours see the spans that the helpers make."""
    return _active is None or _active.shared


def start_span(
    name: str,
    kind: SpanKind,
    attributes: Mapping[str, Any],
    *,
    links: Sequence[Link] = (),
    start_ns: int | None = None,
    context: Context | None = None,
) -> Span:
    """Start a span below the current one, with the names of its workflow and agent; the caller ends it.

    Without `configure` it is a span of the host's provider, which records nothing by default.
    """
    if context is None:
        context = current()
    inherited = {**scope.of(context).names, **attributes}
    ours = own_tracer()
    if ours is not None:
        return ours.start(name, kind, inherited, context, links, start_ns)
    about: Mapping[str, Any] = inherited
    if (allowed := content_filter()) is not None:
        name, about = allowed.text(name), allowed.attributes(inherited)
    try:
        return tracer().start_span(
            name, context, kind, about, links, start_ns or time.time_ns(),
            record_exception=False, set_status_on_exception=False,
        )  # fmt: skip
    except Exception:  # noqa: BLE001 - the host's provider is any code, and fails while the interpreter ends
        return trace.INVALID_SPAN


@contextmanager
def substituted(telemetry: Telemetry) -> Generator[Telemetry]:
    """Record through `telemetry` inside the block in place of what is configured; for `spanwise.testing`."""
    before = activate(telemetry)
    try:
        yield telemetry
    finally:
        activate(before)


@contextmanager
def paused() -> Generator[None]:
    """Record nothing inside the block: for work that is not part of what is measured."""
    with substituted(Telemetry(Settings(disabled=True), {}, None)):
        yield


def _go_on_in_child() -> None:
    """Let a forked child record for itself: it has the parent's queues and locks, but none of its threads."""
    for telemetry in tuple(_in_children):
        telemetry.go_on_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_go_on_in_child)
