"""Which spans of a run get a line of their own, in tree order.

A report is for reading: of a big run it shows the errors and the longest spans, each with all that is above it, and
says under each parent what was left out. A parent is never hidden while its child is shown.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from spanwise_profiling import kinds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from spanwise.journal.reader import SpanRecord
    from spanwise_profiling.runs import Run

MOST_SPANS: Final = 40
DEEPEST: Final = 8


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the tree a line stands."""

    depth: int = 0
    ends: tuple[bool, ...] = ()
    """For each level from 1 to the line's own, `DEEPEST` at most: whether it is the last one there."""

    def below(self, *, is_last: bool) -> Place:
        """Return the place of a child."""
        ends = (*self.ends, is_last) if self.depth < DEEPEST else self.ends
        return Place(self.depth + 1, ends)


@dataclass(frozen=True, slots=True)
class SpanLine:
    """A span's line."""

    place: Place
    span: SpanRecord


@dataclass(frozen=True, slots=True)
class OmittedLine:
    """Stands, as the last line below a parent, for the spans below it that have no line."""

    place: Place
    counts: Mapping[kinds.Kind, int]
    """Spans by kind, the most frequent first."""


def lines_of(
    run: Run, *, show_all: bool = False, most: int = MOST_SPANS, weights: Mapping[str, int] | None = None
) -> list[SpanLine | OmittedLine]:
    """Return the lines of a run's tree: all, or about `most` spans, `DEEPEST` levels deep.

    A span that would be the only one left out below its parent is shown: saying so takes as much space. Spans with the
    greatest of the `weights` (by span id) come first, before errors and long ones.
    """
    chosen = None if show_all else _chosen(run, most, weights or {})
    lines: list[SpanLine | OmittedLine] = []
    stack = _level(run, run.tops, None, chosen)
    while stack:
        line = stack.pop()
        lines.append(line)
        if isinstance(line, SpanLine):
            stack.extend(_level(run, run.trace.children.get(line.span.span_id, ()), line.place, chosen))
    return lines


def _level(
    run: Run, members: Sequence[SpanRecord], above: Place | None, chosen: frozenset[str] | None
) -> list[SpanLine | OmittedLine]:
    """Return the lines of the children of one parent (of the run itself: None), the last one first."""
    hidden = [span for span in members if chosen is not None and span.span_id not in chosen]
    if len(hidden) == 1 and not run.trace.children.get(hidden[0].span_id):
        hidden = []
    left_out = {span.span_id for span in hidden}
    shown = [span for span in members if span.span_id not in left_out]
    last = len(shown) - 1
    lines: list[SpanLine | OmittedLine] = [
        SpanLine(above.below(is_last=index == last and not hidden) if above else Place(), span)
        for index, span in enumerate(shown)
    ]
    if hidden:
        counts = Counter[kinds.Kind](kinds.kind_of(span) for _, span in run.trace.walk(*hidden))
        lines.append(OmittedLine(above.below(is_last=True) if above else Place(), dict(counts.most_common())))
    return lines[::-1]


def _chosen(run: Run, most: int, weights: Mapping[str, int]) -> frozenset[str] | None:
    """Return the ids of the spans to show, or None for all of them."""
    parents, depths, spans = _index(run)
    if len(spans) <= most and max(depths.values()) <= DEEPEST:
        return None

    def rank(span: SpanRecord) -> tuple[int, bool, int, int, str]:
        return -weights.get(span.span_id, 0), not span.is_error, -span.duration_ns, span.start_ns, span.span_id

    chosen = {run.root.span_id}
    for span in sorted(spans, key=rank):
        needed = _needed(span.span_id, parents, chosen, most) if depths[span.span_id] <= DEEPEST else []
        if len(chosen) + len(needed) <= most:
            chosen.update(needed)
    return frozenset(chosen)


def _index(run: Run) -> tuple[dict[str, str], dict[str, int], Sequence[SpanRecord]]:
    parents = {child.span_id: parent for parent, children in run.trace.children.items() for child in children}
    walked = list(run.walk())
    return parents, {span.span_id: depth for depth, span in walked}, [span for _, span in walked]


def _needed(span_id: str, parents: Mapping[str, str], chosen: set[str], most: int) -> list[str]:
    """Return the span and what is above it, as far as it is not chosen yet."""
    needed: list[str] = []
    here: str | None = span_id
    while here is not None and here not in chosen and len(needed) <= most:
        needed.append(here)
        here = parents.get(here)
    return needed


def note_of(run: Run, lines: Sequence[SpanLine | OmittedLine], first: str) -> str:
    """Return the note below lines that are not all; empty where they are. `first` says which ones were taken first."""
    shown, totals = sum(isinstance(line, SpanLine) for line in lines), run.totals
    if shown == totals.lines:
        return ""
    what = "spans and waits" if totals.waits else "spans"
    return f"{shown} of {totals.lines:,} {what} shown: {first}; --all shows the rest"
