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

from spanwise import setup
from spanwise.config.declaration import folder
from spanwise.config.settings import Sourced, default_of, resolve, settings_of
from spanwise.content.filter import ContentFilter
from spanwise.recording.build import processor_of
from spanwise.recording.metrics import SpanMetrics
from spanwise.recording.telemetry import Telemetry, active

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.trace import ReadableSpan

    from spanwise.config.settings import Settings
    from spanwise.recording.processor import RecordingProcessor

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
        self._telemetry: Telemetry | None = None
        self._processor: RecordingProcessor | None = None
        if active() is not None:
            return  # the program has configured spanwise itself
        sources = resolve({})
        for name in ("otlp.endpoint", "otlp.protocol"):  # OpenTelemetry's are for the exporter `otlp`
            if sources[name].source.startswith("OTEL_"):
                sources[name] = Sourced(default_of(name), "default")
        settings = settings_of(sources)
        settings = settings._replace(journal_dir=settings.journal_dir or folder(DEFAULT_FOLDER))
        if sources["integrations"].source == "default":  # OpenTelemetry's set-up chooses what is instrumented
            settings = settings._replace(integrations=())
        if isinstance(trace.get_tracer_provider(), TracerProvider):
            self._telemetry = setup.configured(settings, sources)
        elif not settings.disabled:
            self._processor = _processor(settings)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Write `spans`, unless the recorder has seen them already."""
        if self._processor is not None and active() is None:
            for span in spans:
                self._processor.ledger.start()
                self._processor.take(span)
        return SpanExportResult.SUCCESS

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Wait until everything is written and delivered; false on timeout."""
        if self._processor is not None:
            return self._processor.force_flush(timeout_millis)
        return self._telemetry is None or self._telemetry.flush(timeout_millis / 1000)

    def shutdown(self) -> None:
        """Write what is left and end the threads."""
        if self._processor is not None:
            self._processor.shutdown()
        if self._telemetry is not None and active() is self._telemetry:
            setup.shutdown()


def _processor(settings: Settings) -> RecordingProcessor:
    return processor_of(settings, SpanMetrics(), ContentFilter(settings))
