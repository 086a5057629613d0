"""Starting servers and waiting until they answer; a start that fails leaves nothing behind.

It watches both the health address and the process. So a server that dies is reported at once with its last log line,
and not after a timeout.
"""

from __future__ import annotations

import time
import urllib.request
from typing import TYPE_CHECKING, Final

from spanwise.errors import UnavailableError
from spanwise_cli.stack import processes
from spanwise_cli.stack.ports import Ports, taken, variable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from spanwise_cli.stack.plan import Server, Settings
    from spanwise_cli.stack.processes import Identity

_READY_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.1
_PROBE_SECONDS: Final = 2.0


def start(servers: Sequence[Server], settings: Settings) -> dict[str, Identity]:
    """Start `servers` and return who they are once all are ready.

    Raises:
        UnavailableError: A port is in use (nothing was started), or a server did not become ready (all were ended).
    """
    check_ports(servers, settings.ports)
    started: dict[str, Identity] = {}
    try:
        for server in servers:
            log = _log(settings, server)
            started[server.name] = processes.start(server.command, server.environment, log)
        deadline = time.monotonic() + _READY_SECONDS
        for server in servers:
            _wait(server, started[server.name], _log(settings, server), deadline)
    except BaseException:  # also Ctrl-C while waiting: no server may be left that nobody remembers
        processes.end(list(started.values()))
        raise
    return started


def check_ports(servers: Sequence[Server], ports: Ports) -> None:
    """Raise `UnavailableError` that names server, port and remedy when a port of `servers` is in use."""
    names = {port: name for name, port in ports}
    for server in servers:
        for port in server.ports:
            if taken(port):
                name = variable(names[port])
                raise UnavailableError(
                    f"{server.name} needs port {port} and something listens there already; end that, or set {name} to "
                    "another port"
                )


def wait_healthy(name: str, url: str) -> None:
    """Return once `url` answers 200; raises `UnavailableError` after a minute."""
    deadline = time.monotonic() + _READY_SECONDS
    while not healthy(url):
        if time.monotonic() > deadline:
            raise UnavailableError(f"{name} does not answer at {url} after {_READY_SECONDS:.0f} s; see: docker logs")
        time.sleep(_POLL_SECONDS)


def healthy(url: str) -> bool:
    """Return whether `url` answers 200 within 2 s."""
    try:
        with urllib.request.urlopen(url, timeout=_PROBE_SECONDS) as answer:  # noqa: S310 - our own addresses
            return bool(answer.status == 200)  # noqa: PLR2004 - HTTP's "OK"
    except (OSError, ValueError):
        return False


def _log(settings: Settings, server: Server) -> Path:
    return settings.folder / "logs" / f"{server.name}.log"


def _wait(server: Server, process: Identity, log: Path, deadline: float) -> None:
    while not healthy(server.health):
        if not processes.alive(process):
            raise UnavailableError(f"{server.name} ended while starting: {_last_words(log)} (log: {log})")
        if time.monotonic() > deadline:
            raise UnavailableError(
                f"{server.name} does not answer at {server.health} after {_READY_SECONDS:.0f} s: {_last_words(log)} "
                f"(log: {log})"
            )
        time.sleep(_POLL_SECONDS)


def _last_words(log: Path) -> str:
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return lines[-1].strip()[:300] if lines else "it said nothing"
