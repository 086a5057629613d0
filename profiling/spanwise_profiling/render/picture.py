"""Several runs in one SVG on one time axis, so that a run that takes half as long is half as wide.

Everything can be told without colour: calls fill a bar, waits are hatched, an agent between calls is a thin line, and
an error has its sign.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

from spanwise_profiling import kinds
from spanwise_profiling.render.lanes import Lane, inner_of, lanes_of
from spanwise_profiling.render.numbers import count, seconds
from spanwise_profiling.render.svg import (
    AXIS_LEFT,
    LEFT,
    LIGHT,
    RIGHT,
    ROW,
    Theme,
    TimeAxis,
    cut,
    grid,
    head,
    scale,
    text,
)
from spanwise_profiling.runs import NANOSECONDS
from spanwise_profiling.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from spanwise.journal.reader import SpanRecord
    from spanwise_profiling.runs import Run

_TOP: Final = 46
_HEADING: Final = 26
_GAP: Final = 14


def picture(runs: Sequence[Run], theme: Theme = LIGHT, *, target: float | None = None) -> str:
    """Return an SVG document of `runs`, one below the other, on the axis of the longest.

    Args:
        runs: at least one; what outlives a run makes the axis longer.
        theme: its colours.
        target: scaled seconds to mark with a dashed line.
    """
    axis = TimeAxis(max([*map(_extent, runs), target or 0.0]))
    lines: list[str] = [*scale(axis, theme, _TOP - 12), *_target(axis, theme, target)]
    top = _TOP
    for run in runs:
        lanes = lanes_of(run)
        lines += _run(run, lanes, axis, theme, top)
        bottom = top + _HEADING + ROW * len(lanes)
        lines += _mark(axis, theme, target, top + _HEADING, bottom)
        top = bottom + _GAP
    lines += _legend(theme, top + 12)
    return "\n".join([*head(_title(runs), theme, top + 26), *lines, "</svg>\n"])


def _extent(run: Run) -> float:
    end_ns = max(span.end_ns for _, span in run.walk())
    return run.scaled(max(run.duration_ns, end_ns - run.start_ns))


def _title(runs: Sequence[Run]) -> str:
    return f"Timelines on one axis: {'; '.join(f'{_name(run)} {seconds(run.seconds)}' for run in runs)}"


def _target(axis: TimeAxis, theme: Theme, target: float | None) -> Iterator[str]:
    if target is not None:
        yield text(axis.x(target), _TOP - 26, f"target {target:g} s", theme.error, anchor="middle")


def _mark(axis: TimeAxis, theme: Theme, target: float | None, top: int, bottom: int) -> Iterator[str]:
    if target is not None:
        yield f'<path d="M{axis.x(target):.1f} {top}V{bottom}" stroke="{theme.error}" stroke-dasharray="4 3"/>'


def _run(run: Run, lanes: Sequence[Lane], axis: TimeAxis, theme: Theme, top: int) -> Iterator[str]:
    height = _HEADING + ROW * len(lanes)
    width = axis.x(run.seconds) - AXIS_LEFT
    yield f'<rect x="{AXIS_LEFT}" y="{top}" width="{width:.1f}" height="{height}" rx="3" fill="{theme.extent}"/>'
    yield from grid(axis, theme, top + _HEADING, top + height)
    yield text(LEFT, top + 17, cut(_name(run)), theme.text, weight="bold", size=13)
    yield text(AXIS_LEFT + 6, top + 17, _figures(run), theme.dim)
    yield text(RIGHT, top + 17, seconds(run.seconds), theme.text, weight="bold", anchor="end", size=13)
    for index, lane in enumerate(lanes):
        yield from _lane(run, lane, axis, theme, top + _HEADING + ROW * index)


def _lane(run: Run, lane: Lane, axis: TimeAxis, theme: Theme, top: int) -> Iterator[str]:
    failed = any(span.is_error for span in lane.spans)
    times = f" x{len(lane.spans)}" if len(lane.spans) > 1 else ""
    label = ("✗ " if failed else "") + cut(printable(lane.name)) + times
    yield text(LEFT, top + 10, label, theme.error if failed else theme.text)
    for span in (*lane.spans, *inner_of(run, lane)):
        yield _bar(run, span, axis, theme, top)
    yield text(RIGHT, top + 10, seconds(run.scaled(lane.nanoseconds)), theme.dim, anchor="end")


def _bar(run: Run, span: SpanRecord, axis: TimeAxis, theme: Theme, top: int) -> str:
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
    starts = [AXIS_LEFT]
    for label, _, _ in entries:
        starts.append(starts[-1] + 32 + 7 * len(label))
    for (x, _), (label, fill, height) in zip(pairwise(starts), entries, strict=True):
        yield f'<rect x="{x}" y="{y - 4 - height / 2:g}" width="16" height="{height}" fill="{fill}"/>'
        yield text(x + 22, y, label, theme.dim)


def _figures(run: Run) -> str:
    figures = [count(run.totals.tokens, "token"), count(run.totals.llm_calls, "model call")]
    if run.totals.cache_lookups:
        figures.append(f"{run.totals.cache_hits}/{run.totals.cache_lookups} cache hits")
    if run.grade:
        figures.append(f"grade {printable(run.grade)}")
    return ", ".join(figures)


def _name(run: Run) -> str:
    return printable(run.variant or run.workflow)
