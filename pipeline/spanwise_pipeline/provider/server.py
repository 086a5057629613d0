"""Serving the application with uvicorn, silently: whoever starts it says where it listens.

The socket is bound first, so that a taken port is an OSError of the caller's and port 0 becomes a known one.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import signal
import socket
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from spanwise_pipeline.provider.app import create_app
from spanwise_pipeline.provider.errors import ApiError
from spanwise_pipeline.provider.exchange import CLOSE, CONNECTION, send_json

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from starlette.types import ASGIApp, Receive, Scope, Send

    from spanwise_pipeline.provider.profile import Profile

_KEEP_ALIVE_S: Final = 300
"""Longer than a client's pool keeps a connection: a server that closes first makes a reused connection fail."""
_GRACE_S: Final = 1


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket; raises OSError when the address is taken or unknown."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named, because asyncio turns off Nagle's 40 ms for no other protocol number, not even for TCP's default of 0.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen(2048)
    except OSError:
        bound.close()
        raise
    return bound


def base_url(bound: socket.socket) -> str:
    """Return the address that OpenAI's clients take as `base_url`."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}/v1" if ":" in host else f"http://{host}:{port}/v1"


def serve(
    profile: Profile,
    bound: socket.socket,
    *,
    speed: float = 1.0,
    on_ready: Callable[[Callable[[], None]], None] = lambda _: None,
) -> signal.Signals | None:
    """Serve on `bound` until SIGINT or SIGTERM and return which it was.

    `on_ready` is called on the server's loop once requests are answered, with a function that ends the server; that
    function may be called from any thread.
    """
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    app: ASGIApp = create_app(profile, speed=speed)
    if ipaddress.ip_address(bound.getsockname()[0]).is_loopback:
        app = _Guarded(app)
    config = uvicorn.Config(
        _Closable(app),
        http=_Protocol,
        loop="asyncio",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_GRACE_S,
    )
    server = _Server(config, on_ready)
    with asyncio.Runner() as runner:
        runner.run(server.serve(sockets=[bound]))
    return server.stopped_by


class _Server(uvicorn.Server):
    """uvicorn's server, told when it is ready and ending without raising its signal again."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[Callable[[], None]], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready
        self.stopped_by: signal.Signals | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        loop = asyncio.get_running_loop()

        def stop() -> None:
            loop.call_soon_threadsafe(self._stop, None)

        self._on_ready(stop)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop, number)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    def _stop(self, number: signal.Signals | None) -> None:
        self.stopped_by = self.stopped_by or number
        self.should_exit = True


class _Protocol(H11Protocol):
    """uvicorn's protocol, which also tells the application how to close the connection under it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # A copy: uvicorn hands the same dictionary to every connection.
        self.app_state = {**self.app_state, "close": self._close, "connection": dict[str, bool]()}

    def _close(self) -> None:
        self.transport.close()


class _Guarded:
    """Refuses what a web page elsewhere may send through a browser on this machine.

    A server on a loopback address is for programs here: a foreign `Host` comes from a name that was pointed at this
    machine, and a foreign `Origin` from a page.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        host = headers.get(b"host", b"").decode("latin-1")
        origin = headers.get(b"origin", b"").decode("latin-1")
        for name, value in (("Host", f"//{host}"), ("Origin", origin)):
            if value not in ("", "//") and not _is_local(value):
                error = ApiError(403, f"This {name} is not served: {value.removeprefix('//')}.", code="forbidden_host")
                await send_json(send, error.body(), status=error.status, headers={})
                return
        await self._app(scope, receive, send)


def _is_local(address: str) -> bool:
    try:
        host = urlsplit(address).hostname or ""
        return host == "localhost" or host.endswith(".localhost") or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _Closable:
    """Moves what the protocol says of the connection from its state to the scope's extensions."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        state = scope["state"]
        scope["extensions"] = {CLOSE: state["close"], CONNECTION: state["connection"]}
        await self._app(scope, receive, send)
