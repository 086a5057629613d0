"""Replaces secrets and personal data in texts by `[redacted:<what>]`, in linear time, whatever the text holds.

A text passes cheap gates first (a literal, an at sign), since nearly all texts hold nothing. Short texts that hold
nothing are remembered, as span attributes repeat; what does hold something never is.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from spanwise.content import patterns
from spanwise.errors import InputError
from spanwise.process.memo import Memo

if TYPE_CHECKING:
    from collections.abc import Iterable

_SHORTEST: Final = 6
_REMEMBERED: Final = 256
"""Longest text that is remembered as clean, in characters."""
_SINGLE: Final = bytes.maketrans(b"0123456789", bytes(range(10)))
_DOUBLED: Final = bytes.maketrans(b"0123456789", bytes((0, 2, 4, 6, 8, 1, 3, 5, 7, 9)))
_ENDS_IN_ZERO: Final = bytes(total % 10 == 0 for total in range(256))
_LONGEST_LOCAL: Final = 66
_APART: Final = 100
"""From how many characters for each domain on it is quicker to look only in front of each."""
_ESCAPES: Final = "nrtbf"
_HIDDEN: Final = dict(zip(_ESCAPES, "\ufdd0\ufdd1\ufdd2\ufdd3\ufdd4", strict=True))
"""Characters that Unicode reserves for a program's own use: no text holds them."""
_LONGEST_SECRET: Final = 16_384
_ID_LENGTH: Final = 32
_is_id: Final = re.compile(r"[0-9a-f]{32}").fullmatch
"""Whether a text is an id of a run or a trace: it is too long for a card, and no key is of these letters alone."""
_LONG: Final = 4_096
"""From how many characters on a single character stands for a marker while a text is searched."""
_UNUSUAL: Final = "".join(map(chr, (*range(0x01, 0x09), *range(0x0E, 0x1C), *range(0x80, 0x85), *range(0x86, 0xA0))))
"""Control characters that are no blanks: to every expression they are what a bracket of a marker is."""
_BATCH: Final = 2_000
"""How many secrets are put together at a time: what is just made is quick to reach."""
LARGE: Final = 10**12
"""From here on a number may be a payment card's."""
_SECRET_NAME: Final = re.compile(
    r"(?:^|[._-])(?:passw(?:or)?d|passphrase|pwd|secret|client_secret|secret_access_key|api[_-]?key|apikey|access_token"
    r"|refresh_token|id_token|auth_token|authorization|proxy-authorization|cookie|set-cookie|private_key)$",
    re.IGNORECASE,
)


def marker(what: str) -> str:
    """Return what stands in place of something redacted."""
    return f"[redacted:{what}]"


def is_card(digits: str) -> bool:
    """Whether digits are a payment card's: a known issuer, its length, and a checksum (Luhn) that holds."""
    return _ISSUED.fullmatch(digits) is not None and any(_checked([digits], len(digits)))


def _checked(numbers: list[str], length: int) -> bytes:
    """Return 1 for each number, all of one length, whose checksum (Luhn) holds, else 0.

    All are summed up at once: the sum of the n-th is the n-th byte of a large integer, and at most 19 * 9.
    """
    digits = "".join(numbers).encode("ascii")
    total = 0
    for place in range(length):
        weight = _SINGLE if (length - place) % 2 else _DOUBLED
        total += int.from_bytes(digits[place::length].translate(weight), "little")
    return total.to_bytes(len(numbers), "little").translate(_ENDS_IN_ZERO)


_ISSUERS: Final = (
    r"4(?:[0-9]{12}|[0-9]{15}|[0-9]{18})"  # Visa
    r"|(?:5[1-5][0-9]{2}|222[1-9]|22[3-9][0-9]|2[3-6][0-9]{2}|27[01][0-9]|2720)[0-9]{12}"  # Mastercard
    r"|3[47][0-9]{13}"  # American Express
    r"|3(?:0[0-5]|[68][0-9])[0-9]{11}"  # Diners Club
    r"|35(?:2[89]|[3-8][0-9])[0-9]{12}"  # JCB
    r"|6(?:011|4[4-9][0-9]|5[0-9]{2})[0-9]{12}"  # Discover
    r"|62[0-9]{14,17}"  # UnionPay
    r"|(?:50|5[6-9]|6[0-9])[0-9]{14}"  # Maestro
)


