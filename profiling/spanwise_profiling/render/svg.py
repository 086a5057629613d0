"""What the pictures have in common: sizes, colours, the time axis, and an SVG's head.

Each is a document of its own: no script, no font or image from elsewhere, text as text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Iterator

WIDTH: Final = 880
LEFT: Final = 12
AXIS_LEFT: Final = 190
AXIS_WIDTH: Final = 590
RIGHT: Final = 868
ROW: Final = 14
_LONGEST_NAME: Final = 24
_MOST_TICKS: Final = 8
_STEPS: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400)
_FONT: Final = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', 'Liberation Mono', monospace"


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours, as CSS writes them."""

    background: str
    text: str
    dim: str
    grid: str
    extent: str
    """Behind a run, from its start to its end."""
    model: str
    tool: str
    wait: str
    span: str
    """An agent or step between its calls."""
    error: str


LIGHT: Final = Theme(
    "#ffffff", "#1f2328", "#59636e", "#d1d9e0", "#f3f5f8", "#0969da", "#1a7f37", "#9a6700", "#818b98", "#cf222e"
)
DARK: Final = Theme(
    "#0d1117", "#e6edf3", "#9198a1", "#30363d", "#171d26", "#4493f8", "#3fb950", "#d29922", "#656c76", "#f85149"
)


@dataclass(frozen=True, slots=True)
class TimeAxis:
    """Scaled seconds from a run's start, laid over `AXIS_WIDTH`."""

    length: float

    def x(self, value: float) -> float:
        """Return where a moment is drawn; what lies outside is drawn at the edge."""
        share = value / self.length if self.length else 0.0
        return AXIS_LEFT + AXIS_WIDTH * min(1.0, max(0.0, share))

    def ticks(self) -> list[int]:
        """Return the seconds that get a line and a number, 8 steps at most."""
        step = next((step for step in _STEPS if self.length / step <= _MOST_TICKS), None)
        if step is None:
            step = max(1, round(self.length / _MOST_TICKS))
        return list(range(0, int(self.length) + 1, step))


def head(title: str, theme: Theme, height: float) -> Iterator[str]:
    """Yield the beginning of a picture of `height`; `url(#wait)` is the hatching of waits."""
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" width="{WIDTH}" '
        f'height="{height:g}" role="img" aria-labelledby="title" font-family="{_FONT}" font-size="11">'
    )
    yield f'<title id="title">{escape(title)}</title>'
    yield (
        '<defs><pattern id="wait" width="4" height="4" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
        f'<rect width="1.6" height="4" fill="{theme.wait}"/></pattern></defs>'
    )
    yield f'<rect width="{WIDTH}" height="{height:g}" fill="{theme.background}"/>'


def scale(axis: TimeAxis, theme: Theme, y: float) -> Iterator[str]:
    """Yield the numbers of the axis."""
    for tick in axis.ticks():
        yield text(axis.x(tick), y, f"{tick} s", theme.dim, anchor="middle")


def grid(axis: TimeAxis, theme: Theme, top: float, bottom: float) -> Iterator[str]:
    """Yield a line for each number of the axis."""
    for tick in axis.ticks():
        yield f'<path d="M{axis.x(tick):.1f} {top:g}V{bottom:g}" stroke="{theme.grid}"/>'


def cut(name: str) -> str:
    """Return a name that fits left of the axis."""
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def text(
    x: float, y: float, content: str, fill: str, *, anchor: str = "start", weight: str = "normal", size: int = 11
) -> str:
    """Return one line of text; `content` needs no escaping."""
    return (
        f'<text x="{x:.1f}" y="{y:g}" fill="{fill}" text-anchor="{anchor}" font-weight="{weight}" '
        f'font-size="{size}">{escape(content)}</text>'
    )
