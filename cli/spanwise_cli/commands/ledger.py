"""`spanwise ledger`: what became of every span that was started."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from spanwise.journal import ledger as ledgers
from spanwise_cli.options import DEFAULT_JOURNAL, JournalOption, JsonOption, console, emit_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    import typer

    from spanwise.journal.ledger import Counts


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(name="ledger")(ledger)


def ledger(*, json: JsonOption = False, journal: JournalOption = DEFAULT_JOURNAL) -> None:
    """Show how many spans were started, are open, were written, lost and delivered.

    Example: spanwise ledger --journal .spanwise
    """
    counts = ledgers.read(journal)
    if json:
        emit_json({"schema": "spanwise.ledger/1", "folder": str(journal), **ledgers.as_document(counts)})
        return
    out = console()
    if counts.started:
        out.print(_spans(counts))
    if counts.destinations:
        out.print(_destinations(counts))
    out.print(" ".join(verdict(counts)) if counts.started else f"{journal}: nothing is recorded here.", markup=False)


def verdict(counts: Counts) -> Iterator[str]:
    """Say in sentences whether anything was lost, is behind or is still under way."""
    lost = sum(counts.dropped.values())
    if lost:
        reasons = ", ".join(f"{reason} {number:,}" for reason, number in sorted(counts.dropped.items()))
        yield f"{lost:,} of {counts.started:,} spans were lost ({reasons}); `spanwise doctor` checks the disk."
    behind = {name: fates["pending"] for name, fates in sorted(counts.destinations.items()) if fates["pending"]}
    yield from (f"{name} is behind by {_spans_of(number)}." for name, number in behind.items())
    refused = {name: fates["set_aside"] for name, fates in sorted(counts.destinations.items()) if fates["set_aside"]}
    yield from (f"{_spans_of(number)} cannot be sent to {name}." for name, number in refused.items())
    if not lost and not behind and not refused:
        yield "Nothing was lost" + (", and every destination has everything." if counts.destinations else ".")
    waiting = counts.open + counts.buffered
    if waiting:
        yield f"{_spans_of(waiting)} not written yet: a process is still recording, or was killed."


def _spans_of(number: int) -> str:
    return f"{number:,} span{'' if number == 1 else 's'}"


def _spans(counts: Counts) -> Table:
    table = Table("spans", "number", box=None, pad_edge=False, header_style="dim")
    table.columns[1].justify = "right"
    rows = {"started": counts.started, "open": counts.open, "buffered": counts.buffered, "journaled": counts.journaled}
    lost = {f"dropped: {reason}": number for reason, number in sorted(counts.dropped.items())}
    for name, number in (rows | lost).items():
        table.add_row(name, f"{number:,}")
    return table


def _destinations(counts: Counts) -> Table:
    fates = ("delivered", "pending", "set_aside", "filtered", "expired")
    table = Table("destination", *fates, box=None, pad_edge=False, header_style="dim")
    for column in table.columns[1:]:
        column.justify = "right"
    for name, numbers in sorted(counts.destinations.items()):
        table.add_row(name, *(f"{numbers.get(fate, 0):,}" for fate in fates))
    return table
