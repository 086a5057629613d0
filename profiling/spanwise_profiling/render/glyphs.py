"""The characters that reports are drawn with, and what keeps recorded text from drawing anything itself.

Names in a trace come from models and users. Control characters, escape sequences, line ends and invisible formatting
are shown escaped, and reports are built as styled text, never as markup. Where the stream cannot encode the block
characters, all of a report is ASCII.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Final

from rich.cells import cell_len, set_cell_size

_LONGEST: Final = 1000
_UNSAFE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


@dataclass(frozen=True, slots=True)
class Glyphs:
    """One set of drawing characters; every character is one cell wide."""

    bar: str
    """Work."""
    span: str
    """An agent, workflow or step: something that only encloses work."""
    wait: str
    dot: str
    """Anything shorter than half a cell."""
    error: str
    branch: str
    last_branch: str
    trunk: str
    gap: str
    ellipsis: str
    ascii_only: bool

    def clean(self, text: str) -> str:
        """Return `text` on one line and without any character that could act on a terminal."""
        safe = "".join(_escaped(character) for character in text[:_LONGEST])
        return safe.encode("ascii", "backslashreplace").decode("ascii") if self.ascii_only else safe

    def fit(self, text: str, width: int) -> str:
        """Return clean `text` in exactly `width` cells: padded, or cut with an ellipsis."""
        if cell_len(text) <= width:
            return set_cell_size(text, width)
        return set_cell_size(text, max(0, width - len(self.ellipsis))) + self.ellipsis


UNICODE: Final = Glyphs("█", "━", "░", "▏", "✗", "├─ ", "└─ ", "│  ", "   ", "…", ascii_only=False)
ASCII: Final = Glyphs("#", "=", ".", "'", "X", "|- ", "`- ", "|  ", "   ", "~", ascii_only=True)


def glyphs_for(encoding: str | None) -> Glyphs:
    """Return the glyphs that a stream of this encoding can take."""
    try:
        "█━░▏✗├─└│…".encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return UNICODE


def _escaped(character: str) -> str:
    if unicodedata.category(character) in _UNSAFE:
        return character.encode("unicode_escape", "backslashreplace").decode("ascii")
    return character
