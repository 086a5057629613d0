"""A span of our own that is a real OpenTelemetry span, for the speed of a plain object.

It is a `trace.Span`, so children of any library parent to it and propagators inject it, and a `ReadableSpan`, so
foreign processors and exporters read it as it is. What few spans have (events, a status, a trace state) are class
defaults; its `SpanContext` is made when somebody asks. Attributes are a plain dict that only grows until the span ends.
"""

from __future__ import annotations

import time
import traceback
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from opentelemetry import trace
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from spanwise.otel.values import clean, weight_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SpanLimits
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import TraceState

    Fields: TypeAlias = tuple[int, int, int, str, int, int, int | None, dict[str, Any], Status | None]
    """Trace, span and parent id (0: none), name, kind as OTLP counts it, start and end in ns, attributes, status."""

SAMPLED: Final = int(TraceFlags.SAMPLED)
_FLAGS: Final = tuple(TraceFlags(value) for value in range(4))
_UNSET: Final = Status()


class Origin(Protocol):
    """What started a span: one tracer of one provider, with its limits, and what is told of the span's end."""

    scope: InstrumentationScope
    limits: SpanLimits
    longest_text: int
    longest_value: int
    long: int
    """Texts up to this many characters need no look."""
    most_attributes: int
    lock: AbstractContextManager[Any]
    watch: Watch
    take: Callable[[OwnSpan], None]

    @property
    def resource(self) -> Resource:
        """The provider's resource."""
        ...

    def before_end(self, span: OwnSpan) -> None:
        """Learn that a span is about to end, where processors of others watch."""

    def announce_end(self, span: OwnSpan) -> None:
        """Learn that a span has ended, where processors of others watch."""


class Watch:
    """Whether a provider has processors of others."""

    __slots__ = ("others",)

    def __init__(self, *, others: bool) -> None:
        self.others = others


