"""What was asked and what its text was made of, without recording a word of it.

A request has a hash, so that identical calls can be found, and its prompt has hashes of its first 1, 2, 4, … KiB, so
that shared beginnings can. Where a prompt's text came from is noted by comparing it with what model calls and tools of
the same run returned in this process: span ids and numbers of characters are all that is recorded.
Nothing here raises; a text that is too long, or that cannot be read, has no fingerprint.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple, TypeAlias, cast

from spanwise.otel.values import MOST
from spanwise.process import own_threads
from spanwise.process.contained import contained

Message: TypeAlias = Mapping[str, Any]
LONGEST: Final = 1 << 20
"""Bytes of one text or prompt; longer ones cost too much to look through, and have no fingerprint."""
_MOST_LINES: Final = 50_000
_SHORTEST_LINE: Final = 8
_FIRST_PREFIX: Final = 1024
_RUN: Final = 24
"""Letters and digits in a row that no two texts have in common by chance."""
_MOST_RUNS: Final = 500_000
_MOST_SHORT: Final = 200
_HASH_BYTES, _PREFIX_BYTES = 8, 4
_HASHING: Final = contained("hashing what was asked or returned")
_MARGIN: Final = " \t\r-*>#"
"""Stripped from lines: what makes them items of a list or a quotation."""
_WORD: Final = re.compile(r"[^\W_]+")
_CODE: Final = re.compile(r"\\+u([0-9a-fA-F]{4})")
_ESCAPE: Final = re.compile(r"\\+[nrtbf\"/]")


class Request(NamedTuple):
    """Of what is sent to a model."""

    hash: str
    """Equal for equal requests: model, settings, tools and messages."""
    prefixes: tuple[str, ...]
    """Hashes of the first 1, 2, 4, … KiB of tools and messages, as far as there are so many."""
    texts: tuple[str, ...]


class Texts:
    """What the spans of one run returned, and which of it was sent to a model afterwards.

    Texts are compared by their lines. What is handed on otherwise (inside a sentence, as JSON, cut, wrapped anew) is
    found by its runs of letters: 24 in a row from the beginning of a word, whatever stands between them and whatever
    their case. Runs that a prompt had held before anybody wrote them are nobody's.
    """

    def __init__(self) -> None:
        self._lock = own_threads.RLock()
        self._writers: dict[int, int] = {}
        self._unread: set[int] = set()
        self._runs: dict[int, int] = {}
        self._given: set[int] = set()
        self._short: dict[str, int] = {}

    def written(self, span_id: int, text: str) -> int | None:
        """Note what a span returned; return how many characters of it are new, none where nothing was noted."""
        if len(text) > LONGEST:
            return None
        new = 0
        with self._lock:
            if len(self._writers) >= _MOST_LINES:
                return None
            for line in _lines(text):
                key = hash(line)
                if key not in self._writers:
                    self._writers[key] = span_id
                    self._unread.add(key)
                    new += len(line)
                    self._note_short(span_id, line)
            for run, _ in _runs(text):
                self._note_run(span_id, run)
        return new

    def _note_run(self, span_id: int, run: int) -> None:
        if run in self._given or len(self._runs) >= _MOST_RUNS:
            return
        if self._runs.setdefault(run, span_id) != span_id:  # a phrase that several use
            del self._runs[run]
            self._given.add(run)

    def _note_short(self, span_id: int, line: str) -> None:
        if len(self._short) < _MOST_SHORT and _SHORTEST_LINE <= len(squeezed := _squeezed(line)) < _RUN:
            self._short.setdefault(squeezed, span_id)

    def read(self, texts: Iterable[str]) -> list[str]:
        """Return where parts of `texts` came from: `<span id>:<characters>:<those not read before>` each.

        Of a span of which no line is there but runs of letters are, `:p` follows: about so many characters.
        """
        sources: dict[int, list[int]] = {}
        seen: set[int] = set()
        rest: list[str] = []
        with self._lock:
            for text in texts:
                for line in text.splitlines():
                    stripped = line.strip(_MARGIN)
                    key = hash(stripped)
                    writer = self._writers.get(key) if len(stripped) >= _SHORTEST_LINE else None
                    if writer is None:
                        rest.append(line)
                    elif key not in seen:
                        seen.add(key)
                        counts = sources.setdefault(writer, [0, 0])
                        counts[0] += len(stripped)
                        if key in self._unread:
                            self._unread.remove(key)
                            counts[1] += len(stripped)
            parts = self._in_part("\n".join(rest), sources)
        whole = [f"{writer:016x}:{counts[0]}:{counts[1]}" for writer, counts in sources.items()]
        return whole + [f"{writer:016x}:{length}:{length}:p" for writer, length in parts.items()]

    def _in_part(self, text: str, known: Container[int]) -> dict[int, int]:
        """Return about how many characters of spans that are not `known` are in `text`; note its other runs as given.

        Lines that are known to be somebody's are no longer in it: a phrase in them is theirs, whoever has it too.
        """
        found: dict[int, int] = {}
        for run, length in _runs(text):
            writer = self._runs.get(run)
            if writer is None:
                if len(self._given) < _MOST_RUNS:
                    self._given.add(run)
            elif writer not in known:
                found[writer] = found.get(writer, 0) + length
        squeezed = _squeezed(text) if self._short else ""
        for line, writer in self._short.items():
            if writer not in known and writer not in found and line in squeezed:
                found[writer] = len(line)
        return found


def of_request(settings: Mapping[str, Any], messages: Sequence[Message], tools: Sequence[Any] = ()) -> Request | None:
    """Return the fingerprint of a request to a model; none where it is too long or cannot be read.

    Args:
        settings: whatever else makes two requests different: the model, a seed.
        messages: in OpenAI's form or that of the GenAI conventions.
        tools: definitions of the tools on offer; they count as the prompt's beginning, as providers have it.
    """
    texts: list[str] = []
    chunks: list[bytes] | None = None
    with _HASHING:  # the host's messages are whatever they are; the call goes on without a hash
        texts = [f"{name}\0{text}" for name, text in _parts(messages)]
        if tools:
            texts.insert(0, _canonical(tools))
        chunks = [text.encode("utf-8", "surrogatepass") for text in texts]
    if chunks is None or sum(map(len, chunks)) > LONGEST:
        return None
    prompt = b"\0".join(chunks)
    whole = _blake2b(prompt, _HASH_BYTES)
    whole.update(_canonical(settings).encode("utf-8", "surrogatepass"))
    return Request(whole.hexdigest(), tuple(_prefixes(prompt)), tuple(texts))


def of_value(name: str, value: object) -> str | None:
    """Return the hash of what a tool or a data source is asked for; none where it cannot be read."""
    with _HASHING:
        return of_text(f"{name}\0{value if isinstance(value, str) else _canonical(value)}")
    return None


def of_text(text: str) -> str | None:
    """Return the hash of a text; none where it is too long."""
    if len(text) > LONGEST:
        return None
    return str(_blake2b(text.encode("utf-8", "surrogatepass"), _HASH_BYTES).hexdigest())


def _prefixes(prompt: bytes) -> Iterator[str]:
    length = _FIRST_PREFIX
    running = _blake2b(b"", _PREFIX_BYTES)
    hashed = 0
    while length <= len(prompt):
        running.update(prompt[hashed:length])
        yield running.copy().hexdigest()
        hashed, length = length, length * 2


def _lines(text: str) -> Iterator[str]:
    for line in text.splitlines():
        stripped = line.strip(_MARGIN)
        if len(stripped) >= _SHORTEST_LINE:
            yield stripped


def _runs(text: str) -> Iterator[tuple[int, int]]:
    """Yield the hash of each run of letters of `text`, and how many characters it goes on by."""
    words = _words(text)
    squeezed = "".join(words)
    begin = 0
    for word in words:
        run = squeezed[begin : begin + _RUN]
        if len(run) < _RUN:
            return
        yield hash(run), len(word) + 1
        begin += len(word)


def _squeezed(text: str) -> str:
    return "".join(_words(text))


def _words(text: str) -> list[str]:
    """Return the words of a text as it was before it was put into JSON or HTML, without case."""
    if "\\" in text:
        text = _ESCAPE.sub(" ", _CODE.sub(lambda match: chr(int(match[1], 16)), text))
    if "&" in text:
        import html  # noqa: PLC0415 - few texts have any

        text = html.unescape(text)
    return _WORD.findall(text.casefold())


def _parts(messages: Sequence[Message]) -> Iterator[tuple[str, str]]:
    """Yield the role and the texts of each message; what is no text comes as JSON."""
    for message in islice(messages, MOST):
        role = str(message.get("role", ""))
        content: object = message.get("content", message.get("parts"))
        if isinstance(content, str):
            yield role, content
        elif isinstance(content, Sequence):
            yield from ((role, _text_of(part)) for part in islice(cast("Sequence[object]", content), MOST))
        if message.get("tool_calls"):
            yield role, _canonical(message["tool_calls"])


def _text_of(part: object) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, Mapping):
        return _canonical(part)
    known = cast("Message", part)
    texts = (known.get(key) for key in ("text", "content", "response"))
    return next((text for text in texts if isinstance(text, str)), None) or _canonical(known)


def _canonical(value: object) -> str:
    import json  # noqa: PLC0415 - importing spanwise is to load no more than OpenTelemetry does

    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=repr)


def _blake2b(content: bytes, size: int) -> Any:
    from hashlib import blake2b  # noqa: PLC0415 - 4 ms, and only where fingerprints are wanted

    return blake2b(content, digest_size=size)
