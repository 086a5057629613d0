"""`OTEL_TRACES_EXPORTER=otlp,spanwise`: the journal for programs that OpenTelemetry's own set-up configures.

An exporter stands behind the SDK's batch processor, which drops most of a burst without a word. So this one takes
nothing from it where it can help it: it attaches the recorder to the tracer provider, which sees every span itself, and
the ledger is as exact as after `configure`. Only where there is no provider yet does it write what it is given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from spanwise import runtime
from spanwise.assembly import recorder_of
from spanwise.config.settings import Settings, resolve, settings_of
from spanwise.content.guard import Guard
from spanwise.metrics import SpanMetrics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.trace import ReadableSpan

    from spanwise.recorder import Recorder

DEFAULT_FOLDER = ".spanwise"


class JournalExporter(SpanExporter):
    """Records into the journal of the settings, or into `.spanwise` here where none is set.

    What `OTEL_EXPORTER_OTLP_*` names as an endpoint is left to the exporter `otlp`; `SPANWISE_ENDPOINT` is sent to, by
    `SPANWISE_PROTOCOL`.

    Raises:
        InputError: a setting cannot be used.
        UnavailableError: the journal folder cannot be used.
    """

    def __init__(self) -> None:
        self._telemetry: runtime.Telemetry | None = None
        self._recorder: Recorder | None = None
        if runtime.active() is not None:
            return  # the program has configured spanwise itself
        sources = resolve({})
        settings = settings_of(sources)
        if sources["endpoint"].source.startswith("OTEL_"):
            settings = settings._replace(endpoint=None)
        elif sources["protocol"].source.startswith("OTEL_"):  # the exporter's, and gRPC under opentelemetry-instrument
            settings = settings._replace(protocol=Settings().protocol)
        settings = settings._replace(journal_dir=settings.journal_dir or DEFAULT_FOLDER)
        if isinstance(trace.get_tracer_provider(), TracerProvider):
            self._telemetry = runtime.configured(settings, sources)
        elif not settings.disabled:
            self._recorder = _recorder(settings)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Write `spans`, unless the recorder has seen them already."""
        if self._recorder is not None and runtime.active() is None:
            for span in spans:
                self._recorder.ledger.start()
                self._recorder.take(span)
        return SpanExportResult.SUCCESS

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Wait until everything is written and delivered; false on timeout."""
        if self._recorder is not None:
            return self._recorder.force_flush(timeout_millis)
        return self._telemetry is None or self._telemetry.flush(timeout_millis / 1000)

    def shutdown(self) -> None:
        """Write what is left and end the threads."""
        if self._recorder is not None:
            self._recorder.shutdown()
        if self._telemetry is not None and runtime.active() is self._telemetry:
            runtime.shutdown()


def _recorder(settings: Settings) -> Recorder:
    return recorder_of(settings, SpanMetrics(), Guard(settings))
