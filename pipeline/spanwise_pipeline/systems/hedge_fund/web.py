"""The fund as a small web service: start a run, watch its agents over a WebSocket, see two presets beside each other.

    POST /api/run              {"preset": "published", "tickers": ["AAPL", "MSFT"], "as_of": "2013-03-01"}
    GET  /api/runs/ID          all that happened so far
    WS   /api/runs/ID/events   the same as it happens; ?first=N leaves out what a client that comes back has

A preset has one fund, with its caches and connections, for all requests. A run goes on when its watchers leave.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocketDisconnect

from spanwise.errors import InputError, nearest
from spanwise_pipeline.systems.hedge_fund.fund import Fund
from spanwise_pipeline.systems.hedge_fund.runs import BusyError, Runs, publish
from spanwise_pipeline.systems.hedge_fund.window import Request, prepare

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping
    from contextlib import AbstractAsyncContextManager

    from starlette.requests import Request as HttpRequest
    from starlette.websockets import WebSocket

    from spanwise_pipeline import Clock, SystemContext
    from spanwise_pipeline.systems.hedge_fund.flags import HedgeFundFlags

    OpenContext = Callable[[HedgeFundFlags, Callable[[str, str], None]], AbstractAsyncContextManager[SystemContext]]
    """(flags, where agents' texts go) to a context that is open as long as the service."""

_PAGES: Final = {"/": ("page.html", "text/html"), "/page.js": ("page.js", "text/javascript")}
_POLICY: Final = "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; connect-src 'self'"
_LARGEST_BODY: Final = 10_000
_NO_SUCH_RUN: Final = 4404
_FOREIGN: Final = 4403


class Service:
    """The routes, and what they share.

    Args:
        presets: what a run can be asked for.
        open_context: opens what a fund with some flags needs.
        clock: system time.
    """

    def __init__(self, presets: Mapping[str, HedgeFundFlags], open_context: OpenContext, clock: Clock) -> None:
        self._presets = presets
        self._open_context = open_context
        self._funds: dict[str, Fund] = {}
        self._opening = asyncio.Lock()
        self._open = AsyncExitStack()
        self._runs = Runs(clock)

    async def begin(self, http: HttpRequest) -> Response:
        """Start a run."""
        if not _is_of_here(http.headers.get("origin"), http.headers.get("host")):
            return JSONResponse({"error": "this page is not of this service"}, 403)
        try:
            body = await _json(http)
            preset = self._preset(body)
            run = self._runs.begin(await self._fund(preset), preset, _request(body))
        except InputError as problem:
            return JSONResponse({"error": str(problem)}, 400)
        except BusyError as problem:
            return JSONResponse({"error": str(problem)}, 503, {"retry-after": "5"})
        return JSONResponse({"id": run.id, "preset": run.preset, "events": f"/api/runs/{run.id}/events"}, 202)

    def _preset(self, body: Mapping[str, Any]) -> str:
        preset = str(body.get("preset", next(iter(self._presets))))
        if preset not in self._presets:
            raise InputError(f"preset {preset!r} is unknown; {nearest(preset, self._presets)}")
        return preset

    async def _fund(self, preset: str) -> Fund:
        async with self._opening:
            if preset not in self._funds:
                flags = self._presets[preset]
                context = await self._open.enter_async_context(self._open_context(flags, publish))
                self._funds[preset] = Fund(context, flags)
        return self._funds[preset]

    async def show(self, http: HttpRequest) -> Response:
        """Tell all that happened in a run so far."""
        run = self._runs.get(http.path_params["id"])
        if run is None:
            return JSONResponse({"error": "no such run; it may have been forgotten, start another one"}, 404)
        return JSONResponse({"id": run.id, "preset": run.preset, "ended": run.ended, "events": run.events})

    async def watch(self, socket: WebSocket) -> None:
        """Tell what happens in a run as it happens, and end with it."""
        run = self._runs.get(socket.path_params["id"])
        foreign = not _is_of_here(socket.headers.get("origin"), socket.headers.get("host"))
        await socket.accept()
        if run is None or foreign:
            await socket.close(_FOREIGN if foreign else _NO_SUCH_RUN)
            return
        first = socket.query_params.get("first", "0")
        with suppress(WebSocketDisconnect):  # the watcher left; the run goes on
            async for event in run.follow(int(first) if first.isdecimal() else 0):
                await socket.send_json(event)
            await socket.close()

    async def presets(self, _: HttpRequest) -> Response:
        """List what a run can be asked for."""
        return JSONResponse({"presets": list(self._presets)})

    async def close(self) -> None:
        """Stop all runs, and close what the funds have open."""
        await self._runs.close()
        for fund in self._funds.values():
            await fund.close()
        await self._open.aclose()


def _request(body: Mapping[str, Any]) -> Request:
    given, as_of = body.get("tickers", ["AAPL", "MSFT"]), body.get("as_of", "2013-03-01")
    listed = cast("list[object]", given) if isinstance(given, list) else []
    tickers = tuple(ticker for ticker in listed if isinstance(ticker, str))
    if len(tickers) != len(listed) or not 1 <= len(set(tickers)) == len(tickers) <= 2:  # noqa: PLR2004 - what a prompt has room for
        raise InputError('tickers are one or two different shares, such as ["AAPL", "MSFT"]')
    if not isinstance(as_of, str):
        raise InputError('as_of is a day, such as "2013-03-01"')
    request = Request(tickers, as_of)
    try:
        prepare(request)
    except ValueError as problem:
        raise InputError(str(problem)) from None
    return request


def create_app(presets: Mapping[str, HedgeFundFlags], open_context: OpenContext, clock: Clock) -> Starlette:
    """Return the ASGI application; the arguments are those of `Service`."""
    service = Service(presets, open_context, clock)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            await service.close()

    routes = [
        Route("/api/run", service.begin, methods=["POST"]),
        Route("/api/presets", service.presets),
        Route("/api/runs/{id}", service.show),
        WebSocketRoute("/api/runs/{id}/events", service.watch),
        *(Route(path, _page(name, kind)) for path, (name, kind) in _PAGES.items()),
    ]
    return Starlette(routes=routes, lifespan=lifespan)


async def _json(http: HttpRequest) -> Mapping[str, Any]:
    parts: list[bytes] = []
    async for part in http.stream():
        parts.append(part)
        if sum(map(len, parts)) > _LARGEST_BODY:
            raise InputError(f"a request has at most {_LARGEST_BODY} bytes")
    try:
        body: Any = json.loads(b"".join(parts) or b"{}")
    except ValueError:
        raise InputError("the body is no JSON") from None
    if not isinstance(body, dict):
        raise InputError('the body is an object, such as {"preset": "published"}')
    return cast("dict[str, Any]", body)


def _page(name: str, kind: str) -> Callable[[HttpRequest], Any]:
    async def page(_: HttpRequest) -> Response:
        text = files("spanwise_pipeline.systems.hedge_fund").joinpath(name).read_text(encoding="utf-8")
        return Response(text, media_type=kind, headers={"content-security-policy": _POLICY})

    return page


def _is_of_here(origin: str | None, host: str | None) -> bool:
    """Whether a request comes from no page, or from one of this service: others must not start runs."""
    return origin is None or urlsplit(origin).netloc == host
