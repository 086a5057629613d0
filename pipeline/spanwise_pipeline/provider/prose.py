"""Filler of an exact length: the words of a neutral analyst, chosen by a hash of the fact they stand beside.

Sentences follow fixed patterns of parts of speech. No word begins an instruction and no sentence holds ` = `, so prose
can be passed on in a later prompt without being read as anything.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_WORDS: Final = {
    "D": ("the", "this", "that", "each", "our", "their", "one", "another"),
    "A": (
        "recent", "steady", "broad", "modest", "clear", "careful", "gradual", "relevant", "stable", "visible",
        "moderate", "consistent", "limited", "balanced", "current", "typical",
    ),
    "N": (
        "figure", "reading", "period", "level", "trend", "range", "estimate", "record", "measure", "margin",
        "series", "outlook", "signal", "source", "average", "comparison",
    ),
    "V": (
        "supports", "reflects", "follows", "matches", "confirms", "informs", "precedes", "qualifies", "extends",
        "describes", "balances", "tempers", "mirrors", "outlines", "frames", "suggests",
    ),
    "P": ("over", "within", "across", "beside", "after", "before", "under", "against"),
    "B": ("quietly", "plainly", "broadly", "closely", "slowly", "evenly", "largely", "mostly"),
    "C": ("and", "while", "because", "although"),
}  # fmt: skip
_PATTERNS: Final = {
    1: "B", 2: "AN", 3: "DAN", 4: "DANV", 5: "DNVDN", 6: "DNVDAN", 7: "DANVDAN", 8: "DANVDANB", 9: "DANVDNPDN",
    10: "DANVDANPDN", 11: "DANVDANPDAN", 12: "DANBVDANPDAN", 13: "DANVDNCDANVDN", 14: "DANVDANCDANVDN",
}  # fmt: skip
_SHORTEST: Final = 8
_LONGEST: Final = 14


def prose(name: str, value: str, words: int) -> str:
    """Return exactly `words` words in sentences of 8 to 14, the same ones for the same fact; a rest may be shorter."""
    numbers = _numbers(f"{name}\n{value}")
    sentences: list[str] = []
    while words > 0:
        length = _length(words, next(numbers))
        sentences.append(_sentence(length, numbers))
        words -= length
    return " ".join(sentences)


def _length(left: int, draw: int) -> int:
    if left <= _LONGEST:
        return left
    # Never leave a rest that no two sentences make up: less than the shortest, or one more than the longest.
    lengths = range(_SHORTEST, _LONGEST + 1)
    good = [length for length in lengths if left - length >= _SHORTEST and left - length != _LONGEST + 1]
    return good[draw % len(good)] if good else _SHORTEST


def _sentence(length: int, numbers: Iterator[int]) -> str:
    choices = (_WORDS[part] for part in _PATTERNS[length])
    words = [choice[next(numbers) % len(choice)] for choice in choices]
    return " ".join(words).capitalize() + "."


def _numbers(key: str) -> Iterator[int]:
    block = 0
    while True:
        yield from hashlib.sha256(f"{key}\n{block}".encode()).digest()
        block += 1
