"""Fingerprints of a trace that holds texts instead: whoever recorded prompts and answers need not have recorded hashes.

The same attributes as the recorder's, by the rules of `spanwise.content.fingerprints`, so that no rule has to know
where they come from. Spans that have them keep theirs. Texts that were cut are left out: what is missing from
them would seem to be unread.
"""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, cast

from spanwise import conventions as c
from spanwise_profiling import kinds

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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


def with_fingerprints(spans: Mapping[str, SpanRecord], of_kinds: Mapping[str, Kind]) -> dict[str, SpanRecord]:
    """Return `spans` in their order, with fingerprints wherever there are texts to make them of."""
    made: dict[str, dict[str, AttributeValue]] = {}
    writers: dict[str, str] = {}
    unread: set[str] = set()
    budget = _MOST
    for _, is_question, span_id in _moments(spans, of_kinds):
        span, kind = spans[span_id], of_kinds[span_id]
        text = _text(span, (_ASKED if is_question else _RETURNED).get(kind))
        budget -= len(text)
        if not text or budget < 0:
            continue
        about = made.setdefault(span_id, {})
        if is_question:
            about.update(_asked(span, kind, text, writers, unread))
        else:
            about[c.RESPONSE_NEW_CHARACTERS] = _written(span_id, text, writers, unread)
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


def _asked(
    span: SpanRecord, kind: Kind, text: str, writers: Mapping[str, str], unread: set[str]
) -> Iterator[tuple[str, AttributeValue]]:
    about = [kind, kinds.subject_of(span), span.attributes.get(c.REQUEST_SEED), text]
    yield c.REQUEST_HASH, blake2b(repr(about).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    if kind != "chat":
        return
    prompt = "\0".join(_strings(text)).encode("utf-8", "surrogatepass")
    lengths = [_FIRST_PREFIX << i for i in range(len(prompt).bit_length()) if _FIRST_PREFIX << i <= len(prompt)]
    yield c.REQUEST_PREFIX_HASHES, " ".join(blake2b(prompt[:n], digest_size=4).hexdigest() for n in lengths)
    counts: dict[str, list[int]] = {}
    for line in dict.fromkeys(_lines(text)):
        writer = writers.get(line)
        if writer is not None:
            count = counts.setdefault(writer, [0, 0])
            count[0] += len(line)
            count[1] += len(line) if line in unread else 0
            unread.discard(line)
    yield c.REQUEST_SOURCES, " ".join(f"{writer}:{held}:{new}" for writer, (held, new) in counts.items())


def _written(span_id: str, text: str, writers: dict[str, str], unread: set[str]) -> int:
    new = 0
    for line in _lines(text):
        if line not in writers:
            writers[line] = span_id
            unread.add(line)
            new += len(line)
    return new


def _lines(text: str) -> Iterator[str]:
    for string in _strings(text):
        for line in string.splitlines():
            stripped = line.strip(_MARGIN)
            if len(stripped) >= _SHORTEST_LINE:
                yield stripped


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
