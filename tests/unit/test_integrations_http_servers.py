"""Each request to a server is a run of its own, with what it streams back; health checks are none."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import context as otel_context
from opentelemetry.trace import SpanKind, get_tracer
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route
from support.asgi import request

import spanwise
from spanwise.helpers import program_run
from spanwise.integrations.http_servers import AsgiRequests, WsgiRequests
from spanwise.journal import reader

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator
    from pathlib import Path

    from starlette.requests import Request

    from spanwise.journal.reader import SpanRecord


@pytest.fixture(autouse=True)
def _recording(isolated_provider: None, tmp_path: Path) -> Iterator[None]:
    token = otel_context.attach(otel_context.get_current())
    spanwise.configure(journal_dir=tmp_path)
    program_run.begin("server.py")
    yield
    spanwise.shutdown()
    otel_context.detach(token)


@spanwise.agent("writer")
async def words() -> AsyncIterator[str]:
    for word in ("a", "b"):
        with spanwise.llm_call("m"):
            yield word


async def stream(_: Request) -> StreamingResponse:
    return StreamingResponse(words())


async def order(_: Request) -> PlainTextResponse:
    with spanwise.llm_call("m"):
        return PlainTextResponse("x")


async def desk(_: Request) -> PlainTextResponse:
    with spanwise.workflow("desk"):
        return PlainTextResponse("x")


async def health(_: Request) -> PlainTextResponse:
    return PlainTextResponse("x")


async def fail(_: Request) -> PlainTextResponse:
    raise KeyError


async def framework(_: Request) -> PlainTextResponse:
    """Do as a web framework that records its requests itself, in a context of its own."""
    token = otel_context.attach(otel_context.Context())
    with get_tracer("web").start_as_current_span("GET /framework", kind=SpanKind.SERVER), spanwise.llm_call("m"):
        pass
    otel_context.detach(token)
    return PlainTextResponse("x", 500)


APP = Starlette(
    routes=[Route(f"/{handler.__name__}", handler) for handler in (stream, order, desk, health, fail, framework)]
)


def asked(path: str, journal: Path, **headers: str) -> dict[str, SpanRecord]:
    """Return what one request is recorded as, with the name of its parent in place of the parent's id."""

    async def ask() -> None:
        await request(AsgiRequests(APP), path, method="GET", headers=headers)

    with suppress(KeyError):
        asyncio.run(ask())
    spanwise.shutdown()
    return {span.name: span for span in reader.read(journal)}


def parents(spans: dict[str, SpanRecord]) -> dict[str, str | None]:
    names = {span.span_id: span.name for span in spans.values()}
    return {span.name: names.get(span.parent_id or "", span.parent_id) for span in spans.values()}


def test_a_request_is_a_run_and_says_how_it_was_answered(tmp_path: Path) -> None:
    spans = asked("/order", tmp_path)
    assert parents(spans) == {"GET /order": None, "chat m": "GET /order"}
    assert spans["GET /order"].kind == 2
    assert dict(spans["GET /order"].attributes).items() >= {
        "http.request.method": "GET", "http.response.status_code": 200, "url.path": "/order", "url.scheme": "http",
    }.items()  # fmt: skip


def test_what_is_streamed_belongs_to_its_request(tmp_path: Path) -> None:
    assert parents(asked("/stream", tmp_path)) == {
        "GET /stream": None, "invoke_agent writer": "GET /stream", "chat m": "invoke_agent writer",
    }  # fmt: skip


def test_a_workflow_is_in_its_request(tmp_path: Path) -> None:
    assert parents(asked("/desk", tmp_path)) == {"GET /desk": None, "invoke_workflow desk": "GET /desk"}


def test_a_request_goes_on_in_the_trace_that_it_carries(tmp_path: Path) -> None:
    spans = asked("/order", tmp_path, traceparent=f"00-{'a' * 32}-{'b' * 16}-01")
    assert parents(spans) == {"GET /order": "b" * 16, "chat m": "GET /order"}


def test_a_request_with_nothing_in_it_is_no_run(tmp_path: Path) -> None:
    assert [name for name in asked("/health", tmp_path) if name.startswith("GET")] == []


def test_a_request_that_fails_is_one(tmp_path: Path) -> None:
    span = asked("/fail", tmp_path)["GET /fail"]
    assert (span.status_code, span.attributes["error.type"]) == (2, "KeyError")


def test_a_request_that_the_framework_records_is_recorded_once(tmp_path: Path) -> None:
    assert parents(asked("/framework", tmp_path)) == {"GET /framework": None, "chat m": "GET /framework"}


def wsgi(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    if environ["PATH_INFO"] == "/fail":
        raise KeyError
    start_response("200 OK", [])
    return wsgi_body()


def wsgi_body() -> Iterator[bytes]:
    with spanwise.llm_call("m"):
        pass
    yield b"a"
    yield b"b"


def read(path: str) -> bytes:
    body = WsgiRequests(wsgi)({"REQUEST_METHOD": "GET", "PATH_INFO": path}, lambda *_: None)
    try:
        return b"".join(body)
    finally:
        body.close()  # type: ignore[attr-defined]


def test_a_wsgi_application_is_recorded_up_to_the_end_of_its_answer(tmp_path: Path) -> None:
    assert read("/order") == b"ab"
    assert isinstance(otel_context.get_current(), otel_context.Context)
    spanwise.shutdown()
    assert parents({span.name: span for span in reader.read(tmp_path)}) == {"GET /order": None, "chat m": "GET /order"}


def test_a_wsgi_application_that_raises_is_recorded(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        read("/fail")
    spanwise.shutdown()
    assert {span.name: span.attributes["error.type"] for span in reader.read(tmp_path)} == {"GET /fail": "KeyError"}
