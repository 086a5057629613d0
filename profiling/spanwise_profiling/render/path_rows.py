"""The timeline of a profile: a row for each agent, step or node, with the critical path in it.

Every moment of the path belongs to one row at most, so that the seconds of the rows can be added up. Beyond a dozen
rows those of one role become one; if that is not enough, those with least of the path are left out.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from rich.cells import cell_len
from rich.text import Text

from spanwise import conventions
from spanwise_profiling import kinds
from spanwise_profiling.agents import union_ns
from spanwise_profiling.render.axis import Axis, axis_of
from spanwise_profiling.render.budget import WAITS
from spanwise_profiling.render.glyphs import UNICODE, Glyphs
from spanwise_profiling.render.lanes import CALLS, lanes_of
from spanwise_profiling.render.numbers import count, fixed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from spanwise.journal.reader import SpanRecord
    from spanwise_profiling.profile import Finding, Profile, Segment

T = TypeVar("T")
MOST_ROWS: Final = 12
_LEAST_SHARE: Final = 1_000
"""Rows with a smaller part of the path, and without calls, only waited for others."""
_NAME_SHARE: Final = 0.4
_LEAST_NAME: Final = 12
_NUMBER_WIDTH: Final = 9
_OVERLAPPING: Final = frozenset({"sequential-calls", "idle-barrier"})
"""Findings whose spans could have overlapped with others."""
_WORD: Final = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the timeline."""

    name: str
    """As recorded: not yet safe to print."""
    spans: tuple[SpanRecord, ...]
    path: tuple[Segment, ...]
    """The segments of the critical path that no row below it has."""
    roles: frozenset[str]
    has_calls: bool

    @property
    def on_path_ns(self) -> int:
        """Its time on the critical path."""
        return sum(segment.duration_ns for segment in self.path)


def rows_of(profile: Profile, most: int | None = MOST_ROWS) -> tuple[list[Row], list[Row]]:
    """Return the rows of a run by first start, and those that were left out because there are more than `most`."""
    rows = [row for row in _each(profile) if row.on_path_ns * _LEAST_SHARE >= profile.run.duration_ns or row.has_calls]
    if most is None or len(rows) <= most:
        return rows, []
    rows = _grouped(rows, most)
    longest = sorted(rows, key=lambda row: (-row.on_path_ns, -union_ns(row.spans)))[:most]
    return [row for row in rows if row in longest], [row for row in rows if row not in longest]


def path_rows(
    profile: Profile,
    width: int,
    *,
    glyphs: Glyphs = UNICODE,
    findings: Sequence[Finding] = (),
    most: int | None = MOST_ROWS,
) -> Text:
    """Return the timeline in lines of `width` cells, and a line that says what its bars mean.

    Args:
        profile: of which run.
        width: at least 60.
        glyphs: to draw with.
        findings: whose numbers, from 1, stand at the rows that they are about.
        most: rows; None for all.
    """
    rows, left_out = rows_of(profile, most)
    marks = _marks(profile, rows, findings)
    labels = [_label(row, glyphs) for row in rows]
    mark_width = max(map(len, marks), default=0)
    tail = _NUMBER_WIDTH + (2 + mark_width if mark_width else 0)
    name_width = min(max(map(cell_len, labels), default=0), max(_LEAST_NAME, int(width * _NAME_SHARE)))
    axis = axis_of(profile.run, width - name_width - 2 - tail)
    canvas = _Canvas(profile, axis, glyphs, _could_overlap(profile, findings))
    text = Text(no_wrap=True, overflow="ignore")
    text.append(f"{'':{name_width}}  {_ruler(profile, axis)}{'on path':>{_NUMBER_WIDTH}}\n", style="dim")
    for row, label, mark in zip(rows, labels, marks, strict=True):
        failed = any(span.is_error for span in row.spans)
        text.append(glyphs.fit(label, name_width), style="red" if failed else "")
        text.append(f"  {canvas.bar(row)}", style="cyan" if row.path else "dim")
        number = fixed(profile.run.scaled(row.on_path_ns), profile.run.seconds) if row.path else ""
        text.append(f"{number:>{_NUMBER_WIDTH}}", style="bold")
        text.append(f"  {mark}".rstrip() + "\n", style="bold yellow")
    text.append_text(_left_out(profile, left_out, glyphs))
    text.append(canvas.legend(findings if any(marks) else (), width), style="dim")
    return text


