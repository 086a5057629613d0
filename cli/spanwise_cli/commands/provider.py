"""`spanwise provider`: the simulated OpenAI-compatible provider, until Ctrl-C."""

from __future__ import annotations

import errno
import json as json_format
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from spanwise.config import strict_yaml
from spanwise.errors import InputError, UnavailableError
from spanwise_cli.options import JsonOption  # noqa: TC001 - typer resolves it

if TYPE_CHECKING:
    import socket

    from spanwise_pipeline.provider.profile import Profile

_INTERRUPTED: Final = 130


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(name="provider")(provider)


def provider(
    *,
    profile: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="YAML with latency, limits and failures.", show_default="a built-in one"),
    ] = None,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, metavar="N", help="Port; 0 takes a free one.")] = 8400,
    speed: Annotated[float, typer.Option(metavar="N", help="Divides every simulated wait.")] = 1.0,
    json: JsonOption = False,
) -> None:
    """Serve a simulated OpenAI-compatible provider, for load and failure tests of any agent at no cost.

    Point a client at the address it prints, with any API key; Ctrl-C ends it.

    Example: spanwise provider --profile slow.yaml --port 8400 --speed 20
    """
    if not 0 < speed < float("inf"):
        raise InputError(f"--speed {speed:g}: must be a number above 0; 1 is real time, 20 is twenty times faster")
    settings = _profile(profile)
    bound = _bind(host, port)
    server = _server()

    def announce(_stop: object) -> None:
        document = {
            "schema": "spanwise.provider/1",
            "base_url": server.base_url(bound),
            "profile": settings.name,
            "speed": speed,
            "pid": os.getpid(),
        }
        line = f"{document['base_url']}  (profile {settings.name}, speed {speed:g}; Ctrl-C ends it)"
        typer.echo(json_format.dumps(document) if json else line)

    if server.serve(settings, bound, speed=speed, on_ready=announce) == signal.SIGINT:
        raise typer.Exit(_INTERRUPTED)


def _server() -> Any:
    try:
        from spanwise_pipeline.provider import server  # noqa: PLC0415 - an extra, and slow to import
    except ImportError as error:
        raise UnavailableError(
            f"provider: {error.name} is not installed; run: pip install 'spanwise[pipeline]'"
        ) from None
    return server


def _profile(path: Path | None) -> Profile:
    from spanwise_pipeline.provider import profile  # noqa: PLC0415 - only this command needs it

    return strict_yaml.load(path or Path(profile.__file__).with_name("default.yaml"), profile.Profile)


def _bind(host: str, port: int) -> socket.socket:
    try:
        bound: socket.socket = _server().bind(host, port)
    except OSError as error:
        taken = error.errno in (errno.EADDRINUSE, errno.EACCES)
        remedy = (
            "choose another with --port, or --port 0 for a free one" if taken else "give an address of this machine"
        )
        raise UnavailableError(f"{host}:{port}: cannot listen there ({error.strerror or error}); {remedy}") from None
    return bound
