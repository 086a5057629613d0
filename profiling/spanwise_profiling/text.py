"""Recorded text made safe to print: names in a trace come from models and users.

Control characters, escape sequences, line ends and invisible formatting (which can reorder what is read) are shown
escaped, so that recorded text stays on its line and acts on no terminal.
"""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Final

_LONGEST: Final = 1000
_LAID_OUT: Final = frozenset("\n\t")
_BEYOND_ASCII: Final = re.compile(r"[^\n -~]")
_UNSAFE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def printable(text: str) -> str:
    """Return the first 1,000 characters of `text` with every unsafe one escaped as in a Python string."""
    return "".join(_escaped(character) for character in text[:_LONGEST])


def readable(text: str) -> str:
    """Return all of `text`, escaped likewise; line ends and tabs stay, for pages that set them out."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(character if character in _LAID_OUT else _escaped(character) for character in text)


def safe_json(document: str) -> str:
    """Return a JSON document with every unsafe character of its texts escaped, which means the same to a reader."""
    return _BEYOND_ASCII.sub(lambda found: json.dumps(found[0])[1:-1] if _is_unsafe(found[0]) else found[0], document)


def _is_unsafe(character: str) -> bool:
    return unicodedata.category(character) in _UNSAFE


def _escaped(character: str) -> str:
    if _is_unsafe(character):
        return character.encode("unicode_escape", "backslashreplace").decode("ascii")
    return character
