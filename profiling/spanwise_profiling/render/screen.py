"""The first screen of a profile: what to do and how sure it is, in at most 45 lines at 80 columns.

From the top: what it was, what dominated, the biggest win, the timeline, the budget in words, what to change, how sure
all of it is, and what to ask next. Built of text that is cleaned and of characters that the terminal can show.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from rich.cells import cell_len
from rich.text import Text

from spanwise_profiling.render import headline
from spanwise_profiling.render.budget import in_words, per_cent
from spanwise_profiling.render.glyphs import UNICODE, Glyphs
from spanwise_profiling.render.numbers import fixed, rough
from spanwise_profiling.render.path_rows import MOST_ROWS, path_rows
from spanwise_profiling.render.tables import UNFINISHED, paragraph

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from spanwise_profiling.profile import Finding, Profile

NARROWEST: Final = 60
WIDEST: Final = 110
"""A wider terminal gets no longer bars: the number has to stay near the name."""
MOST_FINDINGS: Final = 3
MOST_LINES: Final = 45
"""Of the whole screen."""
_BUDGET_NAME: Final = 22


def first_screen(profile: Profile, width: int, *, glyphs: Glyphs = UNICODE, reference: str = "") -> Iterator[Text]:
    """Yield the parts of the screen, one below the other; to be printed without wrapping of their own.

    Args:
        profile: of which run.
        width: of the terminal; lines have at least 60 cells and at most 110.
        glyphs: to draw with.
        reference: how the run was named on the command line, for the hints; empty for the last run.
    """
    whole = min(max(width, NARROWEST), WIDEST)
    parts: list[Text] = []
    for room in _ROOMS:
        parts = list(_screen(profile, whole, glyphs, reference, room))
        if sum(map(_lines, parts)) <= MOST_LINES:
            break
    yield from parts


class _Room(NamedTuple):
    """How many lines the parts of a screen may have that can do with fewer."""

    rows: int
    budget: int
    findings: int


_ROOMS: Final = (
    _Room(MOST_ROWS, 6, 12), _Room(MOST_ROWS, 6, 10), _Room(11, 5, 9), _Room(10, 5, 8), _Room(8, 4, 7), _Room(6, 3, 5),
)  # fmt: skip


def _screen(profile: Profile, width: int, glyphs: Glyphs, reference: str, room: _Room) -> Iterator[Text]:
    shown = profile.findings[:MOST_FINDINGS]
    yield from head(profile, width, glyphs)
    yield Text()
    yield path_rows(profile, width, glyphs=glyphs, findings=shown, most=room.rows)
    if profile.run.duration_ns:
        yield Text(f"\nWhere {fixed(profile.run.seconds, profile.run.seconds)} went", style="bold")
        yield budget_in_words(profile, width, glyphs, room.budget)
    if profile.findings:
        yield Text("\nWhat to change", style="bold")
        yield from _findings(profile, shown, width, glyphs, room.findings)
    yield Text()
    yield from foot(profile, width, glyphs, reference)


def head(profile: Profile, width: int, glyphs: Glyphs) -> Iterator[Text]:
    """Yield what it was, what dominated, and the biggest win."""
    run = profile.run
    title, short = glyphs.clean(headline.title_of(profile)), glyphs.clean(run.run_id[:8])
    gap = width - cell_len(title) - len(short)
    yield paragraph("", f"{title}{' ' * gap}{short}" if gap > 1 else title, width, hanging=0, style="bold")
    if run.state != "ended":
        yield paragraph("", UNFINISHED[run.state], width, hanging=0, style="yellow")
    if run.error:
        yield paragraph(f"{glyphs.error} ", f"failed: {glyphs.clean(run.error)}", width, style="red")
    yield Text()
    yield paragraph("", headline.dominated(profile), width, hanging=0)
    yield paragraph("", glyphs.clean(headline.biggest_win(profile)), width, hanging=0, style="bold")


def budget_in_words(profile: Profile, width: int, glyphs: Glyphs, most: int) -> Text:
    """Return at most `most` lines for what the wall clock went into; beyond that the smallest are one."""
    run = profile.run
    parts = in_words(profile.budget_ns)
    if len(parts) > most:
        rest = parts[most - 1 :]
        parts = [*parts[: most - 1], (f"{len(rest)} others: --all", sum(length for _, length in rest))]
    cells = min(30, width - _BUDGET_NAME - 18)
    text = Text(no_wrap=True, overflow="ignore")
    for words, length in parts:
        share = length / run.duration_ns
        bar = glyphs.bar * round(share * cells) or glyphs.dot
        text.append(f"{words:<{_BUDGET_NAME}}{fixed(run.scaled(length), run.seconds):>10} {per_cent(share):>5}  ")
        text.append(f"{bar}\n", style="cyan")
    text.rstrip()
    return text


def _findings(profile: Profile, shown: Sequence[Finding], width: int, glyphs: Glyphs, most: int) -> Iterator[Text]:
    """Yield the findings in about `most` lines: what to do is always told, why and how as far as there is room."""
    left = most
    for number in range(1, len(shown) + 1):
        title, *more = finding_lines(profile, number, shown, width, glyphs=glyphs)
        left -= _lines(title)
        yield title
        for part in more:
            if left >= _lines(part) + 2 * (len(shown) - number):
                left -= _lines(part)
                yield part
    hidden = profile.findings[len(shown) :]
    if hidden:
        largest = rough(profile.run.scaled(max(finding.saves_ns for finding in hidden)))
        yield Text(f"   {len(hidden)} more, {largest} or less each: --all", style="dim")


def _lines(part: Text) -> int:
    return part.plain.count("\n") + 1


def finding_lines(
    profile: Profile, number: int, beside: Sequence[Finding], width: int, *, glyphs: Glyphs
) -> list[Text]:
    """Return seconds, how sure and what to do; then why; then how, each of as many lines as it needs.

    Args:
        profile: of which run.
        number: of the finding, from 1.
        beside: the findings that are shown in one column.
        width: at least 60.
        glyphs: to draw with.
    """
    finding = profile.findings[number - 1]
    savings = [_saving(profile, one) for one in beside]
    head = f"{number}. {_saving(profile, finding):<{max(map(len, savings))}}  {headline.SURE[finding.confidence]:<9} "
    title = paragraph(head, f"{glyphs.clean(finding.title)}.", width, hanging=3, style="bold")
    why = [paragraph("   ", glyphs.clean(finding.why), width)] if finding.why else []
    fix = [paragraph("   Fix: ", glyphs.clean(finding.fix), width, hanging=8)] if finding.fix else []
    return [title, *why, *fix]


def _saving(profile: Profile, finding: Finding) -> str:
    saved = rough(profile.run.scaled(finding.saves_ns))
    return f"-{saved} ({headline.share(profile, finding)})" if finding.saves_ns else "no time now"


def foot(profile: Profile, width: int, glyphs: Glyphs, reference: str = "") -> Iterator[Text]:
    """Yield how sure all of it is, what is hidden, and what to ask next."""
    said = [
        headline.path_certainty(profile),
        *headline.rules_that_ran(profile),
        *map(glyphs.clean, headline.unknown_prices(profile)),
        "Every span: --all.",
    ]
    yield paragraph("", " ".join(said), width, hanging=0, style="dim")
    yield next_step(profile, width, reference)


def next_step(profile: Profile, width: int, reference: str = "") -> Text:
    """Return what to ask next, with the run as it was named; of a run with a long name, fewer hints."""
    of_run = f" {reference}" if reference else ""
    hints = [f"profile{of_run} --html report.html", f"show{of_run}"]
    if profile.findings:
        hints.insert(0, f"explain 1{of_run}")
    while len(hints) > 1 and cell_len(f"Next: spanwise {' | '.join(hints)}") > width:
        hints.pop()
    return Text(f"Next: spanwise {' | '.join(hints)}", style="dim")
