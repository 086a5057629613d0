"""`spanwise show`: one run as a tree with a timeline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from spanwise.errors import InputError
from spanwise_cli.commands.runs import warn
from spanwise_cli.opening import progress
from spanwise_cli.options import DEFAULT_JOURNAL, JournalOption, JsonOption, console, emit_json
from spanwise_profiling.load import open_run
from spanwise_profiling.render.documents import show_document
from spanwise_profiling.render.glyphs import glyphs_for
from spanwise_profiling.render.tables import agent_table, heading
from spanwise_profiling.render.timeline import errors, timeline

if TYPE_CHECKING:
    from rich.console import Console

    from spanwise_profiling.runs import Run


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(name="show")(show)


def show(
    *,
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="A run or trace id or the first characters of one, last, last~2, last:workflow/variant, a file, a "
            "Jaeger address, or langsmith:ID.",
        ),
    ] = "last",
    show_all: Annotated[bool, typer.Option("--all", help="Every span, however many.")] = False,
    waits: Annotated[
        bool, typer.Option("--waits", help="Waits for tasks and sockets too, which every call is made of.")
    ] = False,
    follow: Annotated[
        bool, typer.Option("--follow", help="Show the tree as it grows, until the run is over; last: or the next run.")
    ] = False,
    json: JsonOption = False,
    journal: JournalOption = DEFAULT_JOURNAL,
) -> None:
    """Show one run as a tree with a timeline, and its agents by their seconds.

    Example: spanwise show last:trading/optimized
    """
    if follow:
        if json:
            raise InputError("--follow and --json: a document is of a run that is over; give one of them")
        from spanwise_cli.live import followed  # noqa: PLC0415 - 40 ms, and only where a run is followed

        print_run(followed(run, journal, console()), console(), show_all=show_all, waits=waits)
        return
    with progress() as tell:
        chosen, recording = open_run(run, journal, (), tell)
    if json:
        emit_json(show_document(chosen, recording.warnings))
        return
    warn((*recording.warnings, *chosen.warnings))
    print_run(chosen, console(), show_all=show_all, waits=waits)


def print_run(run: Run, out: Console, *, show_all: bool = False, waits: bool = False) -> None:
    """Print heading, timeline, agents and errors of `run` to `out`."""
    glyphs = glyphs_for(out.encoding)
    out.print(heading(run, out.width, glyphs=glyphs), soft_wrap=True)
    out.print()
    out.print(timeline(run, out.width, glyphs=glyphs, show_all=show_all, show_waits=waits), soft_wrap=True)
    if run.totals.agents:
        out.print()
        out.print(agent_table(run, glyphs=glyphs))
    if failures := errors(run, glyphs=glyphs):
        out.print()
        out.print(failures, soft_wrap=True)
