"""Requests to a server: each is a run of its own, `GET /orders`, and what is streamed back belongs to it.

The server is hooked and not the framework, so any application that uvicorn or gunicorn serves is recorded. A request
below which nothing is recorded is none, unless it fails: health checks are no runs. Where the framework or an
instrumentation records the request, its span is the request's.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.context import Context
from opentelemetry.trace import SpanKind

from spanwise import conventions as c
from spanwise.helpers.lazy import Lazy
from spanwise.helpers.propagation import extract
from spanwise.integrations.patching import replace
from spanwise.otel.context import attach, current, detach
from spanwise.process.contained import contained
from spanwise.recording.lazy_span import in_request, outside
from spanwise.recording.telemetry import own_tracer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, MutableMapping

_READING: Final = contained("reading a request")
_FAILED: Final = 500
_NOT_FOUND: Final = 404


def add_to_uvicorn() -> Callable[[], None]:
    """Record the requests of every uvicorn server that starts from now on."""
    from uvicorn.server import Server  # noqa: PLC0415 - it is loaded

    def startup(before: Callable[..., Any]) -> Callable[..., Any]:
        def start(server: Any, *args: Any, **options: Any) -> Any:
            if not isinstance(server.config.loaded_app, AsgiRequests):
                server.config.loaded_app = AsgiRequests(server.config.loaded_app)
            return before(server, *args, **options)

        return start

    return replace(Server, "startup", startup)


def add_to_gunicorn() -> Callable[[], None]:
    """Record the requests of gunicorn's own workers; those of other servers' workers are recorded there."""
    worker_class: Any = import_module("gunicorn.workers.base").Worker  # it has no types

    def load_wsgi(before: Callable[..., Any]) -> Callable[..., Any]:
        def load(worker: Any) -> None:
            before(worker)
            if hasattr(worker, "handle_request"):
                worker.wsgi = WsgiRequests(worker.wsgi)

        return load

    return replace(worker_class, "load_wsgi", load_wsgi)


class Request(Lazy):
    """The span of a request: `GET /orders`; recorded if there is something below it, or if it fails.

    Args:
        method: of the request, such as `GET`.
        path: of its address, without the query.
        scheme: `http` or `https`.
    """

    def __init__(self, method: str, path: str, scheme: str) -> None:
        about = {c.HTTP_REQUEST_METHOD: method, c.URL_PATH: path, c.URL_SCHEME: scheme}
        super().__init__(method, kind=SpanKind.SERVER, attributes=about)
        self.route = ""
        """Form of the paths that the handler takes, such as `/orders/{id}`; empty where the framework does not say."""
        self._path = path
        self._status = 0

    def answered(self, status: int) -> None:
        """Note the status code of the answer."""
        self._status = status

    def end(self, error: BaseException | None = None) -> None:
        """End it."""
        if error is None and self._status >= _FAILED:
            self.fail(str(self._status))
        if (error is not None or self._status >= _FAILED) and not self.lazy_span.was_left:
            self.lazy_span.announce()
        super().end(error)

    def _before_end(self) -> None:
        route = self.route or (self._path if self._status != _NOT_FOUND else "")
        self.span.update_name(c.span_name(self._name, route))
        if self.route:
            self.set(c.HTTP_ROUTE, self.route)
        if self._status:
            self.set(c.HTTP_RESPONSE_STATUS_CODE, self._status)


class AsgiRequests:
    """An ASGI application with a span around each request.

    Args:
        app: the application.
    """

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self.app = app

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        """Serve a request; a WebSocket is one run, too, and the life of the application is none."""
        if scope["type"] not in {"http", "websocket"} or own_tracer() is None:
            await self.app(scope, receive, send)
            return
        request = Request(scope.get("method", "WEBSOCKET"), scope["path"], scope.get("scheme", "http"))

        async def answer(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                request.answered(message["status"])
            await send(message)

        token = attach(_taken_up({name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}))
        try:
            with request:
                served = in_request.set(request.lazy_span)
                try:
                    await self.app(scope, receive, answer)
                finally:
                    in_request.reset(served)
                    request.route = _route_of(scope)
        finally:
            detach(token)


class WsgiRequests:
    """A WSGI application with a span around each request.

    Args:
        app: the application.
    """

    def __init__(self, app: Callable[..., Iterable[bytes]]) -> None:
        self.app = app

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Serve a request; its span ends when the answer has been read."""
        if own_tracer() is None:
            return self.app(environ, start_response)
        request = Request(
            environ.get("REQUEST_METHOD", "HTTP"), environ.get("PATH_INFO", ""), environ.get("wsgi.url_scheme", "http")
        )
        headers = {
            key.removeprefix("HTTP_").replace("_", "-"): value for key, value in environ.items() if key[:5] == "HTTP_"
        }

        def answer(status: str, *args: Any, **options: Any) -> Any:
            with _READING:
                request.answered(int(status[:3]))
            return start_response(status, *args, **options)

        context = request.inside(_taken_up(headers))
        token, served = attach(context), in_request.set(request.lazy_span)
        try:
            body: Iterable[bytes] = self.app(environ, answer)
        except BaseException as error:
            request.end(error)
            raise
        finally:
            in_request.reset(served)
            detach(token)
        is_file: bool = isinstance(body, environ.get("wsgi.file_wrapper", ()))
        if is_file:
            request.end()  # the server sends the file itself
            return body
        return _Body(body, request, context)


class _Body:
    """The answer of a WSGI application as it is read; its code runs in the request's context."""

    def __init__(self, body: Iterable[bytes], request: Request, context: Any) -> None:
        self._body = body
        self._request = request
        self._context = context

    def __iter__(self) -> Iterator[bytes]:
        chunks = self._run(iter, self._body)
        end = object()
        while (chunk := self._run(next, chunks, end)) is not end:
            yield chunk

    def close(self) -> None:
        """End the request."""
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                self._run(close)
        finally:
            self._request.end()

    def _run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        token = attach(self._context)
        try:
            return function(*arguments)
        except BaseException as error:
            self._request.end(error)
            raise
        finally:
            detach(token)


def _taken_up(headers: Mapping[str, str]) -> Context:
    """Return the context of a request: it continues the trace that its headers carry, else it begins one."""
    return Context({**outside(current()), **extract(headers).context})


def _route_of(scope: Mapping[str, Any]) -> str:
    """Return the form of a request's path, where the framework leaves it in the scope as Starlette and FastAPI do."""
    route = getattr(scope.get("route"), "path", "")
    return route if isinstance(route, str) else ""
