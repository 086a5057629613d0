"""A comparison for the terminal, as plain text, as a comment for a pull request, and as JSON.

The verdict is the first line of each. Every form has the same sections, and the document has all figures.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from rich.text import Text

from spanwise_profiling.comparison import statistics
from spanwise_profiling.render.glyphs import UNICODE, Glyphs
from spanwise_profiling.render.markdown import text as escaped
from spanwise_profiling.render.numbers import count, seconds
from spanwise_profiling.render.tables import paragraph, plain_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rich.console import RenderableType
    from rich.table import Table

    from spanwise_profiling.comparison.result import Cause, Comparison, Count, Interval, Measured, Verdict

SCHEMA: Final = "spanwise.compare/1"
_STYLES: Final[Mapping[Verdict, str]] = {
    "faster": "bold green", "slower": "bold red", "same": "bold", "inconclusive": "bold yellow",
    "environments_differ": "bold yellow",
}  # fmt: skip
_MOST_LEVEL: Final = 0.0001
_MOST_NAMES: Final = 3
_NAMED: Final = ("A", "B", "95 % interval")
"""Headings that sentences repeat."""


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with a table, or with sentences, below it."""

    title: str
    heads: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    lines: tuple[str, ...] = ()


def comparison_report(comparison: Comparison, width: int, *, glyphs: Glyphs = UNICODE) -> Iterator[RenderableType]:
    """Yield the parts of a report, one below the other; to be printed without wrapping of their own."""
    yield Text(glyphs.clean(headline(comparison)), style=_STYLES[comparison.verdict])
    for line in facts(comparison):
        yield paragraph("", glyphs.clean(line), width, hanging=2)
    for section in sections(comparison):
        yield Text(f"\n{section.title}", style="bold")
        if section.rows:
            yield _table(section, glyphs)
        yield from (paragraph("- ", glyphs.clean(line), width, hanging=2) for line in section.lines)


def plain_comparison(comparison: Comparison, *, glyphs: Glyphs = UNICODE) -> str:
    """Return the same in sentences and lists."""
    lines = [headline(comparison), *facts(comparison)]
    for section in sections(comparison):
        lines += ["", f"{section.title}:"]
        lines += ["- " + _sentence(section.heads, row) for row in section.rows]
        lines += [f"- {line}" for line in section.lines]
    return "".join(f"{glyphs.clean(line)}\n" for line in lines)


def markdown_comparison(comparison: Comparison) -> str:
    """Return the same as a comment on a pull request."""
    lines = [f"### {escaped(headline(comparison))}", "", *map(escaped, facts(comparison))]
    for section in sections(comparison):
        lines += ["", f"**{section.title}**", ""]
        if section.rows:
            lines += [f"| {' | '.join(section.heads)} |", f"|{' --- |' * len(section.heads)}"]
            lines += [f"| {' | '.join(map(escaped, row))} |" for row in section.rows]
        lines += [f"- {escaped(line)}" for line in section.lines]
    return "\n".join([*lines, ""])


def comparison_document(comparison: Comparison, warnings: Sequence[str] = ()) -> dict[str, Any]:
    """Return the comparison as plain JSON values; seconds are the system's."""
    duration, (typical_a, typical_b) = comparison.duration, comparison.typical
    found = asdict(duration)
    del found["name"], found["change"]
    found |= {
        "a": {"n": comparison.a_runs, "median": duration.a},
        "b": {"n": comparison.b_runs, "median": duration.b},
        "mde": found.pop("detectable"),
    }
    return {
        "schema": SCHEMA,
        "verdict": comparison.verdict,
        "verdict_if_environments_were_the_same": comparison.would_be,
        "metric": "duration",
        **found,
        "paired_by": comparison.paired_by,
        "margin": comparison.margin,
        "runs_needed": comparison.needed,
        "counts": [asdict(one) for one in comparison.counts],
        "shape": asdict(comparison.shape),
        "success": asdict(comparison.success),
        "causes": [asdict(cause) for cause in comparison.causes],
        "metrics": [asdict(metric) for metric in comparison.metrics],
        "environment": [asdict(one) for one in comparison.surroundings],
        "outliers": [asdict(outlier) for outlier in comparison.outliers],
        "typical": {"a": typical_a.run.run_id, "b": typical_b.run.run_id},
        "notes": list(comparison.notes),
        "warnings": list(warnings),
    }


