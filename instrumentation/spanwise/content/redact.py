"""Replaces secrets and personal data in texts by `[redacted:<what>]`, in linear time, whatever the text holds.

A text passes cheap gates first (a literal, an at sign), since nearly all texts hold nothing. Short texts that hold
nothing are remembered, as span attributes repeat; what does hold something never is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import unquote

from spanwise.content import patterns
from spanwise.errors import InputError
from spanwise.process.memo import Memo

if TYPE_CHECKING:
    from collections.abc import Iterable

_SHORTEST: Final = 6
_REMEMBERED: Final = 256
"""Longest text that is remembered as clean, in characters."""
_ESCAPES: Final = "nrtbf"
_HIDDEN: Final = dict(zip(_ESCAPES, "\ufdd0\ufdd1\ufdd2\ufdd3\ufdd4", strict=True))
"""Characters that Unicode reserves for a program's own use: no text holds them."""
_DOUBLED: Final = {str(digit): sum(divmod(2 * digit, 10)) for digit in range(10)}
_CODE: Final = re.compile(r"%[0-9A-Fa-f]{2}")
_LONGEST_SECRET: Final = 16_384
_ID_LENGTH: Final = 32
_is_id: Final = re.compile(r"[0-9a-f]{32}").fullmatch
"""Whether a text is an id of a run or a trace: it is too long for a card, and no key is of these letters alone."""
LARGE: Final = 10**12
"""From here on a number may be a payment card's."""
_SECRET_NAME: Final = re.compile(
    r"(?:^|[._-])(?:passw(?:or)?d|passphrase|pass|pwd|secret|client_secret|secret_access_key|api[_-]?key|apikey|access_token"
    r"|refresh_token|id_token|auth_token|authorization|proxy-authorization|cookie|set-cookie|private_key)$",
    re.IGNORECASE,
)


def marker(what: str) -> str:
    """Return what stands in place of something redacted."""
    return f"[redacted:{what}]"


def is_card(digits: str) -> bool:
    """Return whether digits are a payment card's: a known issuer, its length, and a checksum (Luhn) that holds."""
    return _ISSUED.fullmatch(digits) is not None and _luhn(digits) % 10 == 0


def _luhn(digits: str) -> int:
    singles, doubled = digits[::-2], digits[-2::-2]
    return sum(map(int, singles)) + sum(_DOUBLED[digit] for digit in doubled)


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
        for pattern in (patterns.tokens(), patterns.named(), patterns.email(), patterns.card(), *self._own):
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

    def is_sound_name(self, name: str) -> bool:
        """Return whether an attribute's name holds no secret, and does not say that its value is one."""
        return not self.is_secret_name(name) and self.text(name) is name

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
    """Return a text without secrets, also percent-encoded ones."""
    text = _unescaped(text)
    if "%" in text and (decoded := unquote(text)) != text and (redacted := _unescaped(decoded)) != decoded:
        codes = {unquote(code): code for code in _CODE.findall(text)}
        return "".join(character if character in "[]:" else codes.get(character, character) for character in redacted)
    return text


def _unescaped(text: str) -> str:
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
    text = patterns.named().sub(_group, text)
    if "@" in text or "%40" in text:
        text = patterns.email().sub(marker("email"), text)
    return patterns.card().sub(_card, text)


def _token(match: re.Match[str]) -> str:
    return _group(match) if match.lastgroup == "bearer" else marker(match.lastgroup or "secret")


def _group(match: re.Match[str]) -> str:
    """Return what was found with its secret replaced: the name that stands in front of it stays."""
    what = match.lastgroup or "secret"
    found, start = match[0], match.start()
    return f"{found[: match.start(what) - start]}{marker(what)}{found[match.end(what) - start :]}"


def _card(match: re.Match[str]) -> str:
    number = match[0]
    return marker("card") if is_card(number.replace(" ", "").replace("-", "")) else number
