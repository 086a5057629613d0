"""What each agent, or each role of steps, has of the critical path, of the clock and of the tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from spanwise_profiling.render import numbers
from spanwise_profiling.render.html import columns
from spanwise_profiling.render.html.markup import name, stacked, table
from spanwise_profiling.runs import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from spanwise_profiling.profile import Profile, Share

_MOST_ROWS: Final = 100


@dataclass(frozen=True, slots=True)
class _Row:
    """One name in each run that has it."""

    name: str
    shares: tuple[Share | None, ...]
    seconds: tuple[float, ...]
    """On the critical path."""


def section(profiles: Sequence[Profile], title: str, what: str, shares: Sequence[Sequence[Share]]) -> str:
    """Return a section titled `title` with a line for each name in `shares` (of each run); nothing where none has one.

    `what` says what is named, for the heading of the column.
    """
    rows = _rows(profiles, shares)
    if not any(row.name for row in rows):
        return ""
    longest = max(max(row.seconds) for row in rows)
    head = [what, "on the path, by bucket", *columns.heads(profiles, "on the path")]
    head += ["#in total", "#model calls", "#tokens in", "#tokens out"]
    mark, left = title.lower(), len(rows) - _MOST_ROWS
    cells = [_cells(profiles, row, longest) for row in rows[:_MOST_ROWS]]
    return (
        f'<section aria-labelledby="h-{mark}"><h2 id="h-{mark}">{title}</h2>'
        + table(f"{title} by time on the critical path", head, cells, "shares")
        + (f'<p class="unused">and {left:,} more, each with less on the path</p>' if left > 0 else "")
        + "</section>"
    )


def _rows(profiles: Sequence[Profile], shares: Sequence[Sequence[Share]]) -> list[_Row]:
    """Return a row for each name, the longest on the path in any run first."""
    named = [{share.name: share for share in of_run} for of_run in shares]
    rows: list[_Row] = []
    for one in dict.fromkeys(share for of_run in named for share in of_run):
        own = tuple(of_run.get(one) for of_run in named)
        seconds = tuple(
            p.run.scaled(share.on_path_ns) if share else 0.0 for p, share in zip(profiles, own, strict=True)
        )
        rows.append(_Row(one, own, seconds))
    return sorted(rows, key=lambda row: (-max(row.seconds), row.name))


def _cells(profiles: Sequence[Profile], row: _Row, longest: float) -> list[str]:
    pairs = list(zip(profiles, row.shares, strict=True))
    bars = (
        stacked(share.budget_ns if share else {}, round(longest * NANOSECONDS / profile.run.scale))
        for profile, share in pairs
    )
    return [
        name(row.name) if row.name else "outside any",
        "".join(bars),
        *columns.cells(profiles, row.seconds),
        _joined(
            numbers.seconds(profile.run.scaled(share.total_ns)) if share else columns.NONE for profile, share in pairs
        ),
        _joined(f"{share.calls:,}" if share else columns.NONE for share in row.shares),
        _joined(f"{share.input_tokens:,}" if share else columns.NONE for share in row.shares),
        _joined(f"{share.output_tokens:,}" if share else columns.NONE for share in row.shares),
    ]


def _joined(values: Iterable[str]) -> str:
    """Return the value of the one run, or both with an arrow between them."""
    return " &rarr; ".join(values)
