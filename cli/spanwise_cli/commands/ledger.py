"""`spanwise ledger`: what became of every span that was started."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rich.table import Table

from spanwise.destinations import set_aside
from spanwise.journal import cursor as cursors
from spanwise.journal import ledger as ledgers
from spanwise_cli.options import DEFAULT_JOURNAL, JournalOption, JsonOption, console, emit_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import typer

    from spanwise.journal.ledger import Counts


_REMEDIES: Final = {
    "disk_full": "`spanwise doctor` checks the disk",
    "buffer_full": "a larger `buffer_size` holds longer bursts",
    "crash": "`durability` says how much a killed process may lose",
}


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(name="ledger")(ledger)


def ledger(*, json: JsonOption = False, journal: JournalOption = DEFAULT_JOURNAL) -> None:
    """Show how many spans were started, are open, were written, lost and delivered.

    Example: spanwise ledger --journal .spanwise
    """
    problems = problems_of(journal)  # before the counts: what has gone wrong may be over by then
    counts = ledgers.read(journal)
    if json:
        emit_json(_document(journal, counts, problems))
        return
    out = console()
    if counts.started:
        out.print(_spans(counts))
    if counts.destinations:
        out.print(_destinations(counts))
    said = " ".join(verdict(counts, problems, journal)) if counts.started else f"{journal}: nothing is recorded here."
    out.print(said, markup=False)


def _document(journal: Path, counts: Counts, problems: Mapping[str, str]) -> dict[str, Any]:
    processes = [
        {"stream": stream, **ledgers.as_document(one)} for stream, one in sorted(ledgers.processes(journal).items())
    ]
    return {
        "schema": "spanwise.ledger/1",
        "folder": str(journal),
        **ledgers.as_document(counts),
        "problems": dict(problems),
        "processes": processes,
    }


def problems_of(journal: Path) -> dict[str, str]:
    """Return for each destination that takes nothing at the moment why, as its newest stream has it."""
    return {
        name: states[stream].problem
        for name, states in cursors.read_all(journal).items()
        for stream in sorted(states)
        if states[stream].problem
    }


def verdict(counts: Counts, problems: Mapping[str, str], journal: Path) -> Iterator[str]:
    """Say in sentences whether anything was lost, is behind or is still under way."""
    lost = sum(counts.dropped.values())
    if lost:
        reasons = ", ".join(f"{reason} {number:,}" for reason, number in sorted(counts.dropped.items()))
        remedies = "".join(f"; {remedy}" for reason, remedy in _REMEDIES.items() if reason in counts.dropped)
        yield f"{lost:,} of {counts.started:,} spans were lost ({reasons}){remedies}."
    behind = {name: fates["pending"] for name, fates in sorted(counts.destinations.items()) if fates["pending"]}
    for name, number in behind.items():
        why = f" ({problems[name]})" if name in problems else ""
        yield f"{name} is behind by {_spans_of(number)}{why}; `spanwise export --all --to {name}` sends them."
    refused = {name: fates["set_aside"] for name, fates in sorted(counts.destinations.items()) if fates["set_aside"]}
    for name, number in refused.items():
        place, again = journal / set_aside.FOLDER / name, f"`spanwise export FILE --to {name}` sends them again"
        yield f"{name} refused {_spans_of(number)}, kept in {place}: {again}."
    expired = {name: fates["expired"] for name, fates in sorted(counts.destinations.items()) if fates.get("expired")}
    for name, number in expired.items():
        yield f"{_spans_of(number)} had been deleted before {name} took them (journal_size, journal_age)."
    if not lost and not behind and not refused and not any(expired.values()):
        yield "Nothing was lost" + (", and every destination has everything." if counts.destinations else ".")
    waiting = counts.open + counts.buffered
    if waiting:
        yield f"{_spans_of(waiting)} not written yet: a process is still recording."


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