_ISSUED: Final = re.compile(_ISSUERS)
_ISSUED_LINES: Final = re.compile(rf"^(?:({_ISSUERS})|.*)$", re.MULTILINE)


def _token(match: re.Match[str]) -> str:
    what = match.lastgroup or "secret"
    return marker(what) if what != "bearer" else f"{match[0][: match.start(what) - match.start()]}{marker(what)}"


class Redactor:
    """Redacts texts and attribute values; safe to call from any thread.

    Args:
        own: further regular expressions; what they match is redacted, or their group `secret` where they have one.

    Raises:
        InputError: one of them is no regular expression, or matches the empty text.
    """

    def __init__(self, own: Iterable[str] = ()) -> None:
        self._own = tuple(compiled(pattern) for pattern in own)
        self._clean: Memo[str, str] = Memo(
            self._redacted, fits=lambda text, redacted: redacted == text and len(text) <= _REMEMBERED
        )
        self._names: Memo[str, bool] = Memo(lambda name: _SECRET_NAME.search(name) is not None)

    def text(self, text: str) -> str:
        """Return `text` with what is secret or personal replaced; the same object where there is nothing."""
        if not self._own and (len(text) < _SHORTEST or (len(text) == _ID_LENGTH and _is_id(text))):
            return text
        redacted = self._clean[text]
        return text if redacted == text else redacted

    def _redacted(self, text: str) -> str:
        text = _secrets(text)
        for pattern in self._own:
            text = pattern.sub(_own, text)
        return text

    def cut(self, text: str, limit: int) -> int:
        """Return where `text` can be cut, at most at `limit`, so that no secret stands on both sides."""
        begin, end = max(0, limit - _LONGEST_SECRET), limit + _LONGEST_SECRET
        for pattern in (patterns.tokens(), patterns.named(text), patterns.email(), patterns.card(), *self._own):
            for match in pattern.finditer(text, begin, end):
                if match.start() < limit < match.end():
                    limit = match.start()
        return limit

    def value(self, name: str, value: Any) -> Any:
        """Return an attribute's value redacted; a name such as `password` redacts all of it."""
        if type(value) is bool or type(value) is float:
            return value
        if self.is_secret_name(name) and value not in ("", None):
            return marker("attribute")
        return self._inside(value)

    def _inside(self, value: Any) -> Any:  # noqa: PLR0911 - one case a type
        match value:
            case str():
                return self.text(value)
            case bool():
                return value
            case int():
                return marker("card") if value >= LARGE and is_card(_digits(value)) else value
            case bytes():
                return self._bytes(value)
            case Mapping():
                pairs = cast("Mapping[str, Any]", value).items()
                return {self.text(str(name)): self.value(str(name), inner) for name, inner in pairs}
            case Sequence():
                members = cast("Sequence[object]", value)
                items = tuple(self._inside(item) for item in members)
                return members if all(new is old for new, old in zip(items, members, strict=True)) else items
            case _:
                return value

    def _bytes(self, value: bytes) -> bytes:
        text = value.decode("latin-1")  # one character a byte, so that every byte comes back
        redacted = self.text(text)
        return value if redacted is text else redacted.encode("latin-1")

    def is_secret_name(self, name: str) -> bool:
        """Whether an attribute of that name is redacted, whatever its value."""
        return self._names[name]


def _digits(value: int) -> str:
    return str(value) if value < 10**19 else ""


def _own(match: re.Match[str]) -> str:
    if "secret" not in match.re.groupindex or match["secret"] is None:
        return marker("pattern") if match.group() else ""
    begin, end = match.span("secret")
    text, start = match.group(), match.start()
    return f"{text[: begin - start]}{marker('pattern')}{text[end - start :]}"


def compiled(pattern: str) -> re.Pattern[str]:
    """Return an own pattern ready for use.

    Raises:
        InputError: it is no regular expression, or matches the empty text.
    """
    try:
        found = re.compile(pattern)
    except re.error as error:
        raise InputError(f"redact_patterns: {pattern!r} is no regular expression ({error}); mend it") from None
    if found.match("") is not None:
        raise InputError(f"redact_patterns: {pattern!r} matches the empty text; let it match at least a character")
    return found


