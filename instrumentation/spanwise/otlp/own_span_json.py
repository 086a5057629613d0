"""Our own spans as OTLP/JSON text, put together from pieces that are remembered.

Spans of a kind have the same attribute names, so a template is kept for each sequence of names, and the JSON of short
texts beside it. Only plain spans are written here. What is rare is left to `json_encoder`: events, links, trace states,
foreign parents. A test holds the two to the same bytes.
"""

from __future__ import annotations

import math
from json.encoder import encode_basestring
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec

from spanwise.process.memo import Memo

if TYPE_CHECKING:
    from collections.abc import Callable

    from spanwise.otel.span import OwnSpan

    _Template: TypeAlias = tuple[str, ...]

_INT64: Final = 1 << 63
_SHORT: Final = 64
_REMEMBERED: Final = 512
"""Longest piece of JSON that is remembered, in characters."""
_LONGEST_TEMPLATE: Final = 8_192
_ID: Final = "%016x"
_BEGIN: Final = (
    '{"traceId":"', '","spanId":"', '","flags":256,"name":', ',"kind":', ',"startTimeUnixNano":"',
    '","endTimeUnixNano":"',
)  # fmt: skip
_KINDS: Final = tuple(map(str, range(6)))
"""Numbers of OTLP's kinds of spans."""
_encode = msgspec.json.Encoder().encode


class OwnSpanEncoder:
    """Writes plain spans of our own.

    Args:
        value: makes the OTLP value of what is no scalar.
    """

    def __init__(self, value: Callable[[Any], dict[str, Any]]) -> None:
        self._value = value
        self._traces: Memo[int, str] = Memo(lambda trace_id: f"{trace_id:032x}", most=100)
        self._names: Memo[str, str] = Memo(_text, fits=_is_short)
        self._texts: Memo[str, str] = Memo(lambda text: f'"stringValue":{_text(text)}', fits=_is_short)
        self._templates: Memo[tuple[str, ...], tuple[_Template, _Template]] = Memo(
            _templates, most=1_000, fits=lambda names, _: sum(map(len, names)) <= _LONGEST_TEMPLATE
        )

    def encode(self, span: OwnSpan) -> bytes | None:
        """Return a span that has ended as JSON; `None` where it has more than templates have a place for."""
        if not span.plain:
            return None
        try:
            return self._filled(span)
        except (TypeError, ValueError, OverflowError, RuntimeError):
            # It cannot be hashed; or another thread was about to set an attribute when the span ended.
            return None

    def _filled(self, span: OwnSpan) -> bytes | None:
        trace_id, span_id, parent_id, name, kind, start_ns, end_ns, attributes, status = span.fields()
        if status is not None and status.description:
            return None
        above = (_ID % parent_id,) if parent_id else ()
        texts, other = self._texts, self._other
        pieces = list(self._templates[tuple(attributes)][len(above)])
        pieces[1::2] = (
            self._traces[trace_id], _ID % span_id, self._names[name], _KINDS[kind], str(start_ns), str(end_ns), *above,
            *[texts[value] if type(value) is str else other(value) for value in attributes.values()],
            "{}" if status is None else f'{{"code":{status.status_code.value}}}',
        )  # fmt: skip
        return "".join(pieces).encode("utf-8", "replace")

    def _other(self, value: Any) -> str:
        """Return the field of a value that is no text; it is not remembered, as 1, 1.0 and true are equal."""
        kind = type(value)  # pyright: ignore[reportUnknownVariableType]
        if kind is int and -_INT64 <= value < _INT64:
            return f'"intValue":"{value}"'
        if kind is float and math.isfinite(value):
            return f'"doubleValue":{value!r}'
        if kind is bool:
            return '"boolValue":true' if value else '"boolValue":false'
        return _encode(self._value(value))[1:-1].decode()


def _templates(names: tuple[str, ...]) -> tuple[_Template, _Template]:
    """Return the templates of spans without and with a parent, by the names of their attributes.

    The odd places of one are to be filled: copying and joining it is quicker than formatting, which looks at each
    character for what to replace.
    """
    keys = [f'{{"key":{encode_basestring(name)},"value":{{' for name in names]
    pairs = ['"attributes":[' + keys[0], *("}}," + key for key in keys[1:]), "}}],"] if keys else [""]
    first, *rest = *pairs[:-1], pairs[-1] + '"status":'
    return (
        _with_gaps(*_BEGIN, f'",{first}', *rest, "}"),
        _with_gaps(*_BEGIN, '","parentSpanId":"', f'",{first}', *rest, "}"),
    )


def _with_gaps(*pieces: str) -> _Template:
    template = [""] * (2 * len(pieces) - 1)
    template[::2] = pieces
    return tuple(template)


def _is_short(_: str, piece: str) -> bool:
    return len(piece) <= _REMEMBERED


def _text(text: str) -> str:
    """Return text as a JSON string; long text is left to the faster encoder, which refuses what is no Unicode."""
    if len(text) <= _SHORT:
        return encode_basestring(text)
    try:
        return _encode(text).decode()
    except UnicodeEncodeError:
        return encode_basestring(text)
