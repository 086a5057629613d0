"""`spanwise purge`: erases recorded runs, or all that is older than a moment."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spanwise.errors import CheckFailedError, InputError, UnavailableError
from spanwise.journal import purge as purging
from spanwise_cli.options import DEFAULT_JOURNAL, JournalOption, JsonOption, console, emit_json
from spanwise_profiling.filters import moment_ns
from spanwise_profiling.load import load, require_runs, select

if TYPE_CHECKING:
    from pathlib import Path

    from spanwise.journal.purge import Erased
    from spanwise_profiling.runs import Run


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(name="purge")(purge)


def purge(
    *,
    before: Annotated[
        str | None, typer.Option(metavar="WHEN", help="Erase what ended before: 7d, 2h, 30m, or an ISO date or time.")
    ] = None,
    run: Annotated[
        list[str] | None, typer.Option(metavar="RUN", help="Erase this run, named as for `show`; repeatable.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be erased.")] = False,
    json: JsonOption = False,
    journal: JournalOption = DEFAULT_JOURNAL,
) -> None:
    """Erase recorded runs from the journal, for good.

    Example: spanwise purge --before 30d
    """
    if before is None and not run:
        raise InputError("purge: nothing to erase is named; give --before WHEN or --run RUN")
    moment = None if before is None else moment_ns(before, datetime.now(UTC), "--before")
    chosen = _chosen(run or [], journal)
    spans = {(span.trace_id, span.span_id) for one in chosen for _, span in one.walk()}
    erased = _erase(journal, moment, spans, dry_run=dry_run)
    if json:
        emit_json(_document(erased, dry_run=dry_run))
    else:
        console().print(_sentence(erased, dry_run=dry_run), markup=False)
    if erased.still_written:
        raise CheckFailedError(
            f"{journal}: {erased.still_written:,} more spans are in a file that a living process writes to and did not "
            "close when it was asked to; purge again when it has ended"
        )


def _chosen(references: list[str], journal: Path) -> list[Run]:
    if not references:
        return []
    recording = load(journal)
    require_runs(recording)
    chosen = [select(reference, recording.runs) for reference in references]
    for run in chosen:
        if run.state == "open":
            raise InputError(f"run {run.run_id}: has not ended; end its process first")
    return chosen


def _erase(journal: Path, moment: int | None, spans: set[tuple[str, str]], *, dry_run: bool) -> Erased:
    traces = purging.older(journal, moment) if moment is not None else set[str]()
    if not journal.is_dir() or not (traces or spans):
        return purging.Erased()

    def is_wanted(trace_id: str, span_id: str) -> bool:
        return trace_id in traces or (trace_id, span_id) in spans

    try:
        return purging.erase(journal, is_wanted, dry_run=dry_run)
    except OSError as error:
        raise UnavailableError(
            f"{error.filename or journal}: cannot be erased ({error.strerror}); check its permissions and the disk"
        ) from None


def _document(erased: Erased, *, dry_run: bool) -> dict[str, Any]:
    return {
        "schema": "spanwise.purge/1",
        "dry_run": dry_run,
        "spans": erased.spans,
        "files": erased.files,
        "undelivered": dict(erased.undelivered),
        "still_written": erased.still_written,
    }


def _sentence(erased: Erased, *, dry_run: bool) -> str:
    if not erased.spans:
        return "Nothing to erase."
    parts = [f"{'Would erase' if dry_run else 'Erased'} {erased.spans:,} span{'' if erased.spans == 1 else 's'}"]
    if erased.files:
        parts.append(f", and {erased.files} file{'' if erased.files == 1 else 's'} with them")
    lost = ", ".join(f"{number:,} to {name}" for name, number in sorted(erased.undelivered.items()))
    return "".join(parts) + (f". Not delivered before: {lost}." if lost else ".")