def _secrets(text: str) -> str:
    if "\\" not in text:
        return _searched(text)
    # In JSON a word can follow an escape, whose letter would count as part of it: it is hidden while searching.
    escapes = [letter for letter in _ESCAPES if f"\\{letter}" in text]
    for letter in escapes:
        text = text.replace(f"\\{letter}", f"\\{_HIDDEN[letter]}")
    text = _searched(text)
    for letter in escapes:
        text = text.replace(f"\\{_HIDDEN[letter]}", f"\\{letter}")
    return text


def _searched(text: str) -> str:
    if patterns.gate().search(text) is not None or any(literal in text for literal in patterns.literals()):
        text = patterns.tokens().sub(_token, text)
    signs = _signs(text)
    text = _without_named(text, signs)
    if "@" in text or "%40" in text:
        text = _without_emails(text, signs["email"])
    text = _without_cards(text, signs["card"])
    if signs is not _markers():
        for what, mark in _markers().items():
            if signs[what] in text:  # quicker than to replace what is not there
                text = text.replace(signs[what], mark)
    return text


@functools.cache
def _markers() -> dict[str, str]:
    """Return the markers of the named secrets, in the order of their groups, and of what is looked for after them."""
    return {what: marker(what) for what in (*patterns.named("").groupindex, "email", "card")}


def _signs(text: str) -> dict[str, str]:
    """Return what stands for each marker until the end: where a secret is short, markers would double a text."""
    if len(text) < _LONG:
        return _markers()
    free = itertools.islice((sign for sign in _UNUSUAL if sign not in text), len(_markers()))
    signs = dict(zip(_markers(), free, strict=False))
    return signs if len(signs) == len(_markers()) else _markers()


def _without_named(text: str, signs: dict[str, str]) -> str:
    """Replace the secrets alone: a loop, since a call for each would cost as much again as finding it."""
    pattern = patterns.named(text)
    if (first := pattern.search(text)) is None:
        return text
    marks = ("", *signs.values())
    whole: list[str] = []
    matches = pattern.finditer(text, first.start())
    done = 0
    while True:
        parts: list[str] = []
        for match in itertools.islice(matches, _BATCH):
            index = match.lastindex or 0
            begin, end = match.span(index)
            parts.append(text[done:begin])
            parts.append(marks[index])
            done = end
        if not parts:
            return "".join((*whole, text[done:]))
        whole.append("".join(parts))


def _without_emails(text: str, mark: str) -> str:
    """Look only in front of each domain where they are rare: every character of a text can begin an address."""
    pattern = patterns.email()
    most = len(text) // _APART
    domains = list(itertools.islice(patterns.at_domain().finditer(text), most + 1))
    if len(domains) > most:
        return pattern.sub(mark, text)
    parts: list[str] = []
    done = last = 0
    for domain in domains:
        sign = domain.start()
        while last + 1 < len(domains) and domains[last + 1].start() - sign <= _LONGEST_LOCAL:
            last += 1  # `a%40b.example@c.example` is one address: an at sign further on decides first
        end = max(domain.end(), domains[last].end()) + 1  # one more: what must not follow
        match = pattern.search(text, max(done, sign - _LONGEST_LOCAL), end)
        if match is not None:
            parts += text[done : match.start()], mark
            done = match.end()
    return "".join((*parts, text[done:])) if parts else text


def _without_cards(text: str, mark: str) -> str:
    parts = patterns.card().split(text)
    if len(parts) == 1:
        return text
    parts[1::2] = [mark if card else number for number, card in zip(parts[1::2], _are_cards(parts[1::2]), strict=True)]
    return "".join(parts)


def _are_cards(numbers: list[str]) -> list[bool]:
    """Return which numbers, plain or in groups, are a payment card's; many cost little more than a few."""
    plain = "\n".join(numbers).replace(" ", "").replace("-", "")
    issued: list[str] = _ISSUED_LINES.findall(plain)  # empty where it has no issuer
    cards: set[str] = set()
    for length in {len(digits) for digits in issued} - {0}:
        alike = [digits for digits in issued if len(digits) == length]
        cards.update(itertools.compress(alike, _checked(alike, length)))
    return [digits in cards for digits in issued]