class OwnSpan(trace.Span, ReadableSpan):
    """A span that an `OwnTracer` started. It ends once; what is done to it afterwards does nothing.

    `trace_id`, `span_id`, `parent_id` (0 for a root) and `flags` are its identity as plain integers; `own_attributes`
    and `start_ns` are what it holds; `own_tracer` started it, and stands for one resource and scope; `weight` is about
    how many bytes that takes beyond an ordinary span.
    """

    __slots__ = (
        "_end_time", "_kind", "_name", "_not_ended", "flags", "own_attributes", "own_tracer", "parent_id", "span_id",
        "start_ns", "trace_id", "weight",
    )  # fmt: skip

    _events: Sequence[Event] = ()
    _links: Sequence[Link] = ()
    _status: Status = _UNSET
    trace_state: TraceState | None = None
    foreign_parent: SpanContext | None = None
    """The parent, where it is no span of ours."""
    plain = True
    """Whether it has nothing that few spans have: events, links, a trace state, a foreign parent, lost details."""
    is_watched = False
    """Whether processors of others have seen it start."""
    measured_only = False
    """The sampler does not want it: it is measured, and neither written nor sent."""
    _made_context: SpanContext | None = None
    _lost_attributes = 0
    _lost_events = 0
    _lost_links = 0

    def __init__(  # noqa: PLR0917 - keywords cost the hot path a tenth of a microsecond
        self,
        own_tracer: Origin,
        name: str,
        kind: SpanKind,
        attributes: dict[str, Any],
        trace_id: int,
        span_id: int,
        parent_id: int,
        flags: int,
        start_ns: int,
    ) -> None:
        self.own_tracer = own_tracer
        self._name = name
        self._kind = kind
        self.own_attributes = attributes
        self.trace_id = trace_id
        self.span_id = span_id
        self.parent_id = parent_id
        self.flags = flags
        self.start_ns = start_ns
        self._end_time: int | None = None
        self._not_ended = True
        self.weight = 0

    @property
    def context(self) -> SpanContext:
        """Its identity, made on first use."""
        made = self._made_context
        if made is None:
            made = self._made_context = SpanContext(
                self.trace_id, self.span_id, is_remote=False, trace_flags=_FLAGS[self.flags & 3],
                trace_state=self.trace_state,
            )  # fmt: skip
        return made

    def get_span_context(self) -> SpanContext:
        """Return its identity."""
        return self._made_context or self.context

    # What methods of ReadableSpan read instead of the properties.

    @property
    def _context(self) -> SpanContext:  # type: ignore[override]  # nobody sets it
        return self.context

    @property
    def _attributes(self) -> dict[str, Any]:  # type: ignore[override]
        return self.own_attributes

    @property
    def _start_time(self) -> int:  # type: ignore[override]
        return self.start_ns

    @property
    def parent(self) -> SpanContext | None:
        """Identity of the parent."""
        if self.foreign_parent is not None:
            return self.foreign_parent
        if not self.parent_id:
            return None
        return SpanContext(
            self.trace_id, self.parent_id, is_remote=False, trace_flags=_FLAGS[self.flags & 3],
            trace_state=self.trace_state,
        )  # fmt: skip

    @property
    def attributes(self) -> Mapping[str, Any]:
        """A view of the attributes."""
        return MappingProxyType(self.own_attributes)

    def fields(self) -> Fields:
        """Return what a plain span consists of; no status where none was set."""
        status = self._status
        return (
            self.trace_id, self.span_id, self.parent_id, self._name, self._kind._value_ + 1, self.start_ns,
            self._end_time, self.own_attributes, None if status is _UNSET else status,
        )  # fmt: skip

    @property
    def resource(self) -> Resource:
        """What made it: the provider's resource."""
        return self.own_tracer.resource

    _resource = resource

    @property
    def instrumentation_scope(self) -> InstrumentationScope:
        """The name of this library."""
        return self.own_tracer.scope

    @property
    def dropped_attributes(self) -> int:
        """How many attributes the limit refused."""
        return self._lost_attributes

    @property
    def dropped_events(self) -> int:
        """How many events the limit pushed out."""
        return self._lost_events

    @property
    def dropped_links(self) -> int:
        """How many links the limit pushed out."""
        return self._lost_links

    def is_recording(self) -> bool:
        """Whether it is open; true where it is measured and not sampled, too."""
        return self._end_time is None

    def set_attribute(self, key: str, value: Any) -> None:
        """Set an attribute; beyond the limit new names are refused, so that what a span is called by stays."""
        if self._end_time is not None:
            return
        attributes, own_tracer = self.own_attributes, self.own_tracer
        if type(key) is not str or not key or (len(attributes) >= own_tracer.most_attributes and key not in attributes):
            self._lost_attributes += 1
            self.plain = False
            return
        scalar = type(value)  # pyright: ignore[reportUnknownVariableType]
        if scalar is str:
            if (length := len(value)) > own_tracer.long:
                if length > own_tracer.longest_value:
                    value = clean(value, own_tracer.longest_value)
                self.weight += length
        elif scalar is not int and scalar is not bool:
            value = clean(value, own_tracer.longest_value)
            if scalar is not float:
                self.weight += weight_of(value)
        attributes[key] = value

    def keep(self, most: int) -> None:
        """Refuse attributes given at the start beyond the first `most`."""
        if len(self.own_attributes) > most:
            self._lost_attributes += len(self.own_attributes) - most
            self.plain = False
            self.own_attributes = dict(list(self.own_attributes.items())[:most])

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Set attributes, one after the other."""
        if self._end_time is not None:
            return
        own, most, long = self.own_attributes, self.own_tracer.most_attributes, self.own_tracer.long
        for key, value in attributes.items():
            kind: type[Any] = type(value)  # pyright: ignore[reportUnknownVariableType]
            # A tuple of one text is what finish reasons mostly are.
            text = value[0] if kind is tuple and len(value) == 1 else value
            is_plain = len(text) <= long if type(text) is str else kind is int or kind is float or kind is bool
            if is_plain and type(key) is str and key and len(own) < most:
                own[key] = value
            else:
                self.set_attribute(key, value)

    def add_event(self, name: str, attributes: Mapping[str, Any] | None = None, timestamp: int | None = None) -> None:
        """Add an event now or at `timestamp` (Unix ns)."""
        if self._end_time is not None:
            return
        limits = self.own_tracer.limits
        event = Event(name, self._bounded(attributes, limits.max_event_attributes), timestamp or time.time_ns())
        self.plain = False
        self.weight += weight_of(event.attributes)
        with self.own_tracer.lock:
            self._events, lost = _appended(self._events, event, limits.max_events)
            self._lost_events += lost

    def add_link(self, context: SpanContext, attributes: Mapping[str, Any] | None = None) -> None:
        """Add a link to another span; one that points nowhere and says nothing is left out."""
        if self._end_time is not None or not (context.is_valid or attributes or context.trace_state):
            return
        limits = self.own_tracer.limits
        link = Link(context, self._bounded(attributes, limits.max_link_attributes))
        self.plain = False
        with self.own_tracer.lock:
            self._links, lost = _appended(self._links, link, limits.max_links)
            self._lost_links += lost

    def _bounded(self, attributes: Mapping[str, Any] | None, most: int | None) -> BoundedAttributes:
        longest = self.own_tracer.longest_text
        cleaned = {key: clean(value, longest) for key, value in (attributes or {}).items() if key}
        kept = dict(list(cleaned.items())[:most])
        bounded = BoundedAttributes(most, kept)
        bounded.dropped = len(attributes or ()) - len(kept)
        return bounded

    def relink(self, change: Callable[[Link], Link]) -> None:
        """Put what `change` returns in place of each link."""
        with self.own_tracer.lock:
            self._links = tuple(change(one) for one in self._links)

    def update_name(self, name: str) -> None:
        """Rename it."""
        if self._end_time is None:
            self._name = name

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """Set the status; OK is final, and unset changes nothing."""
        if isinstance(status, StatusCode):
            status = Status(status, description if status is StatusCode.ERROR else None)
        settled = self._status.status_code is StatusCode.OK or status.status_code is StatusCode.UNSET
        if self._end_time is None and not settled:
            self._status = status

    def record_exception(
        self,
        exception: BaseException,
        attributes: Mapping[str, Any] | None = None,
        timestamp: int | None = None,
        escaped: bool = False,  # noqa: FBT001, FBT002 - OpenTelemetry's signature
    ) -> None:
        """Add an event with the exception's type, message and stack: the caller asks for what the helpers leave out."""
        kind = type(exception)
        named = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
        about: dict[str, Any] = {
            "exception.type": named,
            "exception.message": clean(_Shown(exception)),
            "exception.stacktrace": clean(_Stack(exception)),
            "exception.escaped": str(escaped),
        }
        self.add_event("exception", about | dict(attributes or {}), timestamp)

    def end(self, end_time: int | None = None) -> None:
        """End it, now or at `end_time` (Unix ns), at least a nanosecond after its start; later calls do nothing.

        Trace stores mark a span without duration as broken, and a clock can stand still or go back.
        """
        try:
            del self._not_ended  # of two threads that end it, one gets past this
        except AttributeError:
            return
        end_ns = time.time_ns() if end_time is None else end_time
        if end_ns <= self.start_ns:
            end_ns = self.start_ns + 1
        own_tracer = self.own_tracer
        if own_tracer.watch.others:
            own_tracer.before_end(self)
        self._end_time = end_ns
        own_tracer.take(self)
        if own_tracer.watch.others:
            own_tracer.announce_end(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self._name!r}, context={self.context})"


class _Shown:
    """An exception's message, written only under the guard of `clean`."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __str__(self) -> str:
        return str(self._error)


class _Stack(_Shown):
    """Its stack, likewise."""

    def __str__(self) -> str:
        return "".join(traceback.format_exception(self._error))


def _appended(present: Sequence[Any], one: Any, most: int | None) -> tuple[tuple[Any, ...], int]:
    """Return the newest `most` of `present` and `one`, and how many that leaves out."""
    joined = (*present, one)
    lost = 0 if most is None else max(0, len(joined) - most)
    return joined[lost:], lost
