"""A run as a tree whose bars show the critical path: read from left to right, each moment is solid in one line only.

That line is what the run waited for then. The lines above it in the tree are drawn as enclosing it, everything else
that was under way as not decisive. No colour is needed, and no sign of its own: what is not on the path has no number.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len
from rich.text import Text

from spanwise_profiling.render.axis import axis_of
from spanwise_profiling.render.budget import WAITS
from spanwise_profiling.render.glyphs import UNICODE, Glyphs
from spanwise_profiling.render.lines import OmittedLine, lines_of, note_of
from spanwise_profiling.render.timeline import NARROWEST, SECONDS_WIDTH, label_of_line

if TYPE_CHECKING:
    from spanwise.journal.reader import SpanRecord
    from spanwise_profiling.profile import Profile
    from spanwise_profiling.render.axis import Axis

_NAME_SHARE: Final = 0.4
_NUMBERS: Final = 2 * SECONDS_WIDTH + 2


@dataclass(frozen=True, slots=True)
class OnPath:
    """Where in the tree the critical path runs, by the spans' numbers in tree order."""

    numbers: dict[str, tuple[int, int]]
    """Span id to its own number and the first one that is not below it any more."""
    own_ns: tuple[int, ...]
    before_ns: tuple[int, ...]
    """Sum of `own_ns` up to, and without, each number; one longer."""

    def below_ns(self, span: SpanRecord) -> int:
        """Return the time on the path of a span and all below it."""
        first, end = self.numbers[span.span_id]
        return self.before_ns[end] - self.before_ns[first]


def on_path(profile: Profile) -> OnPath:
    """Return how much of the path lies where."""
    numbers = _numbers(profile)
    own = [0] * len(numbers)
    for segment in profile.path:
        if segment.span.span_id in numbers:
            own[numbers[segment.span.span_id][0]] += segment.duration_ns
    return OnPath(numbers, tuple(own), tuple(accumulate(own, initial=0)))


def _numbers(profile: Profile) -> dict[str, tuple[int, int]]:
    walked = [(depth, span.span_id) for depth, span in profile.run.walk()]
    ends = [len(walked)] * len(walked)
    open_ones: list[tuple[int, int]] = []
    for number, (depth, _) in enumerate(walked):
        while open_ones and open_ones[-1][0] >= depth:
            ends[open_ones.pop()[1]] = number
        open_ones.append((depth, number))
    return {span_id: (number, ends[number]) for number, (_, span_id) in enumerate(walked)}


def path_tree(profile: Profile, width: int, *, glyphs: Glyphs = UNICODE, show_all: bool = False) -> Text:
    """Return the tree with the path in it, in lines of `width` cells (at least 60).

    Two numbers end a line: the seconds of the path at or below the span, blank where there are none, and its own.
    """
    run, path = profile.run, on_path(profile)
    own = {span_id: path.own_ns[number] for span_id, (number, _) in path.numbers.items()}
    lines = lines_of(run, show_all=show_all, weights=own)
    labels = [label_of_line(line, glyphs) for line in lines]
    whole = max(width, NARROWEST)
    name_width = min(max(map(cell_len, labels), default=0), int(whole * _NAME_SHARE))
    axis = axis_of(run, whole - name_width - _NUMBERS - 2)
    cells = _cells(profile, path, axis)
    text = Text(no_wrap=True, overflow="ignore")
    numbers = f"{'on path':>{SECONDS_WIDTH + 1}}{'took':>{SECONDS_WIDTH + 1}}"
    text.append(f"{'':{name_width}}  {axis.ruler()}{numbers}\n", style="dim")
    for line, label in zip(lines, labels, strict=True):
        if isinstance(line, OmittedLine):
            text.append(glyphs.fit(label, whole).rstrip() + "\n", style="dim")
        else:
            text.append(glyphs.fit(label, name_width), style="red" if line.span.is_error else "")
            text.append_text(_row(line.span, path, axis, cells, glyphs))
    if note := note_of(run, lines, "those longest on the path first"):
        text.append(glyphs.fit(f"{glyphs.ellipsis} {note}", whole).rstrip(), style="dim")
    text.rstrip()
    return text


def legend(glyphs: Glyphs = UNICODE) -> str:
    """Return what the bars mean, in one line."""
    return (
        f"{glyphs.bar} waited for  {glyphs.wait} the same, and it waited itself  {glyphs.span} encloses it  "
        f"{glyphs.off} not decisive"
    )


def _cells(profile: Profile, path: OnPath, axis: Axis) -> list[tuple[int, bool]]:
    """Return for each cell of the axis the number of the span that the path is in, and whether that only waits."""
    cells = [(-1, False)] * axis.cells
    for segment in profile.path:
        number = path.numbers.get(segment.span.span_id, (-1, -1))[0]
        first, filled = axis.cells_between(segment.start_ns, segment.end_ns)
        cells[first : first + filled] = [(number, segment.bucket in WAITS)] * filled
    return cells


def _row(span: SpanRecord, path: OnPath, axis: Axis, cells: list[tuple[int, bool]], glyphs: Glyphs) -> Text:
    below = path.below_ns(span)
    text = Text("  ", no_wrap=True, overflow="ignore")
    text.append(_bar(span, path, axis, cells, glyphs), style="bold cyan" if below else "dim")
    decisive = axis.seconds(below) if below else ""
    text.append(f" {decisive:>{SECONDS_WIDTH}}", style="bold")
    text.append(f" {axis.seconds(span.duration_ns):>{SECONDS_WIDTH}}\n")
    return text


def _bar(span: SpanRecord, path: OnPath, axis: Axis, cells: list[tuple[int, bool]], glyphs: Glyphs) -> str:
    first, filled = axis.cells_of(span)
    number, end = path.numbers[span.span_id]
    row = [" "] * axis.cells
    row[first : first + filled] = glyphs.off * filled
    for cell, (owner, waits) in enumerate(cells):
        if owner == number:
            row[cell] = glyphs.wait if waits else glyphs.bar
        elif number < owner < end:
            row[cell] = glyphs.span
    if row.count(" ") == axis.cells:
        row[first] = glyphs.dot
    return "".join(row)
