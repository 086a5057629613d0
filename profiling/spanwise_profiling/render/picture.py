"""Several runs in one SVG on one time axis, so that a run that takes half as long is half as wide.

A document of its own: no script, no font or image from elsewhere, text as text. Everything can be told without colour:
calls fill a bar, waits are hatched, an agent between calls is a thin line, and an error has its sign.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape

from spanwise_profiling import kinds
from spanwise_profiling.render.lanes import Lane, inner_of, lanes_of
from spanwise_profiling.render.numbers import count, seconds
from spanwise_profiling.runs import NANOSECONDS
from spanwise_profiling.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from spanwise.journal.reader import SpanRecord
    from spanwise_profiling.runs import Run

WIDTH: Final = 880
_AXIS_LEFT: Final = 190
_AXIS_WIDTH: Final = 590
_RIGHT: Final = 868
_TOP: Final = 46
_HEADING: Final = 26
_ROW: Final = 14
_GAP: Final = 14
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
class _Axis:
    """Scaled seconds from each run's start, laid over `_AXIS_WIDTH`."""

    length: float

    def x(self, value: float) -> float:
        share = value / self.length if self.length else 0.0
        return _AXIS_LEFT + _AXIS_WIDTH * min(1.0, max(0.0, share))

    def ticks(self) -> list[int]:
        step = next((step for step in _STEPS if self.length / step <= _MOST_TICKS), None)
        if step is None:
            step = max(1, round(self.length / _MOST_TICKS))
        return list(range(0, int(self.length) + 1, step))


def picture(runs: Sequence[Run], theme: Theme = LIGHT, *, target: float | None = None) -> str:
    """Return an SVG document of `runs`, one below the other, on the axis of the longest.

    Args:
        runs: at least one; what outlives a run makes the axis longer.
        theme: its colours.
        target: scaled seconds to mark with a dashed line.
    """
    axis = _Axis(max([*map(_extent, runs), target or 0.0]))
    lines: list[str] = [*_scale(axis, theme, target)]
    top = _TOP
    for run in runs:
        lanes = lanes_of(run)
        lines += _run(run, lanes, axis, theme, top)
        bottom = top + _HEADING + _ROW * len(lanes)
        lines += _mark(axis, theme, target, top + _HEADING, bottom)
        top = bottom + _GAP
    lines += _legend(theme, top + 12)
    return "\n".join([*_head(runs, theme, top + 26), *lines, "</svg>\n"])


def _extent(run: Run) -> float:
    end_ns = max(span.end_ns for _, span in run.walk())
    return run.scaled(max(run.duration_ns, end_ns - run.start_ns))


def _head(runs: Sequence[Run], theme: Theme, height: int) -> Iterator[str]:
    about = "; ".join(f"{_name(run)} {seconds(run.seconds)}" for run in runs)
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'role="img" aria-labelledby="title" font-family="{_FONT}" font-size="11">'
    )
    yield f'<title id="title">Timelines on one axis: {escape(about)}</title>'
    yield (
        '<defs><pattern id="wait" width="4" height="4" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
        f'<rect width="1.6" height="4" fill="{theme.wait}"/></pattern></defs>'
    )
    yield f'<rect width="{WIDTH}" height="{height}" fill="{theme.background}"/>'


def _scale(axis: _Axis, theme: Theme, target: float | None) -> Iterator[str]:
    for tick in axis.ticks():
        yield _text(axis.x(tick), _TOP - 12, f"{tick} s", theme.dim, anchor="middle")
    if target is not None:
        yield _text(axis.x(target), _TOP - 26, f"target {target:g} s", theme.error, anchor="middle")


def _grid(axis: _Axis, theme: Theme, top: int, bottom: int) -> Iterator[str]:
    for tick in axis.ticks():
        yield f'<path d="M{axis.x(tick):.1f} {top}V{bottom}" stroke="{theme.grid}"/>'


def _mark(axis: _Axis, theme: Theme, target: float | None, top: int, bottom: int) -> Iterator[str]:
    if target is not None:
        yield f'<path d="M{axis.x(target):.1f} {top}V{bottom}" stroke="{theme.error}" stroke-dasharray="4 3"/>'


