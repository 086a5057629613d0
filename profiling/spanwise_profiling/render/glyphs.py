"""The characters that reports are drawn with.

Reports are built as styled text, never as markup, and out of cleaned text only. Where the stream cannot encode the
block characters, all of a report is ASCII.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from rich.cells import cell_len, set_cell_size

from spanwise_profiling.text import printable


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
    could: str
    """On the critical path, and could have overlapped with others."""
    off: str
    """Under way, but not what the run waited for."""
    error: str
    branch: str
    last_branch: str
    trunk: str
    gap: str
    ellipsis: str
    ascii_only: bool

    def clean(self, text: str) -> str:
        """Return `text` on one line and without any character that could act on a terminal."""
        safe = printable(text)
        return safe.encode("ascii", "backslashreplace").decode("ascii") if self.ascii_only else safe

    def fit(self, text: str, width: int) -> str:
        """Return clean `text` in exactly `width` cells: padded, or cut with an ellipsis."""
        if cell_len(text) <= width:
            return set_cell_size(text, width)
        return set_cell_size(text, max(0, width - len(self.ellipsis))) + self.ellipsis


UNICODE: Final = Glyphs("█", "━", "░", "▏", "▓", "·", "✗", "├─ ", "└─ ", "│  ", "   ", "…", ascii_only=False)
ASCII: Final = Glyphs("#", "=", ".", "'", "%", "-", "X", "|- ", "`- ", "|  ", "   ", "~", ascii_only=True)


def glyphs_for(encoding: str | None) -> Glyphs:
    """Return the glyphs that a stream of this encoding can take."""
    try:
        "█━░▏▓·✗├─└│…".encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return UNICODE
