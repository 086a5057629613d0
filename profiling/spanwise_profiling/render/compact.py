"""A run in few lines: one for each agent (or step outside any agent), with a bar for each time it worked.

Over an agent's bar lie its calls and its waits, so that a line tells working from waiting from neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.text import Text

from spanwise_profiling.render.glyphs import UNICODE, Glyphs
from spanwise_profiling.render.lanes import Lane, inner_of, lanes_of
from spanwise_profiling.render.numbers import seconds
from spanwise_profiling.render.timeline import NARROWEST, columns, row

if TYPE_CHECKING:
    from spanwise_profiling.runs import Run

MOST_LINES: Final = 18


def compact_timeline(run: Run, width: int, *, glyphs: Glyphs = UNICODE, most_lines: int = MOST_LINES) -> Text:
    """Return a line an agent or step, by first start, under a heading with the time axis.

    A name that worked several times has one line with several bars; its seconds are the union of them. Beyond
    `most_lines` the longest stay and a last line says what was left out.
    """
    lanes = lanes_of(run)
    kept = sorted(sorted(lanes, key=lambda lane: -lane.nanoseconds)[:most_lines], key=lanes.index)
    labels = [_label(lane, glyphs) for lane in kept]
    name_width, axis = columns(run, max(width, NARROWEST), [*labels, _heading(run, glyphs)])
    text = Text(no_wrap=True, overflow="ignore")
    text.append(glyphs.fit(_heading(run, glyphs), name_width), style="bold")
    text.append(f"  {axis.ruler()}\n", style="dim")
    for lane, label in zip(kept, labels, strict=True):
        text.append_text(
            row(
                glyphs.fit(label, name_width),
                lane.spans,
                axis,
                glyphs,
                inner=inner_of(run, lane),
                total_ns=lane.nanoseconds,
            )
        )
    if len(kept) < len(lanes):
        longest = seconds(run.scaled(max(lane.nanoseconds for lane in lanes if lane not in kept)))
        text.append(
            f"{glyphs.ellipsis} {len(lanes) - len(kept)} more, {longest} at most; see: spanwise show\n", style="dim"
        )
    text.rstrip()
    return text


def legend(glyphs: Glyphs = UNICODE) -> str:
    """Return what the bars of a compact timeline mean, in one line."""
    return f"{glyphs.bar} calls (model, tool)  {glyphs.wait} waits  {glyphs.span} neither  {glyphs.error} error"


def _heading(run: Run, glyphs: Glyphs) -> str:
    return glyphs.clean(run.variant or run.workflow)


def _label(lane: Lane, glyphs: Glyphs) -> str:
    sign = f"{glyphs.error} " if any(span.is_error for span in lane.spans) else ""
    times = f" x{len(lane.spans)}" if len(lane.spans) > 1 else ""
    return f"{sign}{glyphs.clean(lane.name)}{times}"
