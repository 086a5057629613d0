"""`spanwise predict`: what a change would save, before anybody writes it."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from pathlib import Path  # noqa: TC003 - typer reads it
from typing import TYPE_CHECKING, Annotated

import typer

from spanwise.errors import InputError, NothingMeasuredError, UnavailableError
from spanwise_cli.commands.runs import warn
from spanwise_cli.opening import progress
from spanwise_cli.options import DEFAULT_JOURNAL, JournalOption, JsonOption, console, emit_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from spanwise_profiling.prediction.changes import Change
    from spanwise_profiling.prediction.keeping import Scores
    from spanwise_profiling.prediction.result import Prediction
    from spanwise_profiling.runs import Run


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(name="predict")(predict)


def predict(
    *,
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN...]",
            help="Recorded runs of one workflow: last, ids, files, folders, and filters such as preset=baseline.",
        ),
    ] = None,
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
    suggest: Annotated[
        bool, typer.Option("--suggest", help="Find the best next change, and the best two, in the profile's findings.")
    ] = False,
    score: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            help="Compare a kept prediction (its id, or last) with RUN..., made with the change; all: how good.",
        ),
    ] = None,
    prices: Annotated[
        Path | None,
        typer.Option("--prices", metavar="FILE", help="What tokens cost, in place of the table that comes with it."),
    ] = None,
    json: JsonOption = False,
    journal: JournalOption = DEFAULT_JOURNAL,
) -> None:
    """Predict what a change would save in recorded runs, with an interval and what may be wrong about it.

    Verbs: duration, parallel, remove, cache, cap, rate, stop, output, input, model, tier, hedge,
    retry.

    Example: spanwise predict last --change 'parallel agent=*_analyst' --explain
    """
    if sum((bool(change or changes), suggest, score is not None)) > 1:
        raise InputError("--change, --suggest and --score: each is a question of its own; give one of them")
    if score is not None:
        _score(score, runs or [], journal, json=json)
        return
    asked = [] if suggest else _changes(change or [], changes)
    if not runs:
        raise InputError("predict: name the runs to predict from, such as last or preset=baseline")
    chosen, warnings = _runs(runs, journal)
    if not json:
        warn(warnings)
    if suggest:
        _suggest(chosen, prices, json=json)
    else:
        _predict(chosen, asked, prices, journal, explain=explain, json=json)


def _predict(
    runs: list[Run], asked: list[Change], prices: Path | None, journal: Path, *, explain: bool, json: bool
) -> None:
    from spanwise_profiling import prices as price_table  # noqa: PLC0415 - loads numpy, as few commands do
    from spanwise_profiling.prediction.keeping import Scores  # noqa: PLC0415 - likewise
    from spanwise_profiling.prediction.predict import Recorded  # noqa: PLC0415 - likewise
    from spanwise_profiling.render import prediction as rendering  # noqa: PLC0415 - likewise

    found = Recorded(runs, price_table.load(prices)).predict(asked)
    scores = Scores(journal)
    record = scores.calibration(found.kinds)
    kept = _keep(scores, found, journal)
    if json:
        more = {"id": kept, "calibration": rendering.calibration_document(record)}
        emit_json(rendering.prediction_document(found) | more)
        return
    warn(scores.warnings)
    _print(rendering.prediction_lines(found, width=_width(), explain=explain))
    _print(rendering.record_lines(record))
    if kept is not None:
        _print(["", f"Once the change is made: spanwise predict RUN --score {kept}"])


def _keep(scores: Scores, found: Prediction, journal: Path) -> str | None:
    """Write a prediction down beside the runs and return its id; None where there is no journal to write it to."""
    if not journal.is_dir():
        return None
    try:
        return scores.keep(found, time.time_ns()).id
    except OSError as error:
        warn([f"{journal}: the prediction is not kept ({error.strerror}), and cannot be scored later"])
        return None


def _suggest(runs: list[Run], prices: Path | None, *, json: bool) -> None:
    from spanwise_profiling import prices as price_table  # noqa: PLC0415 - likewise
    from spanwise_profiling.prediction.predict import Recorded  # noqa: PLC0415 - likewise
    from spanwise_profiling.prediction.suggesting import suggested  # noqa: PLC0415 - likewise
    from spanwise_profiling.render import prediction as rendering  # noqa: PLC0415 - likewise

    recorded = Recorded(runs, price_table.load(prices))
    found = suggested(recorded)
    if json:
        emit_json(rendering.suggestion_document(found, recorded.workflow, recorded.run_ids))
    else:
        _print(rendering.suggestion_lines(found, width=_width()))


def _score(reference: str, references: list[str], journal: Path, *, json: bool) -> None:
    from spanwise_profiling.prediction.keeping import Scores  # noqa: PLC0415 - likewise
    from spanwise_profiling.render import prediction as rendering  # noqa: PLC0415 - likewise

    scores = Scores(journal)
    if reference != "all" and not references:
        raise InputError(f"--score {reference}: name the runs with the change made, or say --score all")
    if reference == "all" and references:
        raise InputError("--score all: shows what was scored, and takes no runs; name one prediction")
    chosen, warnings = _runs(references, journal) if references else ([], [])
    try:
        scored = scores.score(reference, chosen) if references else None
    except OSError as error:
        raise UnavailableError(f"{journal}: the score cannot be written ({error.strerror}); free the disk") from None
    if json:
        emit_json(rendering.score_document(scored, scores.calibration()))
        return
    warn([*warnings, *scores.warnings])
    _print(rendering.score_lines(scored, scores.calibration(), width=_width()))


def _width() -> int:
    return min(console().width, 100)


def _print(lines: Iterable[str]) -> None:
    for line in lines:
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