def _each(profile: Profile) -> list[Row]:
    lanes = lanes_of(profile.run)
    lane_of = {span.span_id: number for number, lane in enumerate(lanes) for span in lane.spans}
    owners = _owners(profile, lane_of)
    roles = _owners(
        profile, {s.span_id: r for _, s in profile.run.walk() if (r := kinds.text_of(s, conventions.STEP_ROLE))}
    )
    paths: defaultdict[int, list[Segment]] = defaultdict(list)
    for segment in profile.path:
        if (owner := owners.get(segment.span.span_id)) is not None:
            paths[owner].append(segment)
    return [
        Row(
            lane.name,
            tuple(lane.spans),
            tuple(paths[number]),
            frozenset(str(role) for span in lane.spans if (role := roles.get(span.span_id))),
            any(kinds.kind_of(span) in CALLS for _, span in profile.run.trace.walk(*lane.spans)),
        )
        for number, lane in enumerate(lanes)
    ]


def _owners(profile: Profile, own: Mapping[str, T]) -> dict[str, T]:
    """Return for each span what `own` has for it, or else for the nearest span above it."""
    found: dict[str, T] = {}
    above: list[str] = []
    for depth, span in profile.run.walk():
        del above[depth:]
        if span.span_id in own:
            found[span.span_id] = own[span.span_id]
        elif above and above[-1] in found:
            found[span.span_id] = found[above[-1]]
        above.append(span.span_id)
    return found


def _grouped(rows: Sequence[Row], most: int) -> list[Row]:
    """Return rows with those of one role in one, from the role with least of the path on, until they are few enough."""
    groups: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if len(row.roles) == 1:
            groups[next(iter(row.roles))].append(row)
    found = list(rows)
    for role, members in sorted(groups.items(), key=lambda item: (sum(row.on_path_ns for row in item[1]), item[0])):
        if len(found) <= most:
            break
        if len(members) > 1:
            place = found.index(members[0])
            found = [row for row in found if row not in members]
            found.insert(place, _merged(role, members))
    return found


def _merged(role: str, members: Sequence[Row]) -> Row:
    spans = sorted((span for row in members for span in row.spans), key=lambda span: span.start_ns)
    path = sorted((segment for row in members for segment in row.path), key=lambda segment: segment.start_ns)
    ends = {words[-1].lower() if (words := _WORD.findall(row.name)) else "" for row in members}
    end = ends.pop() if len(ends) == 1 else ""
    name = f"{len(members)} {role} {end}s" if end and end not in role else f"{len(members)} of role {role}"
    return Row(name, tuple(spans), tuple(path), frozenset({role}), any(row.has_calls for row in members))


def _marks(profile: Profile, rows: Sequence[Row], findings: Sequence[Finding]) -> list[str]:
    rows_of_spans = _owners(profile, {span.span_id: row for row, one in enumerate(rows) for span in one.spans})
    marks: list[list[str]] = [[] for _ in rows]
    for number, finding in enumerate(findings, start=1):
        meant = {rows_of_spans[one.span_id] for one in finding.evidence if one.span_id in rows_of_spans}
        for row in meant:
            marks[row].append(str(number))
    return [" ".join(numbers) for numbers in marks]


def _could_overlap(profile: Profile, findings: Sequence[Finding]) -> frozenset[str]:
    meant = {one.span_id for finding in findings if finding.id in _OVERLAPPING for one in finding.evidence}
    return frozenset(_owners(profile, dict.fromkeys(meant, True)))


def _label(row: Row, glyphs: Glyphs) -> str:
    sign = f"{glyphs.error} " if any(span.is_error for span in row.spans) else ""
    names = {kinds.subject_of(span) or span.name for span in row.spans}
    times = f" x{len(row.spans)}" if len(row.spans) > len(names) == 1 else ""
    return f"{sign}{glyphs.clean(row.name)}{times}"