def headline(comparison: Comparison) -> str:
    """Return the verdict as one line."""
    duration = comparison.duration
    change = f"{seconds(duration.a)} to {seconds(duration.b)}, {_ratio(duration.ratio)}"
    ends = f" (95 % interval {_ends(duration.ratio_interval)}, p {_level(duration.p)})"
    words = {
        "faster": f"B is faster than A: {change}{ends}",
        "slower": f"B is slower than A: {change}{ends}",
        "same": f"B is as fast as A: {change}, less than the margin of {_share(comparison.margin)}{ends}",
        "inconclusive": f"Inconclusive: {change}{ends}; {_needed(comparison)}",
    }
    if comparison.verdict == "environments_differ":
        differ = ", ".join(one.name for one in comparison.surroundings if one.differs)
        return f"Environments differ ({differ}), so that A and B cannot be compared. {words[comparison.would_be]}"
    return words[comparison.verdict]


def _needed(comparison: Comparison) -> str:
    unit = "pairs" if comparison.paired_by else "runs of each"
    if comparison.needed is None:
        return f"not even {statistics.MOST_RUNS:,} {unit} would decide a change so near to the margin"
    return f"about {comparison.needed:,} {unit} would decide"


def facts(comparison: Comparison) -> Iterator[str]:
    """Yield what the verdict rests on: runs, and what they could have shown."""
    if comparison.paired_by:
        runs = f"{comparison.a_runs} pairs of runs by {comparison.paired_by}."
    else:
        runs = f"{count(comparison.a_runs, 'run')} of A and {comparison.b_runs} of B, not paired."
    mde = comparison.duration.detectable
    if mde is None:
        fewest = statistics.FEWEST_PAIRS if comparison.paired_by else statistics.FEWEST_RUNS
        yield f"{runs} No change, however large, could show: it takes at least {fewest} of each."
    else:
        yield f"{runs} A change of {_share(mde)} or more would show in four of five such comparisons."


def sections(comparison: Comparison) -> Iterator[Section]:
    """Yield the parts of a report below its verdict."""
    yield Section(
        "Counts",
        ("", "A", "B", "change"),
        tuple((one.name, _range(one.a), _range(one.b), _change(one)) for one in comparison.counts),
        tuple(_shape(comparison)),
    )
    success = comparison.success
    if success.a_failed or success.b_failed:
        failed = f"{success.a_failed} of {success.a_runs} runs of A failed, {success.b_failed} of {success.b_runs} of B"
        words = {"more": "B fails more often", "less": "B fails less often"}
        said = words.get(success.change, "that can be chance")
        yield Section("Failures", lines=(f"{failed}: {said} (p {_level(success.p)}).",))
    if comparison.causes:
        rows = [(cause.name, _signed(cause.seconds), _why(cause)) for cause in comparison.causes]
        rows.append(("together", _signed(comparison.duration.difference), ""))
        heads = ("", "difference", "made of")
        yield Section("Where the difference comes from, on the critical path", heads, tuple(rows))
    if comparison.metrics:
        rows_of = tuple(
            (one.name, _value(one, one.a), _value(one, one.b), _ratio(one.ratio), _ends(one.ratio_interval), one.change)
            for one in comparison.metrics
        )
        yield Section("Other metrics", ("", "A", "B", "change", "95 % interval", ""), rows_of)
    notes = tuple(_notes(comparison))
    if notes:
        yield Section("Mind", lines=notes)
    a, b = (one.run.run_id for one in comparison.typical)
    yield Section("Typical runs", lines=(f"Look at one of each: spanwise profile {a[:12]} {b[:12]} --html pair.html",))


