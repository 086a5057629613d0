"""The stack as a whole: start it, stop it, and say what runs. Commands and the demo use only this module."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from spanwise.config.folders import make_folder
from spanwise.errors import InputError
from spanwise_cli.stack import compose, lifecycle, processes, state
from spanwise_cli.stack.cache import exclusive, state_folder
from spanwise_cli.stack.plan import PROCESS_JOB, Settings, plan
from spanwise_cli.stack.ports import LOOPBACK, Ports
from spanwise_cli.stack.state import Member, StackKind, State

if TYPE_CHECKING:
    from pathlib import Path

_JOB_VARIABLE: Final = "SPANWISE_STACK_PROCESS_JOB"
# What needs quoting in neither YAML nor the start line of the container.
_JOB_NAME: Final = re.compile(r"[\w./-]+", re.ASCII)
_WITH_PAGE: Final = ("jaeger", "prometheus", "alertmanager", "grafana")


@dataclass(frozen=True, slots=True)
class Running:
    """The addresses of a stack that is up."""

    otlp_http: str
    """Base address for OTLP over HTTP; exporters add `/v1/traces`."""
    jaeger_api: str
    """Base address of Jaeger's API, `/api/v3` included."""
    jaeger_ui: str | None
    """Base address of Jaeger's pages; `None` where Jaeger was built without them."""
    prometheus: str
    alertmanager: str
    webhook: str | None
    """Where alerts are delivered on this machine; `None` when they go elsewhere."""
    kind: StackKind


def default_settings() -> Settings:
    """Return the settings of this user's one stack; raises `InputError` for a port or a job that is none."""
    return Settings(folder=state_folder(), ports=Ports.from_environment(), process_job=_process_job())


def _process_job() -> str:
    name = os.environ.get(_JOB_VARIABLE) or PROCESS_JOB
    if not _JOB_NAME.fullmatch(name):
        raise InputError(f"{_JOB_VARIABLE}={name!r}: not a job; give a service's name of letters, digits and ._/-")
    return name


def up(settings: Settings, *, containers: bool | None = None) -> tuple[State, bool]:
    """Bring the stack up and return it, and whether this call started it.

    `containers` says which kind; `None` takes containers where Docker's daemon answers.

    Raises:
        UnavailableError: A server is missing, a port is taken or a server did not become ready; then nothing runs.
    """
    with exclusive(make_folder(settings.folder)):
        known = state.read(settings.folder)
        if known is not None and _whole(known):
            return known, False
        if known is not None:
            _end(known, settings)
        use_containers = compose.available() if containers is None else containers
        current = _start_containers(settings) if use_containers else _start_processes(settings)
        state.write(settings.folder, current)
        return current, True


def down(settings: Settings) -> State | None:
    """End the stack and return what it was, `None` when none was up."""
    with exclusive(make_folder(settings.folder)):
        known = state.read(settings.folder)
        if known is not None:
            _end(known, settings)
        return known


def running(folder: Path | None = None) -> Running | None:
    """Return the addresses of the stack that is up (`folder`: its state folder; default this user's), else `None`."""
    known = state.read(folder or state_folder())
    if known is None or not _whole(known):
        return None
    by_name = {member.name: member for member in known.members}
    jaeger = by_name["jaeger"]
    return Running(
        otlp_http=by_name["collector"].address,
        jaeger_api=f"{jaeger.address}/api/v3",
        jaeger_ui=jaeger.ui,
        prometheus=by_name["prometheus"].address,
        alertmanager=by_name["alertmanager"].address,
        webhook=by_name["webhook"].address if "webhook" in by_name else None,
        kind=known.kind,
    )


def _whole(known: State) -> bool:
    if known.kind == "processes":
        return all(member.alive() for member in known.members)
    return all(lifecycle.healthy(member.health) for member in known.members)


def _start_processes(settings: Settings) -> State:
    servers = plan(settings)
    started = lifecycle.start(servers, settings)
    members = tuple(Member(s.name, s.address, s.health, None, started[s.name]) for s in servers)
    return State("processes", members)


def _start_containers(settings: Settings) -> State:
    compose.up(settings)
    here, ports = f"http://{LOOPBACK}", settings.ports
    addresses = {
        "jaeger": (f"{here}:{ports.jaeger_ui}", f"{here}:{ports.jaeger_health}/status"),
        "collector": (f"{here}:{ports.otlp_http}", f"{here}:{ports.collector_health}/"),
        "prometheus": (f"{here}:{ports.prometheus}", f"{here}:{ports.prometheus}/-/ready"),
        "alertmanager": (f"{here}:{ports.alertmanager}", f"{here}:{ports.alertmanager}/-/ready"),
        "webhook": (f"{here}:{ports.webhook}/alert", f"{here}:{ports.webhook}/"),
        "grafana": (f"{here}:{ports.grafana}", f"{here}:{ports.grafana}/api/health"),
    }
    for name, (_, health) in addresses.items():  # two of the images have no shell for a health check of their own
        lifecycle.wait_healthy(name, health)
    members = tuple(
        Member(name, address, health, address if name in _WITH_PAGE else None, None)
        for name, (address, health) in addresses.items()
    )
    return State("compose", members)


def _end(known: State, settings: Settings) -> None:
    if known.kind == "compose":
        compose.down(settings)
    processes.end(known.identities())
    state.forget(settings.folder)
