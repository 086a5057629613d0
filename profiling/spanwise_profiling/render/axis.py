"""The time axis of a report: where in a column of cells a span's bar begins and ends.

A cell is filled when the span covers half of it or more; a span that fills none still gets a mark at its place, so that
nothing which happened is invisible. The axis is the run's duration, longer where something outlives the run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from spanwise_profiling import kinds
from spanwise_profiling.render.numbers import seconds
from spanwise_profiling.runs import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from spanwise.journal.reader import SpanRecord
    from spanwise_profiling.render.glyphs import Glyphs
    from spanwise_profiling.runs import Run

_ENCLOSING: frozenset[kinds.Kind] = frozenset({"workflow", "agent", "step", "plan", "span"})


@dataclass(frozen=True, slots=True)
class Axis:
    """A stretch of recorded time laid over `cells` characters."""

    start_ns: int
    length_ns: int
    cells: int
    time_scale: float = 1.0
    """Seconds shown for a recorded second."""

    def seconds(self, nanoseconds: int) -> str:
        """Return recorded nanoseconds as text in scaled seconds."""
        return seconds(nanoseconds * self.time_scale / NANOSECONDS)

    def cells_of(self, span: SpanRecord) -> tuple[int, int]:
        """Return the first cell and the number of filled cells (0: shorter than half a cell) of a span's bar."""
        return self.cells_between(span.start_ns, span.end_ns)

    def cells_between(self, start_ns: int, end_ns: int) -> tuple[int, int]:
        """Return the first cell and the number of filled cells of a stretch; stretches that touch share no cell."""
        first = self._position(start_ns)
        return min(first, self.cells - 1), min(self._position(end_ns), self.cells) - first

    def _position(self, time_ns: int) -> int:
        if not self.length_ns:
            return 0
        share = (time_ns - self.start_ns) / self.length_ns
        return round(min(1.0, max(0.0, share)) * self.cells)

    def draw(self, spans: Iterable[SpanRecord], glyphs: Glyphs) -> str:
        """Return the bars of `spans` as exactly `cells` characters; later spans are drawn over earlier ones."""
        row = [" "] * self.cells
        for span in spans:
            first, filled = self.cells_of(span)
            if filled > 0:
                row[first : first + filled] = _fill(span, glyphs) * filled
            elif row[first] == " ":
                row[first] = glyphs.dot
        return "".join(row)

    def ruler(self) -> str:
        """Return the line above the bars: 0 s, the middle and the end, in scaled seconds."""
        if not self.length_ns:
            return "0 s".ljust(self.cells)
        middle, end = self.seconds(self.length_ns // 2), self.seconds(self.length_ns)
        line = "0 s".ljust(self.cells - len(end)) + end
        left = (self.cells - len(middle)) // 2
        fits = left > len("0 s ") and left + len(middle) < self.cells - len(end)
        return line[:left] + middle + line[left + len(middle) :] if fits else line


def axis_of(run: Run, cells: int) -> Axis:
    """Return the axis of a run."""
    end_ns = max(span.end_ns for _, span in run.walk())
    return Axis(run.start_ns, max(run.duration_ns, end_ns - run.start_ns), cells, run.scale)


def style_of(span: SpanRecord) -> str:
    """Return the rich style of a span's bar: its kind's colour, red for an error."""
    if span.is_error:
        return "red"
    styles: dict[kinds.Kind, str] = {
        "chat": "cyan", "embeddings": "cyan", "tool": "green", "retrieval": "green", "cache": "magenta",
        "wait": "yellow",
    }  # fmt: skip
    return styles.get(kinds.kind_of(span), "blue")


def _fill(span: SpanRecord, glyphs: Glyphs) -> str:
    kind = kinds.kind_of(span)
    if kind == "wait":
        return glyphs.wait
    return glyphs.span if kind in _ENCLOSING else glyphs.bar
