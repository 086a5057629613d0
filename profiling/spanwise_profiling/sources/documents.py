"""The JSON values in a text: one document, a value a line, values one after another, or values between other output.

A console exporter prints indented objects among whatever else the program prints; a log puts a date before each; a
process that was killed leaves its last value open. Each whole value is yielded by itself, as sound JSON.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import IO, TYPE_CHECKING, Final, TypeAlias

from spanwise_profiling.sources import json_text, streams

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from spanwise_profiling.sources.place import Place

    _Line: TypeAlias = tuple[int, bytes]
    """Its number, counted from 1, and its content."""

TEXT: Final = "line(s) of other text left out"
DAMAGED: Final = "is damaged, or cut off in the middle"
_SPACE: Final = b" \t\r\n"
_BEGINS: Final = re.compile(rb'\s*(?:\{\s*(?:"|$)|\[\s*(?:[\[{"]|$))')
_WITHIN: Final = re.compile(rb'\{\s*"|\[\s*\{')
_MARKS: Final = re.compile(rb""""(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'|[][{}]""")
_CONTAINER: Final = re.compile(rb"[\w./-]+ +\| ")
"""What `docker compose logs` puts before each line."""


def values(stream: IO[bytes], place: Place, is_known: Callable[[bytes], bool]) -> Iterator[bytes]:
    """Yield the JSON values of `stream`; `place` says in which line each begins.

    Args:
        stream: Text in UTF-8.
        place: Told of what is no JSON, damaged, or cut off.
        is_known: Whether a sound value is of a format that is read here; such a line is no part of a larger value.

    Raises:
        InputError: a line or a document is too long.
    """
    numbered = enumerate(streams.lines(stream, place.name), start=1)
    lines = ((number, line) for number, line in numbered if line.strip(_SPACE))
    head = list(islice(lines, 2))
    if not head:
        return
    first = head[0][1]
    is_line = not first.rstrip(_SPACE).endswith((b"[", b"{", b",")) and is_known(head[-1][1])
    if is_line or json_text.is_sound(first) or not _BEGINS.match(first):
        yield from one_by_one(chain(head, lines), place, is_known)
        return
    kept = [*head, *_bounded(lines, place.name)]
    document = b"".join(line for _, line in kept)
    if json_text.is_sound(document):
        place.number = kept[0][0]
        yield document
    else:
        yield from one_by_one(iter(kept), place, is_known)


def _bounded(lines: Iterator[_Line], name: str) -> Iterator[_Line]:
    size = 0
    for number, line in lines:
        size += len(line)
        streams.refuse_long(size, f"{name}: the document")
        yield number, line


def one_by_one(
    lines: Iterator[_Line], place: Place, is_known: Callable[[bytes], bool], *, at_end: bool = True
) -> Iterator[bytes]:
    """Yield the values in `lines`, of which each may be a line, several lines, or a part of one.

    A value that is not finished is incomplete where the lines are the end of the file, and damaged elsewhere.
    """
    begun = _Begun()
    for number, line in lines:
        if begun.parts and (begun.ends_before(line) or is_known(line)):
            yield from _whole_records(begun.taken(), place, last=False)
        if not begun.parts:
            place.number = number
            if json_text.is_sound(line):
                yield line
                continue
        yield from _in_line(line, begun, place)
    if begun.parts:
        yield from _whole_records(begun.taken(), place, last=at_end)


def _in_line(line: bytes, begun: _Begun, place: Place) -> Iterator[bytes]:
    """Yield the values that end in `line`; the one that does not stays in `begun`."""
    found = bool(begun.parts)
    rest = line[prefix.end() :] if (prefix := _CONTAINER.match(line)) else line
    while rest.strip(_SPACE):
        if not begun.parts:
            rest = _from_value(rest)
        if not rest or (end := begun.take(rest)) < 0:
            break
        rest = rest[end:]
        content = begun.taken()
        if (value := json_text.mended(content)) is not None:
            found = True
            yield value
        elif _WITHIN.match(content):
            found = True
            place.skip(DAMAGED)
    if not found and not begun.parts:
        place.note(TEXT)


def _from_value(line: bytes) -> bytes:
    """Return `line` from where a value begins in it: at its start, or behind what a log puts before a whole value."""
    if _BEGINS.match(line):
        return line
    within = _WITHIN.search(line)
    if within is None or _Begun().take(line[within.start() :]) < 0:
        return b""
    return line[within.start() :]


def _whole_records(content: bytes, place: Place, *, last: bool) -> Iterator[bytes]:
    """Yield what is whole of a value that has no end, and tell of the rest."""
    try:
        closed, whole = json_text.closed(content)
        value = json_text.mended(closed)
    except json_text.FAULTS:
        value, whole = None, False
    if value is not None:
        yield value
    if last and not whole:
        place.report.incomplete += 1
    elif not whole:
        place.skip(DAMAGED)


@dataclass(slots=True)
class _Begun:
    """A value whose end is not reached yet."""

    parts: list[bytes] = field(default_factory=list[bytes])
    depth: int = 0

    def take(self, line: bytes) -> int:
        """Take a line as far as the value goes; returns where it ends in the line, -1 where it does not."""
        for token in _MARKS.finditer(line):
            mark = token[0]
            if mark in (b"{", b"["):
                self.depth += 1
            elif mark in (b"}", b"]"):
                self.depth -= 1
                if self.depth <= 0:
                    self.parts.append(line[: token.end()])
                    return token.end()
        self.parts.append(line)
        return -1

    def taken(self) -> bytes:
        """Return what was taken, and begin anew."""
        content = b"".join(self.parts)
        self.parts, self.depth = [], 0
        return content

    def ends_before(self, line: bytes) -> bool:
        """Whether an object at the very beginning of a line shows that the indented one before it has no end."""
        return line[:1] == b"{" and len(self.parts) > 1 and self.parts[0][:1] == b"{" and self.parts[1][:1] in b" \t"