def _ruler(profile: Profile, axis: Axis) -> str:
    """Return 0, the middle and the end of the axis in whole seconds where they are long enough."""
    whole = axis.length_ns * axis.time_scale / 1e9
    end, middle = (f"{value:,.0f} s" if whole >= 20 else fixed(value, whole) for value in (whole, whole / 2))  # noqa: PLR2004
    line = "0 s".ljust(axis.cells - len(end)) + end
    left = (axis.cells - len(middle)) // 2
    fits = left > len("0 s ") and left + len(middle) < axis.cells - len(end)
    return line[:left] + middle + line[left + len(middle) :] if fits and profile.run.duration_ns else line


def _left_out(profile: Profile, rows: Sequence[Row], glyphs: Glyphs) -> Text:
    if not rows:
        return Text()
    on_path = fixed(profile.run.scaled(sum(row.on_path_ns for row in rows)), profile.run.seconds)
    return Text(f"{glyphs.ellipsis} {count(len(rows), 'more row')}, {on_path} of the path: --all\n", style="dim")


class _Canvas:
    """Draws bars, and remembers which signs it used, so that the legend explains these and no others."""

    def __init__(self, profile: Profile, axis: Axis, glyphs: Glyphs, could: frozenset[str]) -> None:
        self._profile, self._axis, self._glyphs, self._could = profile, axis, glyphs, could
        self._used: set[str] = set()

    def bar(self, row: Row) -> str:
        cells = [" "] * self._axis.cells
        for span in row.spans:
            first, filled = self._axis.cells_of(span)
            if filled > 0 or cells[first] == " ":
                cells[first : first + max(1, filled)] = self._glyphs.off * max(1, filled)
        shares = self._shares(row)
        for cell, signs in shares.items():
            if 2 * sum(signs.values()) >= self._axis.length_ns / self._axis.cells:
                cells[cell] = max(signs, key=lambda sign: signs[sign])
        if shares and not set(cells) & {self._glyphs.bar, self._glyphs.could, self._glyphs.wait}:
            cells[max(shares, key=lambda cell: sum(shares[cell].values()))] = self._glyphs.dot
        self._used.update(cells)
        return "".join(cells)

    def _shares(self, row: Row) -> dict[int, dict[str, float]]:
        """Return for each cell how many nanoseconds of the path each sign stands for in it."""
        shares: dict[int, dict[str, float]] = {}
        cell_ns = self._axis.length_ns / self._axis.cells
        for segment in row.path:
            sign = self._sign(segment)
            begin, end = segment.start_ns - self._axis.start_ns, segment.end_ns - self._axis.start_ns
            for cell in range(int(begin / cell_ns), min(self._axis.cells - 1, int(end / cell_ns)) + 1):
                covered = min(end, (cell + 1) * cell_ns) - max(begin, cell * cell_ns)
                signs = shares.setdefault(cell, {})
                signs[sign] = signs.get(sign, 0.0) + max(0.0, covered)
        return shares

    def _sign(self, segment: Segment) -> str:
        if segment.bucket in WAITS:
            return self._glyphs.wait
        return self._glyphs.could if segment.span.span_id in self._could else self._glyphs.bar

    def legend(self, findings: Sequence[Finding], width: int) -> str:
        meanings = (
            (self._glyphs.bar, "on the critical path"),
            (self._glyphs.could, "same, could overlap"),
            (self._glyphs.wait, "same, waiting"),
            (self._glyphs.off, "not decisive"),
        )
        told = [f"{sign} {meaning}" for sign, meaning in meanings if sign in self._used]
        if findings:
            told.append("1: below" if len(findings) == 1 else f"1-{len(findings)}: below")
        lines = [""]
        for item in told:
            if cell_len(lines[-1]) + 2 + cell_len(item) > width:
                lines.append("")
            lines[-1] += f"  {item}" if lines[-1] else item
        return "\n".join(lines)
