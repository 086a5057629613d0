"""What a page about two typical runs says first: how their populations compare, and where each run of these lies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from spanwise_profiling.render import comparison as words
from spanwise_profiling.render import numbers
from spanwise_profiling.render.html.markup import escaped, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spanwise_profiling.comparison.result import Comparison

_MARGIN: Final = 4.0
"""Per cent of the strip's width on each side of the shortest and the longest run."""
_ROWS: Final = {"A": 12, "B": 32}


def section(comparison: Comparison) -> str:
    """Return the comparison as a section, with the durations of all runs that count on one axis."""
    parts = [
        '<section class="comparison" aria-labelledby="h-comparison">',
        f'<h2 id="h-comparison">{escaped(words.headline(comparison))}</h2>',
        *(f"<p>{escaped(line)}</p>" for line in words.facts(comparison)),
        _strip(comparison),
    ]
    for one in words.sections(comparison):
        parts.append(f"<h3>{escaped(one.title)}</h3>")
        if one.rows:
            heads = [f"#{head}" if 0 < place < len(one.heads) - 1 else head for place, head in enumerate(one.heads)]
            parts.append(table(escaped(one.title), heads, [[escaped(cell) for cell in row] for row in one.rows], ""))
        if one.lines:
            parts.append(f"<ul>{''.join(f'<li>{escaped(line)}</li>' for line in one.lines)}</ul>")
    return "\n".join([*parts, "<p>Below are a typical run of each side, A above B.</p></section>"])


def _strip(comparison: Comparison) -> str:
    """Return a dot for each run of both sides, and a line at each median, from the shortest run to the longest."""
    values = (*comparison.a_seconds, *comparison.b_seconds)
    low, high = min(values), max(values)
    ends = f"from {numbers.seconds(low)} to {numbers.seconds(high)}"
    return (
        f'<svg class="strip" role="img" aria-label="Durations of all runs, {ends}">{"".join(_marks(comparison))}'
        f'<text x="{_MARGIN}%" y="58">{numbers.seconds(low)}</text>'
        f'<text class="last" x="{100 - _MARGIN}%" y="58">{numbers.seconds(high)}</text></svg>'
    )


def _marks(comparison: Comparison) -> Iterator[str]:
    values = {"A": comparison.a_seconds, "B": comparison.b_seconds}
    medians = {"A": comparison.duration.a, "B": comparison.duration.b}
    low, high = min(map(min, values.values())), max(map(max, values.values()))

    def place(seconds: float) -> float:
        return _MARGIN + (100 - 2 * _MARGIN) * (seconds - low) / (high - low) if high > low else 50.0

    for side, row in _ROWS.items():
        yield f'<text x="0" y="{row + 4}" class="run-{side}">{side}</text>'
        middle = f"{place(medians[side]):.2f}%"
        yield f'<line class="run-{side}" x1="{middle}" x2="{middle}" y1="{row - 9}" y2="{row + 9}"/>'
        for value in values[side]:
            dot = f'<circle class="run-{side}" cx="{place(value):.2f}%" cy="{row}" r="4">'
            yield f"{dot}<title>{side}: {numbers.seconds(value)}</title></circle>"
