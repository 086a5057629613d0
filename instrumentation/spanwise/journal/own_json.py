"""Our own spans as OTLP/JSON text, found harmless and put together from pieces that are remembered.

Spans that say the same kind of thing have the same attribute names, so a template is kept for each sequence of names, and
what a short text looks like in JSON beside it. What is remembered was found harmless, too: looking through a span and
encoding it are one pass. It writes byte for byte what `otlp_json` writes of the same span (a test holds the two together),
which still takes all that is rare: events, links, trace states, foreign parents, values that have to be changed.
"""

from __future__ import annotations

import math
from json.encoder import encode_basestring
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.trace import Status

    from spanwise.own_span import OwnSpan

_INT64: Final = 1 << 63
SMALL: Final = 10**12
"""Numbers below this are nothing to look at; larger ones may be a payment card's."""
_SHORT: Final = 64
_REMEMBERED: Final = 512
"""Longest piece of JSON that is remembered, in characters."""
_MEMORY: Final = 10_000
_LONGEST_TEMPLATE: Final = 8_192
_MOST_TEMPLATES: Final = 1_000
_encode = msgspec.json.Encoder().encode


class Admission(Protocol):
    """Who says what may be recorded as it is."""

    def keeps_attribute(self, name: str) -> bool:
        """Whether attributes of that name may be recorded, if their values may."""
        ...

    def keeps(self, value: Any) -> bool:
        """Whether the value of an attribute, or the name of a span, may be recorded as it is."""
        ...


class _UnusualError(Exception):
    """A detail of a span that has to be changed or cannot be written here."""


class OwnJson:
    """Writes plain spans of our own.

    Args:
        value: makes the OTLP value of what is no scalar.
        admission: what may be recorded; without one, everything.
    """

    def __init__(self, value: Callable[[Any], dict[str, Any]], admission: Admission | None = None) -> None:
        self._template = _Templates(admission).__getitem__
        self._value = _Values(value, admission).__getitem__
        self._name = _Names(admission).__getitem__
        self._trace = (0, "0" * 32)

    def text(self, span: OwnSpan) -> bytes | None:
        """Return a span that has ended as JSON; none where it is not plain, or not all of it may be recorded."""
        if not span.plain:
            return None
        name, kind, start_ns, end_ns, attributes, status = span.fields()
        trace_id, trace = self._trace
        if trace_id != span.trace_id:
            self._trace = _, trace = span.trace_id, f"{span.trace_id:032x}"
        try:
            of_root, of_child = self._template(tuple(attributes))
            values = map(self._value, attributes.values())
            said = "{}" if status is None else _status(status)
            if span.parent_id:
                text = of_child % (
                    trace, span.span_id, self._name(name), kind, start_ns, end_ns, span.parent_id, *values, said
                )  # fmt: skip
            else:
                text = of_root % (trace, span.span_id, self._name(name), kind, start_ns, end_ns, *values, said)
        except (_UnusualError, TypeError, RuntimeError):
            # What cannot be hashed; or another thread was about to set an attribute when the span ended.
            return None
        return text.encode("utf-8", "replace")


class _Templates(dict[tuple[str, ...], tuple[str, str]]):
    """Templates of spans without and with a parent, by the names of their attributes."""

    def __init__(self, admission: Admission | None) -> None:
        self._admission = admission

    def __missing__(self, names: tuple[str, ...]) -> tuple[str, str]:
        if self._admission is not None and not all(map(self._admission.keeps_attribute, names)):
            raise _UnusualError
        begin = (
            '{"traceId":"%s","spanId":"%016x","flags":256,"name":%s,"kind":%d,"startTimeUnixNano":"%d",'
            '"endTimeUnixNano":"%d",'
        )
        keys = [encode_basestring(name).replace("%", "%%") for name in names]
        pairs = ",".join(f'{{"key":{key},"value":{{%s}}}}' for key in keys)
        end = f'"attributes":[{pairs}],"status":%s}}' if names else '"status":%s}'
        templates = begin + end, f'{begin}"parentSpanId":"%016x",{end}'
        if len(end) <= _LONGEST_TEMPLATE:
            if len(self) >= _MOST_TEMPLATES:
                self.clear()
            self[names] = templates
        return templates


class _Values(dict[Any, str]):
    """Short texts as fields of an OTLP value. Numbers are no keys: 1, 1.0 and true are equal."""

    def __init__(self, value: Callable[[Any], dict[str, Any]], admission: Admission | None) -> None:
        self._value = value
        self._keeps = admission.keeps if admission is not None else None

    def __missing__(self, value: Any) -> str:
        kind = type(value)
        if kind is int and -_INT64 <= value < SMALL:
            return f'"intValue":"{value}"'
        if kind is float and math.isfinite(value):
            return f'"doubleValue":{value!r}'
        if kind is bool:
            return '"boolValue":true' if value else '"boolValue":false'
        if self._keeps is not None and not self._keeps(value):
            raise _UnusualError
        if kind is not str:
            return _encode(self._value(value))[1:-1].decode()
        return _remembered(self, value, f'"stringValue":{_text(value)}')


class _Names(dict[str, str]):
    """Names of spans as JSON."""

    def __init__(self, admission: Admission | None) -> None:
        self._keeps = admission.keeps if admission is not None else None

    def __missing__(self, name: str) -> str:
        if self._keeps is not None and not self._keeps(name):
            raise _UnusualError
        return _remembered(self, name, _text(name))


def _remembered(memory: dict[Any, str], key: str, text: str) -> str:
    if len(text) <= _REMEMBERED:
        if len(memory) >= _MEMORY:
            memory.clear()
        memory[key] = text
    return text


def _status(status: Status) -> str:
    if status.description:
        raise _UnusualError  # what an exception says is looked at each time
    return f'{{"code":{status.status_code.value}}}'


def _text(text: str) -> str:
    """Return text as a JSON string; long text is left to the faster encoder, which refuses what is no Unicode."""
    if len(text) <= _SHORT:
        return encode_basestring(text)
    try:
        return _encode(text).decode()
    except UnicodeEncodeError:
        return encode_basestring(text)
