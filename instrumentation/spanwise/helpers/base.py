"""What all span helpers have in common: a span as a context manager, and around each call of what it decorates.

It is made by our own `OwnTracer` where `configure` was called, else by the host's provider. What may not be recorded of
a name or an attribute is taken out before anything sees it. An exception passes through unchanged.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, ParamSpec, Self, TypeVar

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode

from spanwise import conventions as c
from spanwise.content import messages as forms
from spanwise.helpers.decorate import traced
from spanwise.otel import task_hook
from spanwise.otel.context import SPAN_KEY, attach, current, leave
from spanwise.otel.span import OwnSpan
from spanwise.otel.values import MOST, text
from spanwise.process.contained import contained
from spanwise.recording import scope as scopes
from spanwise.recording import telemetry as active_telemetry

if TYPE_CHECKING:
    from types import TracebackType

    from opentelemetry.trace import Span

    from spanwise.content.filter import ContentFilter
    from spanwise.content.policy import Kind

P = ParamSpec("P")
R = TypeVar("R")
AttributeValue = str | bool | int | float | Sequence[str] | Sequence[bool] | Sequence[int] | Sequence[float]
# Past a metaclass, whose attributes are the host's code
_qualname_of: Final[Any] = type.__dict__["__qualname__"].__get__
_module_of: Final[Any] = type.__dict__["__module__"].__get__
_SCOPE_KEY: Final = scopes.KEY
_NO_SCOPE: Final = scopes.NONE


TELLING: Final = contained("telling a span something")


def error_type(error: BaseException) -> str:
    """Return `error.type` of an exception: an HTTP status code where it has one, else its qualified class name."""
    with TELLING:  # a property of the host's exception must not replace the exception
        status = getattr(error, "status_code", None)
        if isinstance(status, int):
            return str(int.__int__(status))
    name: str = _qualname_of(type(error))
    try:
        module = text(_module_of(type(error)))
    except AttributeError:  # somebody deleted it
        module = "builtins"
    return name if module == "builtins" else f"{module}.{name}"


def _valid(links: Sequence[Any]) -> list[Link]:
    return [one for one in islice(links, MOST) if isinstance(one, Link)]


def harmless(tell: Callable[P, None]) -> Callable[P, None]:
    """Return a method of a span that is told something by the host, as one that never raises.

    What cannot be read (an object whose methods raise, a number that is none) costs the span that detail.
    """

    @functools.wraps(tell)
    def told(*args: P.args, **kwargs: P.kwargs) -> None:
        with TELLING:
            tell(*args, **kwargs)

    return told


class SpanHelper:
    """A span as a context manager, or around each call of a function that it decorates.

    Entering it twice at the same time is an error of the caller; a decorator makes a new one for each call.
    """

    _span: Span = trace.INVALID_SPAN
    _above: scopes.Scope = scopes.NONE
    """The workflow and agent that it is in."""
    _filter: ContentFilter | None = None
    _hashes = False
    """Whether hashes of what is asked and returned are recorded."""
    _token: Any = None
    _ended = False
    _announced = False
    """Whether its start is recorded, so that it is seen while it is open."""

    def __init__(
        self,
        name: str,
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Mapping[str, AttributeValue],
        links: Sequence[Link] = (),
    ) -> None:
        self._name = name
        self._kind = kind
        self._attributes = attributes
        self._links = _valid(links) if links else links

    @property
    def name(self) -> str:
        """Name that the span is started with."""
        return self._name

    @property
    def kind(self) -> SpanKind:
        """Kind of the span."""
        return self._kind

    @property
    def attributes(self) -> Mapping[str, AttributeValue]:
        """What the span is started with."""
        return self._attributes

    @property
    def span(self) -> Span:
        """The OpenTelemetry span; a non-recording one before entering."""
        return self._span

    @property
    def context(self) -> SpanContext:
        """The identity of the span, to link to."""
        return self._span.get_span_context()

    def set(self, name: str, value: AttributeValue) -> Self:
        """Set an attribute; use names of `spanwise.conventions` or your own."""
        self._span.set_attribute(name, value)
        return self

    def fail(self, kind: str) -> None:
        """Mark the span as ended in an error of that `error.type`, without an exception."""
        self._span.set_attribute(c.ERROR_TYPE, kind)
        self._span.set_status(Status(StatusCode.ERROR))

    def start(self) -> Self:
        """Start the span without making it current; end it with `end`."""
        self._begin(current())
        return self

    def _begin(self, context: Context) -> None:
        telemetry = active_telemetry.active()
        self._above = context.get(_SCOPE_KEY, _NO_SCOPE)  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
        if telemetry is None or (own_tracer := telemetry.own_tracer) is None:
            self._filter = active_telemetry.content_filter()
            self._span = active_telemetry.start_span(
                self._name, self._kind, self._attributes, links=self._links, context=context
            )
        else:
            self._filter, self._hashes = telemetry.content_filter, telemetry.settings.fingerprints
            attributes = {**self._above.names, **self._attributes}
            self._span = span = own_tracer.start(self._name, self._kind, attributes, context, self._links)
            if self._announced:
                own_tracer.began(span)
        if task_hook.watcher is not None:
            task_hook.watcher.started(self._span)

    def end(self, error: BaseException | None = None) -> None:
        """End the span, once; later calls do nothing."""
        if self._ended:
            return
        self._ended = True
        allowed = self._filter
        if error is not None and not issubclass(type(error), GeneratorExit):  # `isinstance` asks the exception
            self.fail(error_type(error))
            if allowed is not None:
                allowed.tell(self._span, error, error_type(error))
        self._before_end()
        if task_hook.watcher is not None:
            task_hook.watcher.ended(self._span)
        if not isinstance(self._span, OwnSpan) and allowed is not None and active_telemetry.shared():
            allowed.before_end(self._span)  # a span of ours sees to it itself
        self._span.end()

    def _before_end(self) -> None:
        """Let a subclass write what it gathered."""

    def yielded(self) -> None:
        """Note that a decorated generator has given a value."""

    def _inside(self, context: Context) -> Context:
        """Return the context that is current inside the span."""
        return Context({**context, SPAN_KEY: self._span})

    def inside(self, outer: Context | None = None) -> Context:
        """Start the span and return the context for what runs inside it, without making that current.

        Args:
            outer: the context that it is started in; by default the current one.
        """
        outer = current() if outer is None else outer
        self._begin(outer)
        return self._inside(outer)

    def records(self, kind: Kind) -> bool:
        """Whether content of that kind is recorded: to spare the making of what would not be."""
        allowed = self._filter
        return allowed is not None and kind in allowed.kinds and self._span.is_recording()

    def content(self, kind: Kind, name: str, value: object) -> None:
        """Record content of a kind, as JSON unless it is text, where that kind is allowed."""
        if not self.records(kind):
            return
        text = value if isinstance(value, str) else forms.encoded(value)
        if text is not None:
            self._span.set_attribute(name, text)

    def __enter__(self) -> Self:
        """Start the span and make it current."""
        outer = current()
        self._begin(outer)
        self._token = attach(self._inside(outer))
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        """End the span; an exception passes through."""
        if task_hook.watcher is not None:
            task_hook.watcher.leaving()
        try:  # noqa: SIM105 - as in `harmless`
            leave(self._token)
        except (ValueError, RuntimeError):  # of another task or thread; left already
            pass
        self.end(error)

    async def __aenter__(self) -> Self:
        """Start the span and make it current."""
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        """End the span; an exception passes through."""
        self.__exit__(kind, error, where)

    def fresh(self) -> Self:
        """Return another one like it, not started."""
        return type(self)(self._name, kind=self._kind, attributes=self._attributes, links=self._links)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Return `function` with a span around each call, or around what each of its generators does.

        Coroutine functions, generators and async generators stay what they are; class and static methods may be
        decorated above or below their own decorator.
        """
        return traced(self, function)
