"""JSON as programs really write it: cut off, with a comma too many, `NaN`, broken characters, or as JavaScript prints.

Everything here is for text that a strict parser refuses. What is sound never comes here, so that speed is no concern.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

import msgspec

FAULTS: Final = (msgspec.MsgspecError, ValueError, RecursionError, OverflowError)
"""What reading a value raises where it makes no sense."""
_TOKENS: Final = re.compile(rb'"(?:[^"\\]|\\.)*"?|[][{},]', re.DOTALL)
_CLOSERS: Final = {b"{": b"}", b"[": b"]"}
_RECORDS: Final = frozenset(
    b'"%s"' % name
    for name in (
        b"traceEvents", b"resourceSpans", b"resource_spans", b"scopeSpans", b"scope_spans", b"spans", b"batches",
        b"data", b"runs", b"child_runs", b"items", b"traces", b"observations",
    )
)  # fmt: skip
"""Members of formats that hold a list of records, each of which counts by itself."""
_MOST_DIGITS: Final = 400
_SCRIPT: Final = re.compile(
    r"""(?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|`(?:[^`\\]|\\.)*`)"""
    r"|(?P<key>[A-Za-z_$][\w$]*)(?=\s*:)"
    r"|(?P<left_out>\.\.\.\s*\d+ more \w+|[A-Za-z_$][\w$]*(?:\(\d+\))?(?=\s*[{[])|\[Object[^]\n]*\](?=\s*\{)|\s+)"
    r"|(?P<elided>\[(?:Object|Array|Function|Circular|Getter)[^]\n]*\])"
    r"|(?P<number>-?\d[\w.+-]*)|(?P<word>[A-Za-z_$][\w$]*)|(?P<plus>\+)|(?P<sign>[][{}:,])|(?P<other>.)",
    re.DOTALL,
)
_CONSTANTS: Final = frozenset({"true", "false", "null"})


def loads(content: bytes) -> Any:
    """Return a JSON value; of one with broken characters, constants or numbers all but these.

    Lone surrogates and broken UTF-8 become replacement characters; `NaN`, `Infinity` and numbers that no number holds
    become null.

    Raises:
        ValueError: it is no JSON value.
        RecursionError: it is nested too deeply.
    """
    try:
        return msgspec.json.decode(content)
    except (msgspec.MsgspecError, ValueError):
        text = content.decode("utf-8-sig", "replace")
        return _LENIENT.decode(text)


def _integer(digits: str) -> int | None:
    return int(digits) if len(digits) < _MOST_DIGITS else None


def _number(digits: str) -> float | None:
    value = float(digits)
    return value if abs(value) < float("inf") else None


_LENIENT: Final = json.JSONDecoder(
    strict=False, parse_int=_integer, parse_float=_number, parse_constant=lambda _name: None
)


def dumps(value: Any) -> bytes:
    """Return a value as JSON; characters that UTF-8 does not have are replaced."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")


def is_sound(content: bytes) -> bool:
    """Return whether `content` is one JSON value that a strict parser takes."""
    try:
        msgspec.json.decode(content, type=msgspec.Raw)
    except FAULTS:
        return False
    return True


def mended(content: bytes) -> bytes | None:
    """Return one value as sound JSON, as far as it can be made out; None where it is no value."""
    if is_sound(content):
        return content
    for mend in (bytes, _closed, of_javascript):
        try:
            return dumps(loads(mend(content)))
        except FAULTS:
            continue
    return None


def _closed(content: bytes) -> bytes:
    return closed(content)[0]


def closed(content: bytes) -> tuple[bytes, bool]:
    """Return a cut-off value up to its last whole record, with what closes it and without commas before closing marks.

    Returns:
        The value, and whether nothing but the closing marks was missing.

    Raises:
        ValueError: its marks do not match, or no list of records is open at its end.
    """
    levels, commas = _levels(content)
    at_end = True
    while levels and not levels[-1].holds_records(first=len(levels) == 1):
        levels.pop()
        at_end = False
    if not levels and not at_end:
        raise ValueError("it is cut off before its first record")
    cut = levels[-1].end if levels else len(content)
    whole = at_end and not content[cut:].strip(b", \t\r\n")
    kept = [comma for comma in commas if comma < cut]
    parts = [content[start + 1 : end] for start, end in zip([-1, *kept], [*kept, cut], strict=True)]
    return b"".join([*parts, *(level.closer for level in reversed(levels))]), whole


def _levels(content: bytes) -> tuple[list[_Level], list[int]]:
    """Return the objects and lists that are open at the end of `content`, and where commas before closing marks are."""
    levels: list[_Level] = []
    name, comma, commas = b"", -1, list[int]()
    for token in _TOKENS.finditer(content):
        mark, place = token[0], token.start()
        if mark == b",":
            comma = place
            continue
        if mark in (b"}", b"]"):
            if not levels or levels.pop().closer != mark:
                raise ValueError("its brackets do not match")
            if comma >= 0 and not content[comma + 1 : place].strip():
                commas.append(comma)
            if levels:
                levels[-1].end = token.end()
        elif mark in _CLOSERS:
            levels.append(_Level(_CLOSERS[mark], name, token.end()))
        name, comma = mark, -1
    return levels, commas


class _Level:
    """An object or list that is open where reading is."""

    __slots__ = ("closer", "end", "name")

    def __init__(self, closer: bytes, name: bytes, end: int) -> None:
        self.closer, self.name = closer, name
        self.end = end
        """Where the last whole member ends."""

    def holds_records(self, *, first: bool) -> bool:
        return self.closer == b"]" and (first or self.name in _RECORDS)


def of_javascript(content: bytes) -> bytes:
    """Return an object as JavaScript's console prints it (names without quotes, `undefined`) as JSON.

    What the console cuts short (`[Object]`, `... 3 more items`) becomes null or is left out.

    Raises:
        ValueError: it has what such a print does not have.
    """
    out: list[str] = []
    joins = False
    for token in _SCRIPT.finditer(content.decode("utf-8", "replace")):
        kind, text = token.lastgroup, token[0]
        if kind == "left_out":
            continue
        if kind == "text" and joins and out:  # a long text, printed in several lines
            out[-1] = json.dumps(json.loads(out[-1]) + _script_text(text))
        elif kind == "text":
            out.append(json.dumps(_script_text(text)))
        elif kind == "sign" and text in "]}" and out and out[-1] == ",":
            out[-1] = text
        elif kind in ("number", "sign"):
            out.append(text.rstrip("n"))
        elif kind == "key":
            out.append(json.dumps(text))
        elif kind in ("word", "elided"):
            out.append(text if text in _CONSTANTS else "null")
        elif kind == "other":
            raise ValueError(f"{text!r} is no print of an object")
        joins = kind == "plus"
    return "".join(out).encode()


def _script_text(text: str) -> str:
    body = text[1:-1]
    return re.sub(r"\\(u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)", _unescaped, body, flags=re.DOTALL)


def _unescaped(match: re.Match[str]) -> str:
    code = match[1]
    if len(code) > 1:
        return chr(int(code[1:], 16))
    return {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "0": "\0"}.get(code, code)
