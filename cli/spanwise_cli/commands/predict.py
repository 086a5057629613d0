"""`spanwise predict`: what a change would save, before anybody writes it."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path  # noqa: TC003 - typer reads it
from typing import TYPE_CHECKING, Annotated

import typer

from spanwise.errors import InputError, NothingMeasuredError
from spanwise_cli.commands.runs import warn
from spanwise_cli.opening import progress
from spanwise_cli.options import DEFAULT_JOURNAL, JournalOption, JsonOption, console, emit_json

if TYPE_CHECKING:
    from spanwise_profiling.prediction.changes import Change
    from spanwise_profiling.runs import Run


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(name="predict")(predict)


def predict(
    *,
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...",
            help="Recorded runs of one workflow: last, ids, files, folders, and filters such as preset=baseline.",
        ),
    ],
    change: Annotated[
        list[str] | None,
        typer.Option(
            "--change",
            metavar="TEXT",
            help="What to change, such as 'cache market_data at 80 %' (repeatable; all are made together).",
        ),
    ] = None,
    changes: Annotated[
        Path | None, typer.Option("--changes", metavar="FILE", help="A YAML file with a list of changes.")
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show the critical path now and then, and why the saving ends.")
    ] = False,
    prices: Annotated[
        Path | None,
        typer.Option("--prices", metavar="FILE", help="What tokens cost, in place of the table that comes with it."),
    ] = None,
    json: JsonOption = False,
    journal: JournalOption = DEFAULT_JOURNAL,
) -> None:
    """Predict what a change would save in recorded runs, with an interval and what may be wrong about it.

    Verbs: duration, parallel, remove, cache, cap, rate, stop, output, model, hedge, retry.

    Example: spanwise predict last --change 'parallel agent=*_analyst' --explain
    """
    from spanwise_profiling import prices as price_table  # noqa: PLC0415 - loads numpy, as few commands do
    from spanwise_profiling.prediction.predict import Recorded  # noqa: PLC0415 - likewise
    from spanwise_profiling.render import prediction as rendering  # noqa: PLC0415 - likewise

    asked = _changes(change or [], changes)
    chosen, warnings = _runs(runs, journal)
    found = Recorded(chosen, price_table.load(prices)).predict(asked)
    if json:
        emit_json(rendering.prediction_document(found))
        return
    warn(warnings)
    for line in rendering.prediction_lines(found, width=min(console().width, 100), explain=explain):
        sys.stdout.write(f"{line}\n")


def _changes(lines: list[str], path: Path | None) -> list[Change]:
    from spanwise_profiling.prediction.language import change_of, changes_in  # noqa: PLC0415 - likewise

    asked = [change_of(line) for line in lines] + (changes_in(path) if path is not None else [])
    if not asked:
        raise InputError("nothing to predict; give --change 'cache market_data at 80 %', or --changes FILE")
    return asked


def _runs(references: list[str], journal: Path) -> tuple[list[Run], list[str]]:
    """Return the runs that are named, each once, and what could not be read of their sources."""
    from spanwise_profiling.run_sets import Library  # noqa: PLC0415 - likewise

    with progress() as tell:
        library = Library(journal, datetime.now(UTC), tell)
        found = {run.run_id: run for reference in references for run in library.runs(reference)}
    if not found:
        raise NothingMeasuredError(f"{' '.join(references)}: no run; `spanwise runs` lists those that are recorded")
    return list(found.values()), list(dict.fromkeys(library.warnings))
