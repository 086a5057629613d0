"""Our own spans as OTLP/JSON text, found harmless and put together from pieces that are remembered.

Spans of a kind have the same attribute names, so a template is kept for each sequence of names, and what a short text
looks like in JSON beside it. What is remembered was found harmless, too: looking through a span and encoding it are one
pass. It writes byte for byte what `otlp_json` writes of the same span (a test holds the two together), which still has
all that is rare: events, links, trace states, foreign parents, values that have to be changed.
"""

from __future__ import annotations

import math
from json.encoder import encode_basestring
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.trace import Status

    from spanwise.otel.span import Fields, OwnSpan

    _Template: TypeAlias = tuple[str, ...]
    _Memory: TypeAlias = tuple[
        Mapping[int, str],
        Mapping[str, str],
        Mapping[tuple[str, ...], tuple[_Template, _Template]],
        Mapping[str, str],
        Callable[[Any], str],
        Callable[[Status], str],
    ]

_INT64: Final = 1 << 63
SMALL: Final = 10**12
"""Numbers below this are nothing to look at; larger ones may be a payment card's."""
_SHORT: Final = 64
_REMEMBERED: Final = 512
"""Longest piece of JSON that is remembered, in characters."""
_MEMORY: Final = 10_000
_MOST_TRACES: Final = 100
_LONGEST_TEMPLATE: Final = 8_192
_MOST_TEMPLATES: Final = 1_000
_ID: Final = "%016x"
_BEGIN: Final = (
    '{"traceId":"', '","spanId":"', '","flags":256,"name":', ',"kind":', ',"startTimeUnixNano":"',
    '","endTimeUnixNano":"',
)  # fmt: skip
_KINDS: Final = tuple(map(str, range(6)))
"""Numbers of OTLP's kinds of spans."""
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
        self._memory: _Memory = (
            _Traces(), _Names(admission), _Templates(admission), _Texts(admission), _Others(value, admission).field,
            _status,
        )  # fmt: skip

    def text(self, span: OwnSpan) -> bytes | None:
        """Return a span that has ended as JSON; none where it is not plain, or not all of it may be recorded."""
        if not span.plain:
            return None
        try:
            return _filled(self._memory, span.fields())
        except (_UnusualError, TypeError, ValueError, OverflowError, RuntimeError):
            # What cannot be hashed; or another thread was about to set an attribute when the span ended.
            return None


def _filled(memory: _Memory, fields: Fields) -> bytes:
    """Return the JSON of a span with these fields."""
    traces, names, templates, texts, other, state = memory
    trace_id, span_id, parent_id, name, kind, start_ns, end_ns, attributes, status = fields
    above = (_ID % parent_id,) if parent_id else ()
    pieces = list(templates[tuple(attributes)][len(above)])
    pieces[1::2] = (
        traces[trace_id], _ID % span_id, names[name], _KINDS[kind], str(start_ns), str(end_ns), *above,
        *[texts[value] if type(value) is str else other(value) for value in attributes.values()],
        "{}" if status is None else state(status),
    )  # fmt: skip
    return "".join(pieces).encode("utf-8", "replace")


class _Traces(dict[int, str]):
    """Trace ids in hexadecimal; the spans of a trace come together."""

    def __missing__(self, trace_id: int) -> str:
        if len(self) >= _MOST_TRACES:
            self.clear()
        text = self[trace_id] = f"{trace_id:032x}"
        return text


class _Templates(dict[tuple[str, ...], "tuple[_Template, _Template]"]):
    """Templates of spans without and with a parent, by the names of their attributes.

    The odd places of one are to be filled: copying and joining it is quicker than formatting, which looks at each
    character for what to replace.
    """

    def __init__(self, admission: Admission | None) -> None:
        self._admission = admission

    def __missing__(self, names: tuple[str, ...]) -> tuple[_Template, _Template]:
        if self._admission is not None and not all(map(self._admission.keeps_attribute, names)):
            raise _UnusualError
        keys = [f'{{"key":{encode_basestring(name)},"value":{{' for name in names]
        pairs = ['"attributes":[' + keys[0], *("}}," + key for key in keys[1:]), "}}],"] if keys else [""]
        first, *rest = *pairs[:-1], pairs[-1] + '"status":'
        templates = (
            _with_gaps(*_BEGIN, f'",{first}', *rest, "}"),
            _with_gaps(*_BEGIN, '","parentSpanId":"', f'",{first}', *rest, "}"),
        )
        if sum(map(len, keys)) <= _LONGEST_TEMPLATE:
            if len(self) >= _MOST_TEMPLATES:
                self.clear()
            self[names] = templates
        return templates


def _with_gaps(*pieces: str) -> _Template:
    template = [""] * (2 * len(pieces) - 1)
    template[::2] = pieces
    return tuple(template)


class _Texts(dict[str, str]):
    """Texts as fields of an OTLP value."""

    def __init__(self, admission: Admission | None) -> None:
        self._keeps = admission.keeps if admission is not None else None

    def __missing__(self, value: str) -> str:
        if self._keeps is not None and not self._keeps(value):
            raise _UnusualError
        return _remembered(self, value, f'"stringValue":{_text(value)}')


class _Others:
    """Values that are no texts as fields of an OTLP value; they are not remembered, as 1, 1.0 and true are equal."""

    def __init__(self, value: Callable[[Any], dict[str, Any]], admission: Admission | None) -> None:
        self._value = value
        self._keeps = admission.keeps if admission is not None else None

    def field(self, value: Any) -> str:
        """Return the field that a value is written as."""
        kind = type(value)  # pyright: ignore[reportUnknownVariableType]
        if kind is int and -_INT64 <= value < SMALL:
            return f'"intValue":"{value}"'
        if kind is float and math.isfinite(value):
            return f'"doubleValue":{value!r}'
        if kind is bool:
            return '"boolValue":true' if value else '"boolValue":false'
        if self._keeps is not None and not self._keeps(value):
            raise _UnusualError
        return _encode(self._value(value))[1:-1].decode()


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
