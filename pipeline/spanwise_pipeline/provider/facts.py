"""Facts: lines `name = value` anywhere in the messages; the only thing that a reply can know.

Values stay text as they stood in the prompt, so that passing a fact on never changes it; arithmetic reads the text as a
number when it is one.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

NAME: Final = r"[a-z][a-z0-9_]*"
_LINE: Final = re.compile(rf"[ \t]*(?:[-*][ \t]+)?({NAME})[ \t]+=[ \t]+(\S.*)")
_NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")


def parse(texts: Iterable[str]) -> dict[str, str]:
    """Return the facts of `texts` in order of first appearance; a later line of the same name wins."""
    facts: dict[str, str] = {}
    for text in texts:
        for line in text.splitlines():
            if match := _LINE.fullmatch(line):
                facts[match[1]] = without_period(match[2])
    return facts


def without_period(text: str) -> str:
    """Return `text` trimmed, without one period at its end."""
    return text.strip().removesuffix(".").rstrip()


def number(value: str) -> float | None:
    """Return the finite decimal number that `value` spells, or None where it is text."""
    if not _NUMBER.fullmatch(value):
        return None
    result = float(value)
    return result if math.isfinite(result) else None


def format_number(value: float) -> str:
    """Return `value` with up to four decimals, trailing zeros stripped."""
    text = f"{value:.4f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
