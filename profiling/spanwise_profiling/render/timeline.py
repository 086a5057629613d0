"""A run as a tree with its timeline: what happened, when, below what, for how long.

Three columns: name, seconds, bar. All of it can be read without colour: words say the kind, the bar's texture tells
work from enclosing spans from waits, and an error is a sign and its type.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.cells import cell_len
from rich.text import Text

from spanwise_profiling import kinds
from spanwise_profiling.render.axis import Axis, axis_of, style_of
from spanwise_profiling.render.glyphs import UNICODE, Glyphs
from spanwise_profiling.render.lines import MOST_SPANS, OmittedLine, Place, SpanLine, lines_of, note_of
from spanwise_profiling.render.numbers import count, seconds
from spanwise_profiling.render.tables import paragraph
from spanwise_profiling.waits import without_runtime

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from spanwise.journal.reader import SpanRecord
    from spanwise_profiling.render.glyphs import Glyphs
    from spanwise_profiling.runs import Run

NARROWEST: Final = 60
SECONDS_WIDTH: Final = 9
MOST_ERRORS: Final = 10
_NAME_SHARE: Final = 0.45
_LEAST_BARS: Final = 16
_MOST_BARS: Final = 80


def timeline(
    run: Run,
    width: int,
    *,
    glyphs: Glyphs = UNICODE,
    show_all: bool = False,
    show_waits: bool = False,
    most: int = MOST_SPANS,
    open_ids: frozenset[str] = frozenset(),
) -> Text:
    """Return the tree of `run` with seconds and bars, in lines of `width` cells (at least 60).

    Waits that a runtime is made of have no line unless `show_waits`. Runs of more than `most` spans are cut down to the
    errors and the longest spans unless `show_all`; lines say what was left out. The names of spans of `open_ids`, which
    go on, end in an ellipsis.
    """
    shown, hidden = (run, 0) if show_waits else without_runtime(run)
    lines = lines_of(shown, show_all=show_all, most=most)
    labels = [label_of_line(line, glyphs, open_ids) for line in lines]
    whole = max(width, NARROWEST)
    widest = max(map(cell_len, labels), default=0)
    name_width = min(widest, whole - SECONDS_WIDTH - 3 - _LEAST_BARS)
    axis = axis_of(run, min(whole - name_width - SECONDS_WIDTH - 3, _MOST_BARS))
    text = Text(no_wrap=True, overflow="ignore")
    text.append(f"{'':{name_width + SECONDS_WIDTH + 1}}  {axis.ruler()}\n", style="dim")
    for line, label in zip(lines, labels, strict=True):
        if isinstance(line, OmittedLine):
            text.append(glyphs.fit(label, whole).rstrip() + "\n", style="dim")
        else:
            text.append(glyphs.fit(label, name_width), style="red" if line.span.is_error else "")
            text.append(f" {axis.seconds(line.span.duration_ns):>{SECONDS_WIDTH}}  ")
            text.append(axis.draw([line.span], glyphs).rstrip() + "\n", style=style_of(line.span))
    for note in (note_of(shown, lines, "errors and the longest"), _waits_note(hidden)):
        if note:
            text.append_text(paragraph(f"{glyphs.ellipsis} ", note, whole, hanging=2, style="dim"))
            text.append("\n")
    text.rstrip()
    return text


def _waits_note(hidden: int) -> str:
    return f"{count(hidden, 'wait')} of the runtime, for tasks and sockets: --waits shows them" if hidden else ""


def columns(run: Run, width: int, labels: Iterable[str]) -> tuple[int, Axis]:
    """Return the width of the name column, and the axis that fills what is left of `width`."""
    widest = max(map(cell_len, labels), default=0)
    name_width = min(widest, int(width * _NAME_SHARE))
    return name_width, axis_of(run, width - name_width - SECONDS_WIDTH - 3)


def row(
    name: str,
    spans: Sequence[SpanRecord],
    axis: Axis,
    glyphs: Glyphs,
    *,
    inner: Sequence[SpanRecord] = (),
    total_ns: int | None = None,
) -> Text:
    """Return one line: a fitted name, the bars of `spans` with `inner` over them, and seconds.

    The seconds are `total_ns` (recorded nanoseconds), else those of the first span.
    """
    style = "red" if any(span.is_error for span in spans) else ""
    text = Text(name, style=style, no_wrap=True, overflow="ignore")
    text.append("  ")
    text.append(axis.draw([*spans, *inner], glyphs), style=style_of(spans[0]))
    duration_ns = spans[0].duration_ns if total_ns is None else total_ns
    text.append(f" {axis.seconds(duration_ns):>{SECONDS_WIDTH}}\n")
    return text


def errors(run: Run, *, glyphs: Glyphs = UNICODE) -> Text | None:
    """Return the run's errors, those that caused others first: when, what, and the recorded message; None without."""
    failed = [span for _, span in run.walk() if span.is_error]
    # An error that was passed on from a span below is told where it began.
    first = [s for s in failed if not any(c.is_error for c in run.trace.children.get(s.span_id, ()))]
    if not first:
        return None
    retried = sum(map(kinds.is_retried, first))
    of_these = f" ({retried} of {len(first)} tried again)" if retried else ""
    text = Text(f"Errors, where they began{of_these}\n", style="bold red", no_wrap=True, overflow="ignore")
    for span in first[:MOST_ERRORS]:
        at = seconds(max(0.0, run.scaled(span.start_ns - run.start_ns)))
        message = f": {span.status_message}" if span.status_message else ""
        text.append(f"{glyphs.error} at {at:>{SECONDS_WIDTH}}  ", style="red")
        text.append(f"{glyphs.clean(label_with_error(span) + message)}\n", style="not bold default")
    if len(first) > MOST_ERRORS:
        text.append(f"{glyphs.ellipsis} {len(first) - MOST_ERRORS} more; --json lists them\n", style="not bold dim")
    text.rstrip()
    return text


def label_with_error(span: SpanRecord) -> str:
    """Return the span's label, followed by its error's type and whether it was tried again."""
    retried = ", retried" if kinds.is_retried(span) else ""
    failure = kinds.error_of(span)
    return f"{kinds.label_of(span)} {failure}{retried}" if failure else kinds.label_of(span)


def label_of_line(line: SpanLine | OmittedLine, glyphs: Glyphs, open_ids: frozenset[str] = frozenset()) -> str:
    """Return what stands in the name column: branches of the tree, an error's sign, the span; cleaned."""
    guide = _guide(line.place, glyphs)
    if isinstance(line, OmittedLine):
        left_out = ", ".join(f"{number:,} {kind}" for kind, number in line.counts.items())
        only = next(iter(line.counts)) if len(line.counts) == 1 else left_out
        return f"{guide}{glyphs.ellipsis} {sum(line.counts.values()):,} more: {only}"
    sign = f"{glyphs.error} " if line.span.is_error else ""
    going = f" {glyphs.ellipsis}" if line.span.span_id in open_ids else ""
    return f"{guide}{sign}{glyphs.clean(label_with_error(line.span))}{going}"


def _guide(place: Place, glyphs: Glyphs) -> str:
    if not place.ends:
        return ""
    trunks = "".join(glyphs.gap if last else glyphs.trunk for last in place.ends[:-1])
    if place.depth > len(place.ends):
        return f"{trunks}+{place.depth - len(place.ends)} "
    return trunks + (glyphs.last_branch if place.ends[-1] else glyphs.branch)
