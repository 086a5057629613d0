"""One profile as an SVG: which agent the run waited for when, where its wall clock went, what to change first.

A line goes from agent to agent as the critical path does. What the run waited for is filled, waiting is hatched, and
what was under way without deciding anything is an empty frame: no colour is needed to tell them apart.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from spanwise_profiling.render.budget import MEANINGS, WAITS, filled, share_of
from spanwise_profiling.render.headline import nothing_found
from spanwise_profiling.render.lanes import inner_of, lanes_of
from spanwise_profiling.render.numbers import seconds
from spanwise_profiling.render.profile_texts import saving
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
    from spanwise_profiling.profile import Bucket, Profile, Segment
    from spanwise_profiling.render.lanes import Lane

_TOP: Final = 64
_MOST_FINDINGS: Final = 3
_WIDEST_LINE: Final = 122
_CHARACTER: Final = 6.7
_BAR: Final = 17
_MODEL: Final[frozenset[Bucket]] = frozenset({"model", "model_prefill", "model_decode"})
_TOOLS: Final[frozenset[Bucket]] = frozenset({"tool", "retrieval", "cache_lookup"})


@dataclass(frozen=True, slots=True)
class _Paper:
    """What is drawn, and with what."""

    profile: Profile
    axis: TimeAxis
    theme: Theme

    def x(self, at_ns: int) -> float:
        run = self.profile.run
        return self.axis.x((at_ns - run.start_ns) * run.scale / NANOSECONDS)

    def stretch(self, what: SpanRecord | Segment) -> tuple[float, float]:
        """Return where a span or segment begins, and how wide it is."""
        left = self.x(what.start_ns)
        return left, self.x(what.end_ns) - left

    def fill(self, bucket: Bucket) -> str:
        if bucket in WAITS:
            return "url(#wait)"
        if bucket in _MODEL:
            return self.theme.model
        return self.theme.tool if bucket in _TOOLS else self.theme.text


def path_picture(profile: Profile, theme: Theme = LIGHT) -> str:
    """Return an SVG document of `profile`: a line for each agent (or step outside any), budget, first findings."""
    run = profile.run
    lanes = lanes_of(run)
    paper, owners = _Paper(profile, TimeAxis(run.seconds), theme), _owners(profile, lanes)
    bottom = _TOP + ROW * len(lanes)
    title = f"What {printable(run.title)} waited for: {seconds(run.seconds)}"
    drawn = [text(LEFT, 24, title, theme.text, weight="bold", size=13), *scale(paper.axis, theme, _TOP - 12)]
    drawn += grid(paper.axis, theme, _TOP, bottom)
    for index, lane in enumerate(lanes):
        drawn += _lane(paper, lane, [segment for segment, owner in owners if owner == index], _TOP + ROW * index)
    drawn += _line(paper, owners)
    drawn += _legend(theme, bottom + 18)
    budget, bottom = _budget(paper, bottom + 48)
    findings, bottom = _findings(paper, bottom + 14)
    return "\n".join([*head(title, theme, bottom), *drawn, *budget, *findings, "</svg>\n"])


def _owners(profile: Profile, lanes: Sequence[Lane]) -> list[tuple[Segment, int | None]]:
    """Return each segment of the path with the number of the lane that it is in, if any."""
    owners = {
        span.span_id: index for index, lane in enumerate(lanes) for _, span in profile.run.trace.walk(*lane.spans)
    }
    return [(segment, owners.get(segment.span.span_id)) for segment in profile.path]


def _lane(paper: _Paper, lane: Lane, on_path: Sequence[Segment], top: int) -> Iterator[str]:
    run, theme = paper.profile.run, paper.theme
    decisive = sum(segment.duration_ns for segment in on_path)
    colour = theme.text if decisive else theme.dim
    yield text(LEFT, top + 10, cut(printable(lane.name)), colour)
    for span in lane.spans:
        left, width = paper.stretch(span)
        yield _rect(left, top + 6, width, 2, theme.span)
    for span in inner_of(run, lane):
        left, width = paper.stretch(span)
        yield _rect(left + 0.5, top + 2.5, width - 1, 9, theme.background, stroke=theme.span)
    for segment in on_path:
        left, width = paper.stretch(segment)
        yield _rect(left, top + 2, width, 10, paper.fill(segment.bucket))
    yield text(RIGHT, top + 10, seconds(run.scaled(decisive)), colour, anchor="end")


def _rect(x: float, y: float, width: float, height: float, fill: str, *, stroke: str = "") -> str:
    edge = f' stroke="{stroke}"' if stroke else ""
    return f'<rect x="{x:.1f}" y="{y:g}" width="{max(0.6, width):.1f}" height="{height:g}" fill="{fill}"{edge}/>'


def _line(paper: _Paper, owners: Sequence[tuple[Segment, int | None]]) -> Iterator[str]:
    """Yield the strokes from lane to lane; what is in none (the workflow between its agents) is passed over."""
    placed = [(segment, lane) for segment, lane in owners if lane is not None]
    for (_, before), (segment, after) in pairwise(placed):
        if before != after:
            top, bottom = sorted((before, after))
            x = paper.x(segment.start_ns)
            path = f"M{x:.1f} {_TOP + ROW * top + 7:g}V{_TOP + ROW * bottom + 7:g}"
            yield f'<path d="{path}" stroke="{paper.theme.text}" stroke-width="1.2"/>'


def _legend(theme: Theme, y: int) -> Iterator[str]:
    entries = (
        ("waited for: model", theme.model, ""),
        ("tool, cache", theme.tool, ""),
        ("waiting", "url(#wait)", ""),
        ("other", theme.text, ""),
        ("under way, not decisive", theme.background, theme.span),
    )
    x = float(AXIS_LEFT)
    for label, fill, stroke in entries:
        yield _rect(x, y - 9, 16, 10, fill, stroke=stroke)
        yield text(x + 22, y, label, theme.dim)
        x += 36 + _CHARACTER * len(label)


def _budget(paper: _Paper, top: int) -> tuple[list[str], int]:
    """Return a bar for each bucket of one per cent or more, and where they end."""
    profile, theme = paper.profile, paper.theme
    lines = [text(LEFT, top, "Where the wall clock went", theme.text, weight="bold", size=13)]
    shown: list[tuple[Bucket, int]] = [
        (name, length) for name, length in filled(profile.budget_ns) if share_of(length, profile) != "<1 %"
    ]
    for index, (name, length) in enumerate(shown):
        y, scaled = top + 10 + _BAR * index, profile.run.scaled(length)
        width = paper.axis.x(scaled) - AXIS_LEFT
        label = f"{share_of(length, profile)}, {MEANINGS[name]}"
        inside = width > _CHARACTER * len(label) + 12 and name not in WAITS
        lines += [
            text(LEFT, y + 11, name, theme.text),
            _rect(AXIS_LEFT, y + 1, width, _BAR - 3, paper.fill(name)),
            text(AXIS_LEFT + (6 if inside else width + 6), y + 11, label, theme.background if inside else theme.dim),
            text(RIGHT, y + 11, seconds(scaled), theme.text, anchor="end"),
        ]
    return lines, top + 10 + _BAR * len(shown)


def _findings(paper: _Paper, top: int) -> tuple[list[str], int]:
    """Return the first findings as lines of text, and where they end."""
    profile, theme, y = paper.profile, paper.theme, top + 16
    lines = [text(LEFT, y, "What to change, most promising first", theme.text, weight="bold", size=13)]
    told = [
        f"{number}. {printable(finding.title)}: {saving(profile, finding)}"
        for number, finding in enumerate(profile.findings[:_MOST_FINDINGS], start=1)
    ]
    for finding in told or [nothing_found(profile)]:
        for index, line in enumerate(textwrap.wrap(finding, _WIDEST_LINE)):
            y += ROW if index else ROW + 4
            lines.append(text(LEFT + (3 * _CHARACTER if index else 0), y, line, theme.text))
    return lines, y + ROW
