"""A helper whose span is recorded only if something is found below it, or if it is announced."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spanwise.helpers.base import SpanHelper
from spanwise.otel import task_hook
from spanwise.recording import scope as scopes
from spanwise.recording import telemetry as active_telemetry

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from spanwise.recording.lazy_span import LazySpan


class Lazy(SpanHelper):
    """A helper of a lazy span; it needs recording to be set up."""

    lazy_span: LazySpan
    """The span, once it is started."""

    def _begin(self, context: Context) -> None:
        telemetry = active_telemetry.active()
        assert telemetry is not None
        assert telemetry.own_tracer is not None
        self._above = scopes.of(context)
        self._filter, self._hashes = telemetry.content_filter, telemetry.settings.fingerprints
        attributes = {**self._above.names, **self._attributes}
        self._span = self.lazy_span = telemetry.own_tracer.start_lazily(self._name, self._kind, attributes, context)
        if task_hook.watcher is not None:
            task_hook.watcher.started(self._span)
