"""The state of a running stack: one file, written completely or not at all."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from spanwise.errors import InputError
from spanwise_cli.stack import processes
from spanwise_cli.stack.processes import Identity

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_SCHEMA: Final = "spanwise.stack.state/1"

StackKind = Literal["processes", "compose"]


@dataclass(frozen=True, slots=True)
class Member:
    """One server of a stack."""

    name: str
    address: str
    health: str
    ui: str | None
    """Its web page; `None` where there is none, as in servers built from modules."""
    process: Identity | None
    """`None` in a container."""

    def alive(self) -> bool:
        """Return whether its process is still the one that was started; a container counts as alive."""
        return self.process is None or processes.alive(self.process)


@dataclass(frozen=True, slots=True)
class State:
    """A stack that was started."""

    kind: StackKind
    members: tuple[Member, ...]

    def member(self, name: str) -> Member | None:
        """Return the server called `name`, if the stack has it."""
        return next((member for member in self.members if member.name == name), None)

    def identities(self) -> list[Identity]:
        """Return the processes of the stack."""
        return [member.process for member in self.members if member.process is not None]


def write(folder: Path, state: State) -> None:
    """Remember `state` in `folder`."""
    document = {"schema": _SCHEMA, "kind": state.kind, "servers": [_entry(member) for member in state.members]}
    scratch = folder / "state.json.new"
    scratch.write_text(json.dumps(document, indent=2), encoding="utf-8")
    scratch.replace(folder / "state.json")


def read(folder: Path) -> State | None:
    """Return what `folder` remembers; raises `InputError` for a file of another version or none of ours."""
    path = folder / "state.json"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["schema"] != _SCHEMA:
            raise InputError(
                f"{path}: written by another version ({document['schema']}); use that one to end the stack"
            )
        return State(document["kind"], tuple(_member(entry) for entry in document["servers"]))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not a stack's state ({error}); end the servers by hand and delete it") from None


def forget(folder: Path) -> None:
    """Remove what `folder` remembers."""
    (folder / "state.json").unlink(missing_ok=True)


def alerts(path: Path) -> Sequence[dict[str, Any]]:
    """Return the alerts of every payload in `path`, oldest first; none when the file is missing."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]  # a last line without its end is still being written
    payloads = [_payload(line, f"{path}:{number}") for number, line in enumerate(lines, start=1) if line.strip()]
    return [alert for payload in payloads for alert in payload.get("alerts", [])]


def _payload(line: str, place: str) -> dict[str, Any]:
    try:
        payload = json.loads(line)
    except ValueError:
        payload = None
    if not isinstance(payload, dict):
        raise InputError(f"{place}: not a delivered alert; remove the line, or the file to forget all")
    return cast("dict[str, Any]", payload)


def _entry(member: Member) -> dict[str, Any]:
    process = member.process
    identity = None if process is None else {"pid": process.pid, "started": process.started}
    return {
        "name": member.name, "address": member.address, "health": member.health, "ui": member.ui, "process": identity,
    }  # fmt: skip


def _member(entry: dict[str, Any]) -> Member:
    process = entry["process"]
    identity = None if process is None else Identity(int(process["pid"]), str(process["started"]))
    return Member(entry["name"], entry["address"], entry["health"], entry["ui"], identity)
