"""`spanwise doctor`: whether this installation, and what is configured here, works."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import typer
from rich.table import Table
from rich.text import Text

from spanwise.errors import UnavailableError
from spanwise_cli.health import examine
from spanwise_cli.options import DEFAULT_JOURNAL, JOURNAL_DIR_VARIABLE, JournalOption, JsonOption, console, emit_json

if TYPE_CHECKING:
    from spanwise_cli.health import Health

_STYLES: Final = {"ok": "green", "warning": "yellow", "failed": "red"}


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(name="doctor")(doctor)


def doctor(*, json: JsonOption = False, journal: JournalOption = DEFAULT_JOURNAL) -> None:
    """Check versions, settings, journal, disk, endpoint, clock and servers. Exit code 4: something configured fails.

    Example: spanwise doctor
    """
    elsewhere = str(journal) not in {str(DEFAULT_JOURNAL), os.environ.get(JOURNAL_DIR_VARIABLE)}
    health = examine(journal if elsewhere else None, DEFAULT_JOURNAL)
    if json:
        emit_json(_document(health))
    else:
        out = console()
        out.print(_findings(health))
        if health.settings:
            out.print()
            out.print(_settings(health))
    if health.status == "failed":
        raise typer.Exit(UnavailableError.exit_code)


def _document(health: Health) -> dict[str, Any]:
    return {
        "schema": "spanwise.doctor/1",
        "status": health.status,
        "checks": [{"check": one.check, "status": one.status, "detail": one.detail} for one in health.lines],
        "settings": [{"name": name, "value": value, "source": source} for name, value, source in health.settings],
    }


def _findings(health: Health) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    for line in health.lines:
        table.add_row(Text(line.status, style=_STYLES[line.status]), Text(line.check), Text(line.detail))
    return table


def _settings(health: Health) -> Table:
    table = Table("setting", "value", "from", box=None, pad_edge=False, header_style="dim")
    for name, value, source in health.settings:
        table.add_row(Text(name), Text("none" if value is None else str(value)), Text(source, style="dim"))
    return table
