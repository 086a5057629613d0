"""Fingerprints of a trace that holds texts instead: whoever recorded prompts and answers need not have recorded hashes.

The same attributes as the recorder's, by the rules of `spanwise.content.fingerprints`, so that no rule has to know
where they come from. Spans that have them keep theirs. Texts that were cut are left out: what is missing from
them would seem to be unread.
"""

from __future__ import annotations

import html
import json
import re
from dataclasses import replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, cast

from spanwise import conventions as c
from spanwise_profiling import kinds

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping

    from spanwise.journal.reader import AttributeValue, SpanRecord
    from spanwise_profiling.kinds import Kind

_ASKED: Final[Mapping[Kind, str]] = {
    "chat": c.INPUT_MESSAGES, "tool": c.TOOL_CALL_ARGUMENTS, "retrieval": c.RETRIEVAL_QUERY_TEXT,
}  # fmt: skip
_RETURNED: Final[Mapping[Kind, str]] = {"chat": c.OUTPUT_MESSAGES, "tool": c.TOOL_CALL_RESULT}
_MOST: Final = 50_000_000
"""Characters of one run that are looked through; what comes after has no fingerprints."""
_LONGEST: Final = 1 << 20
_SHORTEST_LINE: Final = 8
_FIRST_PREFIX: Final = 1024
_MARGIN: Final = " \t\r-*>#"
_DEEPEST: Final = 20
_RUN: Final = 24
_WORD: Final = re.compile(r"[^\W_]+")
_CODE: Final = re.compile(r"\\+u([0-9a-fA-F]{4})")
_ESCAPE: Final = re.compile(r"\\+[nrtbf\"/]")


def with_fingerprints(spans: Mapping[str, SpanRecord], of_kinds: Mapping[str, Kind]) -> dict[str, SpanRecord]:
    """Return `spans` in their order, with fingerprints wherever there are texts to make them of."""
    made: dict[str, dict[str, AttributeValue]] = {}
    texts = _Texts()
    budget = _MOST
    for _, is_question, span_id in _moments(spans, of_kinds):
        span, kind = spans[span_id], of_kinds[span_id]
        text = _text(span, (_ASKED if is_question else _RETURNED).get(kind))
        budget -= len(text)
        if not text or budget < 0:
            continue
        about = made.setdefault(span_id, {})
        if is_question:
            about.update(_asked(span, kind, text, texts))
        else:
            about[c.RESPONSE_NEW_CHARACTERS] = texts.written(span_id, text)
    return {
        span_id: replace(span, attributes={**span.attributes, **made[span_id]}) if span_id in made else span
        for span_id, span in spans.items()
    }


def _moments(spans: Mapping[str, SpanRecord], of_kinds: Mapping[str, Kind]) -> list[tuple[int, bool, str]]:
    """Return in order of time when something was asked (a start) or had come back (an end, before starts then)."""
    found: list[tuple[int, bool, str]] = []
    for span_id, span in spans.items():
        kind = of_kinds[span_id]
        if c.REQUEST_HASH in span.attributes or c.RESPONSE_HASH in span.attributes:
            continue
        if kind in _ASKED:
            found.append((span.start_ns, True, span_id))
        if kind in _RETURNED:
            found.append((span.end_ns, False, span_id))
    return sorted(found)


def _text(span: SpanRecord, name: str | None) -> str:
    text = kinds.text_of(span, name) if name is not None else None
    cut = span.attributes.get(c.CONTENT_TRUNCATED)
    was_cut = isinstance(cut, tuple) and name in cut
    return "" if text is None or was_cut or len(text) > _LONGEST else text


