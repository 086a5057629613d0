"""`spanwise stack`: the real servers on this machine, each with its address."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from spanwise_cli.options import JsonOption, console, emit_json
from spanwise_cli.stack import control, lifecycle, state

if TYPE_CHECKING:
    from spanwise_cli.stack.state import Member, State

_SCHEMA = "spanwise.stack/1"


def register(app: typer.Typer) -> None:
    """Add the command and its verbs to `app`."""
    stack = typer.Typer(no_args_is_help=True, help="The real servers on this machine: collector, Jaeger, Prometheus, "
                        "Alertmanager.")  # fmt: skip
    stack.command()(up)
    stack.command()(down)
    stack.command()(status)
    stack.command()(alerts)
    app.add_typer(stack, name="stack")


def up(
    *,
    containers: Annotated[
        bool | None,
        typer.Option("--containers/--processes", help="Default: containers if Docker's daemon answers."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Start the servers and wait until each answers. Nothing happens if they are up.

    Example: spanwise stack up
    """
    progress = console(stderr=True)
    if progress.is_terminal:
        progress.print("starting the servers ...")
    known, fresh = control.up(control.default_settings(), containers=containers)
    if json:
        emit_json(_document(known))
        return
    how = (
        "in containers" if known.kind == "compose" else "as processes built from modules (APIs complete, no web pages)"
    )
    console().print(f"{'up' if fresh else 'already up'}, {how}")
    console().print(_table(known))


def down(*, json: JsonOption = False) -> None:
    """Stop the servers that `up` started.

    Example: spanwise stack down
    """
    known = control.down(control.default_settings())
    if json:
        emit_json(_document(None))
        return
    console().print("nothing was up" if known is None else f"ended: {', '.join(m.name for m in known.members)}")


def status(*, json: JsonOption = False) -> None:
    """Show each server, its address and whether it answers. Exit code 1: a server is down.

    Example: spanwise stack status --json
    """
    known = state.read(control.default_settings().folder)
    document = _document(known)
    if json:
        emit_json(document)
    elif known is None:
        console().print("down; start it with: spanwise stack up")
    else:
        console().print(_table(known))
    if known is None or not all(server["healthy"] for server in document["servers"]):
        raise typer.Exit(1)


def alerts(*, json: JsonOption = False) -> None:
    """Show the alerts that were delivered to the stack's webhook, oldest first.

    Example: spanwise stack alerts
    """
    delivered = [_alert(alert) for alert in state.alerts(control.default_settings().alerts)]
    if json:
        emit_json({"schema": "spanwise.stack.alerts/1", "alerts": delivered})
        return
    if not delivered:
        console().print("no alert was delivered yet")
    for alert in delivered:
        console().print(f"[bold]{alert['name']}[/bold] {alert['status']} since {alert['starts_at']}")
        for line in (alert["summary"], alert["description"], alert["link"]):
            if line:
                console().print(f"  {line}", markup=False, soft_wrap=True)


def _alert(alert: dict[str, Any]) -> dict[str, Any]:
    notes, labels = alert.get("annotations", {}), alert.get("labels", {})
    links = [notes[key] for key in ("trace_search", "dashboard", "runbook_url") if notes.get(key)]
    return {
        "name": labels.get("alertname", ""),
        "status": alert.get("status", ""),
        "starts_at": alert.get("startsAt", ""),
        "summary": notes.get("summary", ""),
        "description": notes.get("description", ""),
        "link": links[0] if links else "",
        "labels": labels,
        "annotations": notes,
    }


def _document(known: State | None) -> dict[str, Any]:
    servers = [] if known is None else [_server(member) for member in known.members]
    return {"schema": _SCHEMA, "kind": "down" if known is None else known.kind, "servers": servers}


def _server(member: Member) -> dict[str, Any]:
    return {
        "name": member.name, "address": member.address, "ui": member.ui, "healthy": _healthy(member),
        "pid": member.process.pid if member.process else None,
    }  # fmt: skip


def _healthy(member: Member) -> bool:
    return member.alive() and lifecycle.healthy(member.health)


def _table(known: State) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("server", "address", "page", "process", ""):
        table.add_column(heading, no_wrap=True)
    for member in known.members:
        pid = str(member.process.pid) if member.process else "container"
        table.add_row(member.name, member.address, member.ui or "-", pid, "up" if _healthy(member) else "down")
    return table
