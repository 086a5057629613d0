"""HTTP to an ASGI application without a network, streaming as it streams: for runs on a virtual clock.

httpx2's own ASGI transport hands a response over when it is whole; here each body part is handed on when it is sent,
so that times to first chunk are right, and leaving a stream tells the application so.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx2

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


class _Exchange:
    """One request to the application, and its answer as it comes."""

    def __init__(self, app: Any, scope: dict[str, Any], body: bytes) -> None:
        self._body: bytes | None = body
        self._parts: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._started: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._left = asyncio.Event()
        self._task = asyncio.create_task(self._run(app, scope))

    async def _run(self, app: Any, scope: dict[str, Any]) -> None:
        try:
            await app(scope, self._receive, self._send)
        finally:
            if not self._started.done():
                self._started.set_exception(httpx2.ReadError("the connection closed before an answer"))
            self._parts.put_nowait(None)

    async def _receive(self) -> dict[str, Any]:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self._started.set_result(message)
        elif message["type"] == "http.response.body" and message.get("body"):
            self._parts.put_nowait(message["body"])

    async def head(self) -> dict[str, Any]:
        return await asyncio.shield(self._started)

    async def body(self) -> AsyncGenerator[bytes]:
        while (part := await self._parts.get()) is not None:
            yield part

    async def close(self) -> None:
        self._left.set()
        if not self._task.done():
            self._task.cancel()
        await asyncio.wait([self._task])


class _Body(httpx2.AsyncByteStream):
    def __init__(self, exchange: _Exchange) -> None:
        self._exchange = exchange

    async def __aiter__(self) -> AsyncGenerator[bytes]:
        async for part in self._exchange.body():
            yield part

    async def aclose(self) -> None:
        await self._exchange.close()


class InProcessTransport(httpx2.AsyncBaseTransport):
    """Sends requests to `app` on the running loop."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._connections = 0

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer one request."""
        body = await request.aread()
        self._connections += 1
        exchange = _Exchange(self._app, self._scope(request), body)
        try:
            head = await exchange.head()
        except BaseException:
            await exchange.close()
            raise
        return httpx2.Response(head["status"], headers=head["headers"], stream=_Body(exchange))

    def _scope(self, request: httpx2.Request) -> dict[str, Any]:
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
            "client": ("in-process", self._connections),
            "server": (request.url.host, request.url.port),
            "root_path": "",
        }
