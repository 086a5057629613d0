"""Stands between spans and everything that keeps or sends them: policy, truncation, redaction, and the host's hook.

`admit` works on ended spans, in the recorder's thread. Where processors of the host see our spans, `before_end` does
the same to the live span, in the calling thread, before they do. The hook comes first, so that what it writes is
redacted, too.
"""

from __future__ import annotations

import importlib
import traceback
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, cast, get_args

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace import Span as LiveSpan
from opentelemetry.trace import Link, Status, StatusCode

from spanwise import conventions as c
from spanwise.content import policy
from spanwise.content.foreign import Foreign
from spanwise.content.rebuilt import WITHHELD, DroppedError, rebuilt, unended, with_attributes
from spanwise.content.redact import LARGE, Redactor
from spanwise.content.truncate import plain_cut, truncated
from spanwise.errors import InputError
from spanwise.otel.span import OwnSpan
from spanwise.process.contained import contained
from spanwise.process.memo import Memo

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from opentelemetry.trace import Span

    from spanwise.content.views import SpanView

Hook: TypeAlias = "Callable[[SpanView], SpanView | None]"
_EVENT_CONTENT: Final = "content"
_OPERATIONS: Final = frozenset(get_args(c.Operation))
_REMEMBERED: Final = 256
"""Longest text that is remembered, in characters."""


_LOOKING: Final = contained("looking through a span")


def load_hook(named: str | Hook) -> Hook:
    """Return the hook that `module:function` names.

    Raises:
        InputError: there is no such module or function.
    """
    importlib.import_module("spanwise.content.views")  # here: a fork amid an import would hang the child
    if callable(named):
        return named
    module, _, function = named.partition(":")
    try:
        found = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise InputError(f"span_hook: {named!r} cannot be loaded ({error}); give module:function") from None
    if not callable(found):
        raise InputError(f"span_hook: {named!r} is no function; give module:function")
    return cast("Hook", found)


class ContentSettings(Protocol):
    """The settings that say what may be recorded; `spanwise.config` explains each."""

    @property
    def capture_content(self) -> Sequence[str]:
        """Kinds of content to record."""
        ...

    @property
    def exceptions(self) -> str:
        """What to record of an exception."""
        ...

    @property
    def content_limit(self) -> int:
        """Longest text, in characters."""
        ...

    @property
    def redact(self) -> bool:
        """Whether secrets and personal data are replaced."""
        ...

    @property
    def redact_patterns(self) -> Sequence[str]:
        """Regular expressions of further things to replace."""
        ...

    @property
    def allow_attributes(self) -> Sequence[str]:
        """Attributes of other libraries that are recorded whatever they hold."""
        ...

    @property
    def span_hook(self) -> str | Hook | None:
        """What has the last word on each ended span."""
        ...


