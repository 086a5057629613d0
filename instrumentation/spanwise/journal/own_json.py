"""Our own spans as OTLP/JSON text, admitted and put together from pieces that are remembered.

Attributes repeat from span to span, so what a pair of name and text looks like in JSON is kept: a pair that is known has
been found harmless, too, and both cost one look-up. It writes byte for byte what `otlp_json` writes of the same span (a
test holds the two together), which still takes all that is rare: events, links, trace states, foreign parents, values
that have to be changed before they are recorded.
"""

from __future__ import annotations

import math
from json.encoder import encode_basestring
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.trace import Status

    from spanwise.own_span import OwnSpan

K = TypeVar("K")
_INT64: Final = 1 << 63
SMALL: Final = 10**12
"""Below this a number says no more than its name does; beyond, each is looked at: it may be a payment card's."""
_SHORT: Final = 64
_REMEMBERED: Final = 512
"""Longest piece of JSON that is remembered, in characters."""
_MEMORY: Final = 10_000
_encode = msgspec.json.Encoder().encode


class Admission(Protocol):
    """Who says what may be recorded as it is."""

    def keeps(self, name: str, value: Any) -> bool:
        """Whether an attribute may be recorded as it is."""
        ...

    def keeps_name(self, name: str) -> bool:
        """Whether the name of a span may be recorded as it is."""
        ...


class _UnusualError(Exception):
    """A detail of a span that has to be changed or cannot be written here."""


class OwnJson:
    """Writes plain spans of our own; used by one thread at a time.

    Args:
        value: makes the OTLP value of what is no scalar.
        admission: what may be recorded; without one, everything.
    """

    def __init__(self, value: Callable[[Any], dict[str, Any]], admission: Admission | None = None) -> None:
        self._pair = _Pairs(value, admission).__getitem__
        self._name = _Names(admission).__getitem__
        self._trace = (0, "0" * 32)

    def text(self, span: OwnSpan) -> str | None:
        """Return a span that has ended as JSON; none where it is not plain, or not all of it may be recorded."""
        if not span.plain:
            return None
        name, kind, start_ns, end_ns, attributes, status = span.fields()
        trace_id, trace = self._trace
        if trace_id != span.trace_id:
            self._trace = _, trace = span.trace_id, f"{span.trace_id:032x}"
        parent = f'"parentSpanId":"{span.parent_id:016x}",' if span.parent_id else ""
        try:
            # A tuple: another thread may have been about to set one when the span ended.
            about = f'"attributes":[{",".join(map(self._pair, tuple(attributes.items())))}],' if attributes else ""
            return (
                f'{{"traceId":"{trace}","spanId":"{span.span_id:016x}","flags":256,"name":{self._name(name)},'
                f'"kind":{kind},"startTimeUnixNano":"{start_ns}","endTimeUnixNano":"{end_ns}",{parent}{about}'
                f'"status":{"{}" if status is None else _status(status)}}}'
            )
        except _UnusualError:
            return None


class _Pairs(dict[tuple[str, Any], str]):
    """Pairs of name and short text as JSON. Numbers are no keys: 1, 1.0 and true are equal."""

    def __init__(self, value: Callable[[Any], dict[str, Any]], admission: Admission | None) -> None:
        self._value = value
        self._admission = admission
        self._heads: dict[str, str] = {}

    def __missing__(self, pair: tuple[str, Any]) -> str:
        name, value = pair
        kind = type(value)
        if kind is int and -_INT64 <= value < SMALL:
            return f'{self._heads.get(name) or self._head(name)}{{"intValue":"{value}"}}}}'
        if kind is float and math.isfinite(value):
            return f'{self._heads.get(name) or self._head(name)}{{"doubleValue":{value!r}}}}}'
        if kind is bool:
            return f'{self._heads.get(name) or self._head(name)}{{"boolValue":{"true" if value else "false"}}}}}'
        if self._admission is not None and not self._admission.keeps(name, value):
            raise _UnusualError
        if kind is not str:
            return f"{_head(name)}{_encode(self._value(value)).decode()}}}"
        return _remembered(self, pair, f'{_head(name)}{{"stringValue":{_text(value)}}}}}')

    def _head(self, name: str) -> str:
        """Return how a number of that name begins, and note that all may be recorded."""
        if self._admission is not None and not self._admission.keeps(name, 0):
            raise _UnusualError
        return _remembered(self._heads, name, _head(name))


class _Names(dict[str, str]):
    """Names of spans as JSON."""

    def __init__(self, admission: Admission | None) -> None:
        self._admission = admission

    def __missing__(self, name: str) -> str:
        if self._admission is not None and not self._admission.keeps_name(name):
            raise _UnusualError
        return _remembered(self, name, _text(name))


def _remembered(memory: dict[K, str], key: K, text: str) -> str:
    if len(text) <= _REMEMBERED:
        if len(memory) >= _MEMORY:
            memory.clear()
        memory[key] = text
    return text


def _status(status: Status) -> str:
    if status.description:
        raise _UnusualError  # what an exception says is looked at each time
    return f'{{"code":{status.status_code.value}}}'


def _head(name: str) -> str:
    return f'{{"key":{encode_basestring(name)},"value":'


def _text(text: str) -> str:
    """Return text as a JSON string; long text is left to the faster encoder, which refuses what is no Unicode."""
    if len(text) <= _SHORT:
        return encode_basestring(text)
    try:
        return _encode(text).decode()
    except UnicodeEncodeError:
        return encode_basestring(text)