def _asked(span: SpanRecord, kind: Kind, text: str, texts: _Texts) -> Iterator[tuple[str, AttributeValue]]:
    about = [kind, kinds.subject_of(span), span.attributes.get(c.REQUEST_SEED), text]
    yield c.REQUEST_HASH, blake2b(repr(about).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    if kind != "chat":
        return
    prompt = "\0".join(_strings(text)).encode("utf-8", "surrogatepass")
    lengths = [_FIRST_PREFIX << i for i in range(len(prompt).bit_length()) if _FIRST_PREFIX << i <= len(prompt)]
    yield c.REQUEST_PREFIX_HASHES, " ".join(blake2b(prompt[:n], digest_size=4).hexdigest() for n in lengths)
    yield c.REQUEST_SOURCES, " ".join(texts.read(text))


class _Texts:
    """What the spans of a run returned, by lines and by runs of letters, as `spanwise.content.fingerprints` has it."""

    def __init__(self) -> None:
        self._writers: dict[str, str] = {}
        self._unread: set[str] = set()
        self._runs: dict[str, str] = {}
        self._given: set[str] = set()
        self._short: dict[str, str] = {}

    def written(self, span_id: str, text: str) -> int:
        new = 0
        for line in _lines(text):
            if line not in self._writers:
                self._writers[line] = span_id
                self._unread.add(line)
                new += len(line)
                if _SHORTEST_LINE <= len(squeezed := "".join(_words(line))) < _RUN:
                    self._short.setdefault(squeezed, span_id)
        for run, _ in _runs("\n".join(_strings(text))):
            if run not in self._given and self._runs.setdefault(run, span_id) != span_id:  # a phrase that several use
                del self._runs[run]
                self._given.add(run)
        return new

    def read(self, text: str) -> Iterator[str]:
        counts: dict[str, list[int]] = {}
        seen: set[str] = set()
        rest: list[str] = []
        for string in _strings(text):
            for line in string.splitlines():
                stripped = line.strip(_MARGIN)
                writer = self._writers.get(stripped) if len(stripped) >= _SHORTEST_LINE else None
                if writer is None:
                    rest.append(line)
                elif stripped not in seen:
                    seen.add(stripped)
                    count = counts.setdefault(writer, [0, 0])
                    count[0] += len(stripped)
                    count[1] += len(stripped) if stripped in self._unread else 0
                    self._unread.discard(stripped)
        yield from (f"{writer}:{held}:{new}" for writer, (held, new) in counts.items())
        parts = self._in_part("\n".join(rest), counts)
        yield from (f"{writer}:{length}:{length}:p" for writer, length in parts.items())

    def _in_part(self, text: str, known: Container[str]) -> dict[str, int]:
        """Return about how many characters of others than `known` the text holds; note its other runs as given."""
        found: dict[str, int] = {}
        for run, length in _runs(text):
            writer = self._runs.get(run)
            if writer is None:
                self._given.add(run)
            elif writer not in known:
                found[writer] = found.get(writer, 0) + length
        squeezed = "".join(_words(text)) if self._short else ""
        for line, writer in self._short.items():
            if writer not in known and writer not in found and line in squeezed:
                found[writer] = len(line)
        return found


def _lines(text: str) -> Iterator[str]:
    for string in _strings(text):
        for line in string.splitlines():
            stripped = line.strip(_MARGIN)
            if len(stripped) >= _SHORTEST_LINE:
                yield stripped


def _runs(text: str) -> Iterator[tuple[str, int]]:
    """Yield each run of letters from the beginning of a word, and how many characters it goes on by."""
    words = _words(text)
    squeezed = "".join(words)
    begin = 0
    for word in words:
        run = squeezed[begin : begin + _RUN]
        if len(run) < _RUN:
            return
        yield run, len(word) + 1
        begin += len(word)


def _words(text: str) -> list[str]:
    """Return the words of a text as it was before it was put into JSON or HTML, without case."""
    plain = _ESCAPE.sub(" ", _CODE.sub(lambda match: chr(int(match[1], 16)), text)) if "\\" in text else text
    return _WORD.findall((html.unescape(plain) if "&" in plain else plain).casefold())


def _strings(text: str) -> list[str]:
    """Return the texts in a JSON document, in order; a text that is none is returned as it is."""
    if text[:1] not in ("[", "{"):
        return [text]
    try:
        document: object = json.loads(text)
    except (ValueError, RecursionError):
        return [text]
    found: list[str] = []
    stack: list[tuple[object, int]] = [(document, 0)]
    while stack:
        value, depth = stack.pop()
        if isinstance(value, str):
            found.append(value)
        elif depth < _DEEPEST and isinstance(value, dict):
            members = cast("dict[str, Any]", value)
            stack.extend((members[name], depth + 1) for name in reversed(members))
        elif depth < _DEEPEST and isinstance(value, list):
            stack.extend((one, depth + 1) for one in reversed(cast("list[object]", value)))
    return found
