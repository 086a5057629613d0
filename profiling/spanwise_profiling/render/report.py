"""A profile for the terminal: the first screen, or all that is known, the findings last, where one reads on.

Built of text that is cleaned and of drawing characters that the terminal can show; 80 columns are enough.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from spanwise_profiling.render.budget import budget_bars, filled
from spanwise_profiling.render.glyphs import UNICODE, Glyphs
from spanwise_profiling.render.numbers import seconds
from spanwise_profiling.render.path_rows import path_rows
from spanwise_profiling.render.path_tree import legend, path_tree
from spanwise_profiling.render.profile_texts import MOST_EVIDENCE, NOBODY, about, evidence_of, facts, mostly
from spanwise_profiling.render.screen import NARROWEST, WIDEST, finding_lines, first_screen, head, next_step
from spanwise_profiling.render.tables import figures, paragraph, plain_table, wrapped
from spanwise_profiling.render.usage_texts import MODEL_COLUMNS, NO_NAME, model_cells

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import RenderableType
    from rich.table import Table

    from spanwise_profiling.profile import Profile, Share
    from spanwise_profiling.usage import Usage


def profile_report(
    profile: Profile, width: int, *, glyphs: Glyphs = UNICODE, show_all: bool = False, reference: str = ""
) -> Iterator[RenderableType]:
    """Yield the parts of a report, one below the other; to be printed without wrapping of their own.

    Args:
        profile: of which run.
        width: of the terminal.
        glyphs: to draw with.
        show_all: everything that is known in place of the first screen.
        reference: how the run was named on the command line, for the hints; empty for the last run.
    """
    if show_all:
        yield from _all(profile, width, glyphs, reference)
    else:
        yield from first_screen(profile, width, glyphs=glyphs, reference=reference)


def _all(profile: Profile, width: int, glyphs: Glyphs, reference: str) -> Iterator[RenderableType]:
    whole = min(max(width, NARROWEST), WIDEST)
    yield from head(profile, whole, glyphs)
    told = [*map(glyphs.clean, about(profile)), *figures(profile.run, glyphs)]
    yield Text("\n".join(wrapped(told, whole)), style="dim")
    yield Text()
    yield path_rows(profile, whole, glyphs=glyphs, findings=profile.findings, most=None)
    yield Text("\nEvery span", style="bold")
    yield path_tree(profile, width, glyphs=glyphs, show_all=True)
    yield Text(legend(glyphs), style="dim")
    for fact in facts(profile):
        yield paragraph("", glyphs.clean(fact), width, hanging=2)
    yield Text("\nWhere the wall clock went", style="bold")
    yield budget_bars(profile, width, glyphs=glyphs)
    for title, shares in (("agent", profile.agents), ("role", profile.roles)):
        if any(share.name for share in shares):
            yield Text()
            yield _shares(profile, title, shares, glyphs)
    if profile.usage is not None and profile.usage.models:
        yield Text()
        yield _models(profile.usage, glyphs)
    yield from _findings(profile, whole, glyphs)
    yield Text()
    yield next_step(profile, whole, reference)


def _shares(profile: Profile, title: str, shares: Sequence[Share], glyphs: Glyphs) -> Table:
    table = plain_table(glyphs)
    table.add_column(title, ratio=1, no_wrap=True, overflow="crop" if glyphs.ascii_only else "ellipsis")
    for heading in ("on path", "took", "calls", "tokens in", "out"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("mostly", no_wrap=True)
    for share in shares:
        table.add_row(
            Text(glyphs.clean(share.name or NOBODY)),
            seconds(profile.run.scaled(share.on_path_ns)),
            seconds(profile.run.scaled(share.total_ns)),
            f"{share.calls:,}",
            f"{share.input_tokens:,}",
            f"{share.output_tokens:,}",
            mostly(filled(share.budget_ns)),
        )
    return table


def _models(usage: Usage, glyphs: Glyphs) -> Table:
    table = plain_table(glyphs)
    table.add_column("model", ratio=1, no_wrap=True, overflow="crop" if glyphs.ascii_only else "ellipsis")
    for heading in MODEL_COLUMNS:
        table.add_column(heading, justify="right", no_wrap=True)
    for model in usage.models:
        table.add_row(Text(glyphs.clean(model.name or NO_NAME)), *model_cells(model))
    return table


def _findings(profile: Profile, width: int, glyphs: Glyphs) -> Iterator[RenderableType]:
    if not profile.findings:
        return
    yield Text("\nWhat to change", style="bold")
    for number, finding in enumerate(profile.findings, start=1):
        yield from finding_lines(profile, number, profile.findings, width, glyphs=glyphs)
        evidence = evidence_of(profile, finding)
        for item, label in evidence[:MOST_EVIDENCE]:
            note = f": {item.note}" if item.note else ""
            length = seconds(profile.run.scaled(item.on_path_ns))
            yield paragraph("   ", glyphs.clean(f"{length:>9}  {label}{note} [{item.span_id}]"), width, hanging=14)
        if len(evidence) > MOST_EVIDENCE:
            yield Text(f"   {len(evidence) - MOST_EVIDENCE} more: spanwise explain {number}", style="dim")
