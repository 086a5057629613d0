"""The stack's ports: one table for configuration files, environment variables and health checks.

Each has a default that people know and a `SPANWISE_STACK_..._PORT` variable, so that a second stack, or a test, takes
others without another configuration file.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from spanwise.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LOOPBACK: Final = "127.0.0.1"
_HIGHEST: Final = 65535


@dataclass(frozen=True, slots=True)
class Ports:
    """Every port of a stack, all on the loopback address."""

    otlp_grpc: int = 4317
    otlp_http: int = 4318
    collector_health: int = 13133
    collector_metrics: int = 9464
    collector_telemetry: int = 8888
    jaeger_otlp: int = 14317
    jaeger_ui: int = 16686
    jaeger_grpc: int = 16685
    jaeger_health: int = 13134
    prometheus: int = 9090
    alertmanager: int = 9093
    webhook: int = 9095
    grafana: int = 3000
    """Compose only."""
    process_metrics: int = 9470
    """Not the stack's own: where Prometheus looks for the program that is being watched."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Ports:
        """Return the defaults with what `environment` (default: the process's) sets; raises `InputError`."""
        given = os.environ if environment is None else environment
        chosen = {
            field.name: _port(variable(field.name), given[variable(field.name)])
            for field in dataclasses.fields(cls)
            if given.get(variable(field.name))
        }
        return dataclasses.replace(cls(), **chosen)

    @classmethod
    def free(cls) -> Ports:
        """Return ports that were free just now."""
        names = [field.name for field in dataclasses.fields(cls)]
        with contextlib.ExitStack() as stack:
            sockets = [stack.enter_context(socket.socket()) for _ in names]
            for entry in sockets:
                entry.bind((LOOPBACK, 0))
            return cls(**{name: entry.getsockname()[1] for name, entry in zip(names, sockets, strict=True)})

    def environment(self) -> dict[str, str]:
        """Return the variables that make the configuration files use these ports."""
        return {variable(name): str(port) for name, port in self}

    def __iter__(self) -> Iterator[tuple[str, int]]:
        for field in dataclasses.fields(self):
            yield field.name, getattr(self, field.name)


def variable(name: str) -> str:
    """Return the environment variable of the port `name`."""
    return f"SPANWISE_STACK_{name.upper()}_PORT"


def _port(name: str, text: str) -> int:
    if text.isascii() and text.isdigit() and 0 < int(text) <= _HIGHEST:
        return int(text)
    raise InputError(f"{name}={text!r}: not a port; give a number from 1 to {_HIGHEST}")


def taken(port: int) -> bool:
    """Return whether something listens on `port` of the loopback address (or on all addresses)."""
    with socket.socket() as probe:
        # As servers do: a port that only lingers after its last connection counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return True
    return False
