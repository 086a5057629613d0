"""`spanwise runs`: what is recorded, newest first."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from spanwise_cli.options import DEFAULT_JOURNAL, JournalOption, JsonOption, console, emit_json
from spanwise_profiling.filters import matching, moment_ns
from spanwise_profiling.load import load, require_runs
from spanwise_profiling.render.documents import runs_document
from spanwise_profiling.render.glyphs import glyphs_for
from spanwise_profiling.render.tables import run_table

if TYPE_CHECKING:
    from collections.abc import Iterable


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(name="runs")(runs)


def runs(
    *,
    service: Annotated[str | None, typer.Option(metavar="NAME", help="Only runs of this service.")] = None,
    workflow: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only runs of this workflow, or workflow/variant.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="WHEN", help="Only runs started since: 7d, 2h, 30m, or an ISO date or time.")
    ] = None,
    errors: Annotated[bool, typer.Option("--errors", help="Only runs with errors.")] = False,
    only_open: Annotated[bool, typer.Option("--open", help="Only runs that have not ended.")] = False,
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="Show the newest N.")] = 20,
    json: JsonOption = False,
    journal: JournalOption = DEFAULT_JOURNAL,
) -> None:
    """List recorded runs, newest first.

    Example: spanwise runs --workflow trading --since 2h
    """
    begin_ns = None if since is None else moment_ns(since, datetime.now(UTC))
    recording = load(journal)
    wanted = list(matching(recording.runs, service=service, workflow=workflow, begin_ns=begin_ns, errors=errors))
    if only_open:
        wanted = [run for run in wanted if run.state == "open"]
    shown = wanted[::-1][:limit]
    if json:
        emit_json(runs_document(shown, recording.warnings))
        return
    require_runs(recording)
    warn(recording.warnings)
    out = console()
    if shown:
        out.print(run_table(shown, glyphs=glyphs_for(out.encoding)))
    if len(shown) < len(recording.runs):
        left_out = f"{len(shown)} of {len(recording.runs)} recorded runs shown ({len(wanted)} match)"
        out.print(left_out, style="dim", markup=False)


def warn(warnings: Iterable[str]) -> None:
    """Print what could not be read, to standard error."""
    out = console(stderr=True)
    glyphs = glyphs_for(out.encoding)
    for warning in warnings:
        out.print(f"warning: {glyphs.clean(warning)}", markup=False, soft_wrap=True)
