"""Calls of the OpenAI SDK, recorded by OpenTelemetry's own instrumentation of it where that is installed.

What it leaves to us: that a call which somebody records already is not recorded twice.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan

from spanwise.recording import model_calls
from spanwise.recording.lazy_span import LazySpan

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_INSTRUMENTATION: Final = "opentelemetry.instrumentation.genai.openai"


def add_instrumentation() -> Callable[[], object]:
    """Switch OpenTelemetry's instrumentation on, unless there is none, or another one is at work; returns what undoes.

    Raises:
        AttributeError: the SDK is not built as expected.
    """
    import_module("openai.resources.chat.completions")
    if is_instrumented():
        return tuple
    try:
        instrumentor: Any = import_module(_INSTRUMENTATION).OpenAIInstrumentor()
    except ModuleNotFoundError:
        return tuple
    instrumentor.instrument(tracer_provider=_CallsOnce(trace.get_tracer_provider()))
    return lambda: instrumentor.uninstrument()  # noqa: PLW0108 - a singleton that another one may have replaced


def is_instrumented() -> bool:
    """Return whether something stands in the place of the SDK's methods; all instrumentations use wrapt for it."""
    if "openai.resources.chat.completions" not in sys.modules:
        return False
    completions: Any = import_module("openai.resources.chat.completions").Completions
    methods: Mapping[str, object] = completions.__dict__
    return hasattr(methods["create"], "_self_wrapper")


class _CallsOnce(trace.TracerProvider):
    """A provider whose tracers make no span for a call inside of one.

    Args:
        provider: makes the others.
    """

    def __init__(self, provider: trace.TracerProvider) -> None:
        self._provider = provider

    def get_tracer(self, *args: Any, **options: Any) -> trace.Tracer:
        """Return such a tracer."""
        return _Tracer(self._provider.get_tracer(*args, **options))


class _Tracer(trace.Tracer):
    def __init__(self, tracer: trace.Tracer) -> None:
        self._tracer = tracer

    def start_span(self, name: str, context: Any = None, *args: Any, **options: Any) -> trace.Span:
        current = trace.get_current_span(context)
        if model_calls.is_one(current) and not isinstance(current, LazySpan):
            return NonRecordingSpan(current.get_span_context())
        return self._tracer.start_span(name, context, *args, **options)

    def start_as_current_span(self, *args: Any, **options: Any) -> Any:
        return self._tracer.start_as_current_span(*args, **options)
