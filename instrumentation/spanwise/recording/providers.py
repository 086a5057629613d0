"""Tracer providers: the host's, which is kept and given our processors, or one of ours, which is made and set.

A provider cannot give a processor back, so the one that it gets from us stays, and what it hands spans to changes.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary, WeakSet

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, SynchronousMultiSpanProcessor, TracerProvider

from spanwise import conventions as c
from spanwise.config.settings import Settings
from spanwise.otel.span import Watch

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span

    from spanwise.recording.processor import RecordingProcessor


class Relay(SpanProcessor):
    """Hands the spans of a provider to the recorder in force."""

    target: RecordingProcessor | None = None

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Hand on a span that has begun."""
        if self.target is not None:
            self.target.on_start(span, parent_context)

    def on_end(self, span: ReadableSpan) -> None:
        """Hand on a span that has ended."""
        if self.target is not None:
            self.target.on_end(span)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Have everything written and delivered."""
        return self.target is None or self.target.force_flush(timeout_millis)


class _Cleaner(SpanProcessor):
    """Takes secrets out of spans of other libraries before other processors are shown them, as it stands first.

    Our relay does not: a flush goes through the processors in turn, and theirs must not wait for what we send.
    """

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002 - its signature
        if (target := self._relay.target) is not None:
            target.on_starting(span)

    def _on_ending(self, span: Span) -> None:
        if (target := self._relay.target) is not None:
            target.on_ending(span)


class OwnProvider(TracerProvider):
    """A provider that `configure` made: it knows whether somebody else added a processor."""

    def __init__(self, resource: Resource) -> None:
        self.watch = Watch(others=False)
        super().__init__(resource=resource, shutdown_on_exit=False)

    def add_span_processor(self, span_processor: SpanProcessor) -> None:
        """Add a processor, and note where it is not ours."""
        if not isinstance(span_processor, Relay):
            self.watch.others = True
        super().add_span_processor(span_processor)


_relays: Final[WeakKeyDictionary[TracerProvider, Relay]] = WeakKeyDictionary()
_own: Final[WeakSet[TracerProvider]] = WeakSet()
_newest: TracerProvider | None = None


def in_force(settings: Settings) -> TracerProvider:
    """Return the host's provider, else one of ours with the resource that the settings name."""
    existing = trace.get_tracer_provider()
    if isinstance(existing, TracerProvider) and existing not in _own:
        return existing
    return _own_provider(settings)


def _own_provider(settings: Settings) -> TracerProvider:
    global _newest  # noqa: PLW0603 - a process has one provider of ours in force
    attributes: dict[str, Any] = {"service.name": settings.service_name}
    if settings.time_scale != Settings().time_scale:
        attributes[c.TIME_SCALE] = settings.time_scale
    resource = Resource(_surroundings()).merge(Resource.create(attributes))
    if _newest is None or _newest.resource != resource:
        _newest = OwnProvider(resource)
        _own.add(_newest)
    if not isinstance(trace.get_tracer_provider(), TracerProvider):
        trace.set_tracer_provider(_newest)
    return _newest


def _surroundings() -> dict[str, Any]:
    """Return the machine and the interpreter, by the conventions' names; `OTEL_RESOURCE_ATTRIBUTES` goes before."""
    machine = os.uname()
    return {
        "host.name": machine.nodename,
        "host.arch": machine.machine,
        "os.type": machine.sysname.lower(),
        "process.runtime.name": sys.implementation.name,
        "process.runtime.version": ".".join(map(str, sys.version_info[:3])),
    }


def attached(provider: TracerProvider | None) -> tuple[TracerProvider, ...]:
    """Return `provider`, and the global one where that is an older one of ours: its tracers may still be in use."""
    if provider is None:
        return ()
    current = trace.get_tracer_provider()
    if isinstance(current, TracerProvider) and current is not provider and current in _own:
        return provider, current
    return (provider,)


def relay_of(provider: TracerProvider) -> Relay:
    """Return our processor of a provider, which gets one where it has none."""
    relay = _relays.get(provider)
    if relay is None:
        relay = _relays[provider] = Relay()
        provider.add_span_processor(relay)
        _put_first(provider, _Cleaner(relay))
    return relay


def _put_first(provider: TracerProvider, cleaner: _Cleaner) -> None:
    """Have `cleaner` called before the processors that are there already; where they run at once it is one of them."""
    processors = provider._active_span_processor  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    if not isinstance(processors, SynchronousMultiSpanProcessor):
        provider.add_span_processor(cleaner)
        return
    with processors._lock:  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
        processors._span_processors = (cleaner, *processors._span_processors)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