def _shape(comparison: Comparison) -> Iterator[str]:
    shape = comparison.shape
    if shape.same:
        yield "All runs are made of the same spans."
        return
    for side, only in (("A", shape.only_a), ("B", shape.only_b)):
        if only:
            more = f" and {len(only) - _MOST_NAMES} more" if len(only) > _MOST_NAMES else ""
            yield f"Only in {side}: {', '.join(only[:_MOST_NAMES])}{more}."
    if not shape.only_a and not shape.only_b:
        yield "Runs differ in how often spans occur, or below what."


def _notes(comparison: Comparison) -> Iterator[str]:
    for one in comparison.surroundings:
        if one.differs:
            yield f"{one.name} differs: {_names(one.a)} for A, {_names(one.b)} for B."
    recorded = {one.name for one in comparison.surroundings}
    if missing := [name for name in ("machine", "Python") if name not in recorded]:
        yield f"Not recorded, so not compared: {' and '.join(missing)}."
    for outlier in comparison.outliers:
        yield (
            f"Run {outlier.run_id[:12]} of {outlier.side.upper()} is far from the others of its side "
            f"({seconds(outlier.seconds)}); it counts like them."
        )
    yield from comparison.notes


def _names(values: Sequence[str]) -> str:
    more = f" and {len(values) - _MOST_NAMES} more" if len(values) > _MOST_NAMES else ""
    return f"{', '.join(values[:_MOST_NAMES])}{more}"


def _range(ends: tuple[int, int]) -> str:
    low, high = ends
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _change(one: Count) -> str:
    if one.p is None:
        return one.change
    return "may be chance" if one.change == "inconclusive" else f"{one.change} (p {_level(one.p)})"


def _why(cause: Cause) -> str:
    words: list[str] = []
    if cause.beside:
        words.append("takes as long, now beside the path" if cause.seconds < 0 else "takes as long, now on the path")
    longest = sorted(cause.buckets.items(), key=lambda item: -abs(item[1]))[:_MOST_NAMES]
    words += [f"{bucket} {_signed(length)}" for bucket, length in longest if abs(length) >= abs(cause.seconds) / 20]
    if cause.calls:
        words.append(f"model calls {cause.calls:+.3g}")
    return ", ".join(words)


def _signed(value: float) -> str:
    return f"{'-' if value < 0 else '+'}{seconds(abs(value))}" if value else "0 s"


def _value(metric: Measured, value: float) -> str:
    return seconds(value) if metric.unit == "s" else f"{value:.4g}"


def _share(share: float) -> str:
    return f"{100 * share:.3g} %"


def _ratio(ratio: float) -> str:
    return f"{100 * ratio:+.1f} %"


def _ends(interval: Interval | None) -> str:
    if interval is None:
        return "unknown, too few runs"
    return f"{_ratio(interval.low)} to {_ratio(interval.high)}"


def _level(p: float) -> str:
    return f"{p:.2g}" if p >= _MOST_LEVEL else "below 0.0001"


def _table(section: Section, glyphs: Glyphs) -> Table:
    table = plain_table(glyphs)
    for place, head in enumerate(section.heads):
        is_number = 0 < place < len(section.heads) - 1
        table.add_column(head, justify="right" if is_number else "left", overflow="fold")
    for row in section.rows:
        table.add_row(*(Text(glyphs.clean(cell)) for cell in row))
    return table


def _sentence(heads: Sequence[str], row: Sequence[str]) -> str:
    named = [(head if head in _NAMED else "", cell) for head, cell in zip(heads[1:], row[1:], strict=True) if cell]
    return f"{row[0]}: {', '.join(f'{head} {cell}'.strip() for head, cell in named)}"
