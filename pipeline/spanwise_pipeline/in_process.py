"""HTTP to an ASGI application without a network, streaming as it streams: for runs on a virtual clock.

httpx2's own ASGI transport hands a response over when it is whole; here each body part is handed on when it is sent,
so that times to first chunk are right, and leaving a stream tells the application so. An application that ends or
closes the connection before its answer is whole is a transport error, as on a socket. Timeouts are the caller's.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import httpx2

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

CLOSE: Final = "spanwise.close"
"""Scope extension, as the simulated provider's server has it: a function that closes the connection."""
CONNECTION: Final = "spanwise.connection"
"""Scope extension, as the simulated provider's server has it: a dictionary that lives as long as the connection."""
_UNANSWERED: Final = "the connection was closed before an answer"
_BROKEN_OFF: Final = "the connection was closed before the whole answer"


class _Exchange:
    """One request to the application, and its answer as it comes."""

    def __init__(self, app: Any, scope: dict[str, Any], body: bytes) -> None:
        self._body: bytes | None = body
        self._parts: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._started: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._left = asyncio.Event()
        self._whole = False
        self._closed = False
        self._fault: Exception | None = None
        scope["extensions"][CLOSE] = self._hang_up
        self._task = asyncio.create_task(self._run(app, scope))

    async def _run(self, app: Any, scope: dict[str, Any]) -> None:
        try:
            await app(scope, self._receive, self._send)
        except Exception as fault:  # noqa: BLE001 - whatever fails in an application, a client sees its connection close
            self._fault = fault
        finally:
            self._hang_up()

    def _hang_up(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._left.set()
        self._parts.put_nowait(None)
        if not self._started.done():
            self._started.cancel()

    async def _receive(self) -> dict[str, Any]:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        if self._closed:
            return
        if message["type"] == "http.response.start":
            self._started.set_result(message)
            return
        if message.get("body"):
            self._parts.put_nowait(message["body"])
        if not message.get("more_body", False):
            self._whole = True
            self._parts.put_nowait(None)

    async def head(self) -> dict[str, Any]:
        await asyncio.wait([self._started])
        if self._started.cancelled():
            raise httpx2.RemoteProtocolError(_UNANSWERED) from self._fault
        return self._started.result()

    async def body(self) -> AsyncGenerator[bytes]:
        while (part := await self._parts.get()) is not None:
            yield part
        if not self._whole:
            raise httpx2.RemoteProtocolError(_BROKEN_OFF) from self._fault

    @property
    def whole(self) -> bool:
        """Whether the application sent its whole answer, which leaves the connection fit for another request."""
        return self._whole

    async def close(self) -> None:
        self._left.set()
        if not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])


class _Body(httpx2.AsyncByteStream):
    def __init__(self, exchange: _Exchange, release: Callable[[], None]) -> None:
        self._exchange = exchange
        self._release = release

    async def __aiter__(self) -> AsyncGenerator[bytes]:
        async for part in self._exchange.body():
            yield part

    async def aclose(self) -> None:
        whole = self._exchange.whole
        await self._exchange.close()
        if whole:
            self._release()


class InProcessTransport(httpx2.AsyncBaseTransport):
    """Sends requests to `app` on the running loop; idle connections are used again where they are `pooled`."""

    def __init__(self, app: Any, *, pooled: bool = True) -> None:
        self._app = app
        self._pooled = pooled
        self._idle: list[dict[str, Any]] = []
        self._connections = 0

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer one request.

        Raises:
            httpx2.RemoteProtocolError: the application ended or hung up before its answer was whole.
        """
        body = await request.aread()
        connection = self._idle.pop() if self._idle else await self._connect(request)
        exchange = _Exchange(self._app, self._scope(request, connection), body)
        try:
            head = await exchange.head()
        except BaseException:
            await exchange.close()
            raise
        stream = _Body(exchange, lambda: self._release(connection))
        return httpx2.Response(head["status"], headers=head["headers"], stream=stream)

    async def _connect(self, request: httpx2.Request) -> dict[str, Any]:
        self._connections += 1
        if (told := request.extensions.get("trace")) is not None:
            await told("connection.connect_tcp.started", {})
            await told("connection.connect_tcp.complete", {})
        return {"number": self._connections}

    def _release(self, connection: dict[str, Any]) -> None:
        if self._pooled:
            self._idle.append(connection)

    def _scope(self, request: httpx2.Request, connection: dict[str, Any]) -> dict[str, Any]:
        return {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": request.url.scheme,
            "path": request.url.path,
            "raw_path": request.url.raw_path,
            "query_string": request.url.query,
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "client": ("in-process", connection["number"]),
            "extensions": {CONNECTION: connection},
            "server": (request.url.host, request.url.port),
            "root_path": "",
        }