def _run(run: Run, lanes: Sequence[Lane], axis: _Axis, theme: Theme, top: int) -> Iterator[str]:
    height = _HEADING + _ROW * len(lanes)
    width = axis.x(run.seconds) - _AXIS_LEFT
    yield f'<rect x="{_AXIS_LEFT}" y="{top}" width="{width:.1f}" height="{height}" rx="3" fill="{theme.extent}"/>'
    yield from _grid(axis, theme, top + _HEADING, top + height)
    yield _text(12, top + 17, _cut(_name(run)), theme.text, weight="bold", size=13)
    yield _text(_AXIS_LEFT + 6, top + 17, _figures(run), theme.dim)
    yield _text(_RIGHT, top + 17, seconds(run.seconds), theme.text, weight="bold", anchor="end", size=13)
    for index, lane in enumerate(lanes):
        yield from _lane(run, lane, axis, theme, top + _HEADING + _ROW * index)


def _lane(run: Run, lane: Lane, axis: _Axis, theme: Theme, top: int) -> Iterator[str]:
    failed = any(span.is_error for span in lane.spans)
    times = f" x{len(lane.spans)}" if len(lane.spans) > 1 else ""
    label = ("✗ " if failed else "") + _cut(printable(lane.name)) + times
    yield _text(12, top + 10, label, theme.error if failed else theme.text)
    for span in (*lane.spans, *inner_of(run, lane)):
        yield _bar(run, span, axis, theme, top)
    yield _text(_RIGHT, top + 10, seconds(run.scaled(lane.nanoseconds)), theme.dim, anchor="end")


def _bar(run: Run, span: SpanRecord, axis: _Axis, theme: Theme, top: int) -> str:
    left, right = (axis.x((at - run.start_ns) * run.scale / NANOSECONDS) for at in (span.start_ns, span.end_ns))
    fill, y, height = _look(span, theme)
    # Half a unit is left free at the end, so that calls one after the other can be told apart.
    width = max(1.0, right - left - 0.5)
    return f'<rect x="{left:.1f}" y="{top + y:g}" width="{width:.1f}" height="{height:g}" fill="{fill}"/>'


def _look(span: SpanRecord, theme: Theme) -> tuple[str, float, float]:
    """Return fill, distance from the lane's top, and height."""
    kind = kinds.kind_of(span)
    if kind == "wait":
        return "url(#wait)", 2, 10
    if kind in ("chat", "embeddings"):
        return theme.error if span.is_error else theme.model, 2, 10
    if kind in ("tool", "retrieval"):
        return theme.error if span.is_error else theme.tool, 2, 10
    return theme.span, 6, 2


def _legend(theme: Theme, y: int) -> Iterator[str]:
    entries = (("model call", theme.model, 10), ("tool", theme.tool, 10), ("wait", "url(#wait)", 10),
               ("agent or step between calls", theme.span, 2))  # fmt: skip
    starts = [_AXIS_LEFT]
    for label, _, _ in entries:
        starts.append(starts[-1] + 32 + 7 * len(label))
    for (x, _), (label, fill, height) in zip(pairwise(starts), entries, strict=True):
        yield f'<rect x="{x}" y="{y - 4 - height / 2:g}" width="16" height="{height}" fill="{fill}"/>'
        yield _text(x + 22, y, label, theme.dim)


def _figures(run: Run) -> str:
    figures = [count(run.totals.tokens, "token"), count(run.totals.llm_calls, "model call")]
    if run.totals.cache_lookups:
        figures.append(f"{run.totals.cache_hits}/{run.totals.cache_lookups} cache hits")
    if run.grade:
        figures.append(f"grade {printable(run.grade)}")
    return ", ".join(figures)


def _name(run: Run) -> str:
    return printable(run.variant or run.workflow)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_NAME else f"{text[: _LONGEST_NAME - 1]}…"


def _text(
    x: float, y: float, text: str, fill: str, *, anchor: str = "start", weight: str = "normal", size: int = 11
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:g}" fill="{fill}" text-anchor="{anchor}" font-weight="{weight}" '
        f'font-size="{size}">{escape(text)}</text>'
    )
