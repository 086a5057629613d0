"""A profile for the terminal: tree with the path, budget, agents, findings; the findings last, where one reads on.

Built of text that is cleaned and of drawing characters that the terminal can show; 80 columns are enough.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from spanwise_profiling.render.budget import budget_bars, filled
from spanwise_profiling.render.glyphs import UNICODE, Glyphs
from spanwise_profiling.render.numbers import seconds
from spanwise_profiling.render.path_tree import legend, path_tree
from spanwise_profiling.render.profile_texts import (
    MOST_EVIDENCE,
    MOST_FINDINGS,
    NOBODY,
    about,
    evidence_of,
    facts,
    mostly,
    page_of,
    saving,
)
from spanwise_profiling.render.tables import heading_about, paragraph, plain_table
from spanwise_profiling.render.usage_texts import MODEL_COLUMNS, NO_NAME, model_cells

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import RenderableType
    from rich.table import Table

    from spanwise_profiling.profile import Finding, Profile, Share
    from spanwise_profiling.usage import Usage


def profile_report(
    profile: Profile, width: int, *, glyphs: Glyphs = UNICODE, show_all: bool = False
) -> Iterator[RenderableType]:
    """Yield the parts of a report, one below the other; to be printed without wrapping of their own."""
    yield heading_about(profile.run, about(profile), width, glyphs=glyphs)
    yield Text()
    yield path_tree(profile, width, glyphs=glyphs, show_all=show_all)
    yield Text(legend(glyphs), style="dim")
    for fact in facts(profile):
        yield paragraph("", glyphs.clean(fact), width, hanging=2)
    yield Text("\nWhere the wall clock went", style="bold")
    yield budget_bars(profile, width, glyphs=glyphs)
    for title, shares in (("agent", profile.agents), ("role", profile.roles)):
        if shares:
            yield Text()
            yield _shares(profile, title, shares, glyphs)
    if profile.usage is not None and profile.usage.models:
        yield Text()
        yield _models(profile.usage, glyphs)
    yield from _findings(profile, width, glyphs, show_all=show_all)


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


def _findings(profile: Profile, width: int, glyphs: Glyphs, *, show_all: bool) -> Iterator[RenderableType]:
    if not profile.findings:
        yield Text("\nNothing to change was found.")
        return
    yield Text("\nWhat to change, most promising first", style="bold")
    for number, finding in enumerate(profile.findings, start=1):
        yield paragraph(f"{number}. ", glyphs.clean(finding.title), width, style="bold")
        yield paragraph(
            "   ", f"{saving(profile, finding)}, confidence {finding.confidence}; {page_of(finding)}", width
        )
        if show_all or number <= MOST_FINDINGS:
            yield from _details(profile, finding, width, glyphs, most=None if show_all else MOST_EVIDENCE)
    if not show_all and len(profile.findings) > MOST_FINDINGS:
        yield Text(f"{glyphs.ellipsis} --all tells of each what shows it and how it is done", style="dim")


def _details(
    profile: Profile, finding: Finding, width: int, glyphs: Glyphs, *, most: int | None
) -> Iterator[RenderableType]:
    evidence = evidence_of(profile, finding)
    for item, label in evidence[:most]:
        note = f": {item.note}" if item.note else ""
        length = seconds(profile.run.scaled(item.on_path_ns))
        yield paragraph("   ", glyphs.clean(f"{length:>9}  {label}{note} [{item.span_id}]"), width, hanging=14)
    if most is not None and len(evidence) > most:
        yield Text(f"   {glyphs.ellipsis} {len(evidence) - most} more; --all tells them", style="dim")
    yield paragraph("   here: ", glyphs.clean(finding.here), width)
    yield paragraph("   elsewhere: ", glyphs.clean(finding.elsewhere), width)