class ContentFilter:
    """What may be recorded, as the settings say; safe to call from any thread."""

    def __init__(self, settings: ContentSettings) -> None:
        self.kinds = frozenset(settings.capture_content)
        self._exceptions = settings.exceptions
        self._limit = settings.content_limit
        self._redactor = Redactor(settings.redact_patterns) if settings.redact else None
        told = {c.EXCEPTION_MESSAGE, c.EXCEPTION_STACKTRACE} - _SILENCED[settings.exceptions]
        everything = self.kinds >= set(policy.KINDS)
        self._foreign = None if everything else Foreign((*settings.allow_attributes, *told))
        """What decides about attributes of other libraries; nothing does where all content is allowed."""
        self._hook = load_hook(settings.span_hook) if settings.span_hook is not None else None
        self._names: Memo[str, bool] = Memo(self._keeps_name)
        self._texts: Memo[str, bool] = Memo(
            lambda text: self.text(text) is text, fits=lambda text, _: len(text) <= _REMEMBERED
        )
        """Whether a text may be recorded as it is."""
        self.hook_error: Exception | None = None
        """What the hook last raised."""

    def allows(self, kind: policy.Kind) -> bool:
        """Whether content of that kind is recorded."""
        return kind in self.kinds

    def text(self, text: str) -> str:
        """Return `text` truncated and redacted."""
        if len(text) > self._limit:
            text = truncated(text, self._limit, plain_cut if self._redactor is None else self._redactor.cut)
        return text if self._redactor is None else self._redactor.text(text)

    @property
    def hooked(self) -> bool:
        """Whether a hook has the last word on each span."""
        return self._hook is not None

    def admit(self, span: ReadableSpan) -> ReadableSpan:
        """Return `span` as it may be recorded: itself where nothing has to change.

        Raises:
            DroppedError: the hook dropped it, or raised: what a broken hook should have removed is not recorded.
        """
        if self._hook is not None:
            span = self._hooked(self._hook, span)
        if type(span) is OwnSpan and span.plain and self._is_harmless(span):
            return span
        given, had, linked = span.attributes or {}, span.events, span.links
        foreign = self._foreign if not isinstance(span, OwnSpan) else None
        name, attributes, status = self.text(span.name), self.attributes(given, foreign), self._status(span.status)
        events, links = [self._event(one, foreign) for one in had], [self.link(one) for one in linked]
        unchanged = name is span.name and attributes is given and status is span.status
        if unchanged and _alike(events, had) and _alike(links, linked):
            return span
        return rebuilt(span, name=name, attributes=attributes, events=events, links=links, status=status)

    def begun(self, span: ReadableSpan, end_ns: int | None = None) -> ReadableSpan:
        """Return what may be recorded of a span that is still open, or of which no more than its end will be.

        Where a hook decides on ended spans, that is its identity alone: nothing that it may want to take out.
        """
        given = dict(span.attributes or {})  # another thread may be setting one
        if self._hook is None:
            foreign = self._foreign if not isinstance(span, OwnSpan) else None
            return unended(span, self.text(span.name), self.attributes(given, foreign), end_ns)
        operation = given.get(c.OPERATION_NAME)
        known = operation if isinstance(operation, str) and operation in _OPERATIONS else ""
        about = {c.OPERATION_NAME: known, c.RUN_ID: given.get(c.RUN_ID)}
        return unended(span, known, self.attributes({name: value for name, value in about.items() if value}), end_ns)

    def attributes(self, given: Mapping[str, Any], foreign: Foreign | None = None) -> Mapping[str, Any]:
        """Return attributes as they may be recorded; the same object where nothing has to change.

        Args:
            given: what a span, an event or a link has.
            foreign: decides about those of another library, besides what holds for all.
        """
        if foreign is not None:
            allowed = self._allowed(foreign, given)
            if allowed is not given:
                return self.attributes(allowed)
        if self._are_harmless(given):
            return given
        kept: dict[str, Any] = {}
        cut: list[str] = []
        for name, value in given.items():
            kind = policy.kind_of(name)
            if kind is None or kind in self.kinds:
                kept[name if self._redactor is None else self._redactor.text(name)] = self._value(name, value)
                if isinstance(value, str) and len(value) > self._limit:
                    cut.append(name)
        if cut:
            kept[c.CONTENT_TRUNCATED] = cut
        unchanged = kept.keys() == given.keys() and all(kept[name] is value for name, value in given.items())
        return given if unchanged else kept

    def _allowed(self, foreign: Foreign, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what another library may say, with content of the kinds that are on."""
        content = {name: value for name, value in given.items() if policy.kind_of(name) is not None}
        if not content:
            return foreign.attributes(given)
        rest = foreign.attributes({name: value for name, value in given.items() if name not in content})
        kept = {name: value for name, value in content.items() if policy.kind_of(name) in self.kinds}
        return {**rest, **kept}

    def _is_harmless(self, span: OwnSpan) -> bool:
        return not span.status.description and self._texts[span.name] and self._are_harmless(span.own_attributes)

    def _are_harmless(self, given: Mapping[str, Any]) -> bool:
        """Whether all attributes may be recorded as they are; names and short texts repeat, so most are remembered."""
        names, texts = self._names, self._texts
        for name, value in given.items():
            if not names[name]:
                return False
            kind = type(value)  # pyright: ignore[reportUnknownVariableType]
            if kind is str:
                if len(value) > _REMEMBERED or not texts[value]:
                    return False  # a long text is looked through once, by whoever takes something out of it
            elif kind is int:
                if value >= LARGE:
                    return False
            elif kind is not float and kind is not bool:
                return False
        return True

    def _keeps_name(self, name: str) -> bool:
        """Whether attributes of that name may be recorded, if their values may."""
        kind = policy.kind_of(name)
        allowed = kind is None or kind in self.kinds
        return allowed and (self._redactor is None or self._redactor.is_sound_name(name))

    def before_end(self, span: Span) -> None:
        """Make a live span what `admit` would make of it, except for the hook, which cannot take it from others."""
        if not isinstance(span, LiveSpan | OwnSpan) or not span.is_recording():
            return
        with _LOOKING:
            self._clean(span)
            return
        span.set_attributes(dict.fromkeys(dict(span.attributes or {}), WITHHELD))

    def _clean(self, span: LiveSpan | OwnSpan) -> None:
        given = dict(span.attributes or {})  # another thread may be setting one
        kept = self.attributes(given)
        if kept is not given:
            # An attribute of a live span can be overwritten and not be removed.
            span.set_attributes(dict.fromkeys(given.keys() - kept.keys(), WITHHELD) | dict(kept))
        if (name := self.text(span.name)) is not span.name:
            span.update_name(name)
        if (status := self._status(span.status)) is not span.status:
            span.set_status(status)
        for event in span.events:
            if (new := self._event(event)) is not event:
                event._name, event._attributes = new.name, new.attributes  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
        if isinstance(span, OwnSpan):
            span.relink(self.link)

    def redact_started(self, span: LiveSpan) -> None:
        """Take secrets out of what another library's span is started with, before any processor is shown it.

        As in `redact_ended`, nothing else applies; values that cannot be looked through are withheld; never raises.
        """
        if self._redactor is None:
            return
        with _LOOKING:
            attributes = _redacted(self._redactor, span.attributes)
            if attributes is not None:
                span.set_attributes(attributes)
            _redact_all(self._redactor, span.links)
            if (name := self._redactor.text(span.name)) is not span.name:
                span.update_name(name)
            return
        span.set_attributes(dict.fromkeys(span.attributes or {}, WITHHELD))

    def redact_ended(self, span: LiveSpan) -> None:
        """Take secrets out of another library's span that has just ended, before any processor is shown it.

        What it may hold otherwise is its library's business: neither the content policy nor the hook applies here.
        Values that cannot be looked through are withheld; never raises.
        """
        if self._redactor is None:
            return
        with _LOOKING:
            attributes = _redacted(self._redactor, span.attributes)
            if attributes is not None:
                _replace(span, attributes)
            _redact_all(self._redactor, [*span.events, *span.links])
            said = span.status.description
            if said and (text := self._redactor.text(said)) is not said:
                span._status = Status(span.status.status_code, text)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
            if (name := self._redactor.text(span.name)) is not span.name:
                span._name = name  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
            return
        _replace(span, dict.fromkeys(span.attributes or {}, WITHHELD))

    def tell(self, span: Span, error: BaseException, kind: str) -> None:
        """Record what `error` says on `span`, as far as the settings let exceptions speak."""
        if self._exceptions == "type" or not span.is_recording():
            return
        message = self.text(_message(error))
        attributes = {c.EXCEPTION_TYPE: kind, c.EXCEPTION_MESSAGE: message}
        if self._exceptions == "stacktrace":
            attributes[c.EXCEPTION_STACKTRACE] = self.text(_stacktrace(error))
        span.add_event(c.EXCEPTION_EVENT, attributes)
        span.set_status(Status(StatusCode.ERROR, message))

    def _hooked(self, hook: Hook, span: ReadableSpan) -> ReadableSpan:
        from spanwise.content import views  # noqa: PLC0415 - loaded with the hook already

        try:
            after = hook(views.view(span))
            rewritten = None if after is None else views.applied(span, after)
        except Exception as error:
            self.hook_error = error
            raise DroppedError("hook_failed") from error
        if rewritten is None:
            raise DroppedError("hook")
        return rewritten

    def _value(self, name: str, value: Any) -> Any:
        if isinstance(value, str) and len(value) > self._limit:
            value = truncated(value, self._limit, plain_cut if self._redactor is None else self._redactor.cut)
        return value if self._redactor is None else self._redactor.value(name, value)

    def _event(self, event: Event, foreign: Foreign | None = None) -> Event:
        given = event.attributes or {}
        kept = self.attributes(given, None if event.name == c.EXCEPTION_EVENT else foreign)
        if event.name.startswith("gen_ai.") and _EVENT_CONTENT in kept and not self.kinds & _MESSAGES:
            kept = {name: value for name, value in kept.items() if name != _EVENT_CONTENT}
        silenced = _SILENCED[self._exceptions]
        if event.name == c.EXCEPTION_EVENT and silenced & kept.keys():
            kept = {name: value for name, value in kept.items() if name not in silenced}
        name = self.text(event.name)
        return event if name is event.name and kept is given else with_attributes(event, name, kept)

    def link(self, link: Link) -> Link:
        """Return a link as it may be recorded; the same object where nothing has to change."""
        given = link.attributes or {}
        kept = self.attributes(given)
        return link if kept is given else Link(link.context, kept)

    def _status(self, status: Status) -> Status:
        said = status.description
        if not said:
            return status
        if self._exceptions == "type":
            return Status(status.status_code)
        text = self.text(said)
        return status if text is said else Status(status.status_code, text)


def _redacted(redactor: Redactor, given: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return attributes without secrets; none where they have none."""
    if not given:
        return None
    had = dict(given)  # once: each look into the SDK's attributes takes their lock
    kept = {redactor.text(name): redactor.value(name, value) for name, value in had.items()}
    return kept if any(kept.get(name) is not value for name, value in had.items()) else None


def _redact_all(redactor: Redactor, entries: Sequence[Event | Link]) -> None:
    for entry in entries:
        attributes = _redacted(redactor, entry.attributes)
        if attributes is not None:
            _replace(entry, attributes)


def _replace(holder: Any, attributes: Mapping[str, Any]) -> None:
    """Give an ended span, an event or a link other attributes; it has no public way to."""
    bounded = BoundedAttributes(None, attributes)
    bounded.dropped = holder.dropped_attributes
    holder._attributes = bounded  # noqa: SLF001


_MESSAGES: Final = frozenset({"prompts", "completions"})
_SILENCED: Final[Mapping[str, frozenset[str]]] = {
    "type": frozenset({c.EXCEPTION_MESSAGE, c.EXCEPTION_STACKTRACE}),
    "message": frozenset({c.EXCEPTION_STACKTRACE}),
    "stacktrace": frozenset(),
}


def _alike(new: list[Any], old: Any) -> bool:
    return all(one is other for one, other in zip(new, old, strict=True))


def _message(error: BaseException) -> str:
    with _LOOKING:  # an exception of the host may be unable to say what it is
        return str(error)
    return ""


def _stacktrace(error: BaseException) -> str:
    with _LOOKING:
        return "".join(traceback.format_exception(error))
    return ""
