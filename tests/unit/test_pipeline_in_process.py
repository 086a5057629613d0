from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from spanwise.testing import run_virtual
from spanwise_pipeline.in_process import InProcessTransport
from spanwise_pipeline.provider.app import create_app
from spanwise_pipeline.provider.profile import Failures, Model, Profile

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

CHAT = "/v1/chat/completions"
BODY = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}


def asked(app: Any, ask: Callable[[httpx2.AsyncClient], Coroutine[Any, Any, Any]]) -> tuple[Any, float]:
    async def main() -> Any:
        transport = InProcessTransport(app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://in-process", timeout=None) as client:
            return await ask(client)

    return run_virtual(main)


def parts(*pieces: bytes, seconds: float = 1.0, whole: bool = True) -> Any:
    """An application that sends `pieces`, one each second."""

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for position, piece in enumerate(pieces):
            await asyncio.sleep(seconds)
            last = whole and position == len(pieces) - 1
            await send({"type": "http.response.body", "body": piece, "more_body": not last})

    return app


def failing(kind: str) -> Any:
    rates: dict[str, Any] = {kind: 1.0}
    failures = Failures(stall_s=30.0, **rates)
    return create_app(Profile("broken", default_model=Model(failures=failures)))


async def read(client: httpx2.AsyncClient) -> str:
    return (await client.post(CHAT, json=BODY)).text


async def read_stream(client: httpx2.AsyncClient) -> list[str]:
    async with client.stream("POST", CHAT, json={**BODY, "stream": True}) as response:
        return [line async for line in response.aiter_lines() if line]


def test_a_body_is_handed_on_part_by_part() -> None:
    async def ask(client: httpx2.AsyncClient) -> list[tuple[float, bytes]]:
        loop = asyncio.get_running_loop()
        async with client.stream("GET", "/") as response:
            return [(loop.time(), part) async for part in response.aiter_raw()]

    assert asked(parts(b"a", b"b"), ask)[0] == [(1.0, b"a"), (2.0, b"b")]


def test_the_application_sees_method_path_query_headers_and_body() -> None:
    seen: dict[str, Any] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.update(scope, message=await receive())
        await parts(b"")(scope, receive, send)

    asked(app, lambda client: client.post("/a/b?c=d", content=b"text", headers={"X-Test": "1"}))

    assert (seen["method"], seen["path"], seen["query_string"]) == ("POST", "/a/b", b"c=d")
    assert (b"x-test", b"1") in seen["headers"]
    assert seen["message"] == {"type": "http.request", "body": b"text", "more_body": False}


@pytest.mark.parametrize(("kind", "ask"), [("stall", read), ("stall", read_stream), ("drop", read_stream)])
def test_a_closed_connection_is_a_transport_error(kind: str, ask: Any) -> None:
    with pytest.raises(httpx2.RemoteProtocolError, match="the connection was closed before"):
        asked(failing(kind), ask)


def test_a_connection_dropped_in_the_middle_of_a_whole_answer_is_a_transport_error() -> None:
    with pytest.raises(httpx2.RemoteProtocolError, match="before the whole answer"):
        asked(failing("drop"), read)


def test_an_application_that_ends_without_its_last_part_broke_off() -> None:
    with pytest.raises(httpx2.RemoteProtocolError, match="before the whole answer"):
        asked(parts(b"a", whole=False), lambda client: client.get("/"))


def test_an_application_s_fault_is_the_error_s_cause() -> None:
    fault = LookupError("in the application")

    async def app(_scope: Any, _receive: Any, _send: Any) -> None:
        raise fault

    with pytest.raises(httpx2.RemoteProtocolError) as caught:
        asked(app, lambda client: client.get("/"))

    causes = [caught.value.__cause__, getattr(caught.value.__cause__, "__cause__", None)]
    assert fault in causes


def test_leaving_a_stream_ends_the_application() -> None:
    ended: list[float] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await parts(*[b"x"] * 100)(scope, receive, send)
        finally:
            ended.append(asyncio.get_running_loop().time())

    async def ask(client: httpx2.AsyncClient) -> bytes:
        async with client.stream("GET", "/") as response:
            return await anext(response.aiter_raw())

    assert asked(app, ask)[0] == b"x"
    assert ended == [1.0]


@pytest.mark.parametrize("after", [0.5, 1.5])
def test_cancelling_a_request_ends_the_application(after: float) -> None:
    ended: list[float] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await asyncio.sleep(1)
            await parts(*[b"x"] * 100)(scope, receive, send)
        finally:
            ended.append(asyncio.get_running_loop().time())

    async def ask(client: httpx2.AsyncClient) -> None:
        task = asyncio.create_task(client.get("/"))
        await asyncio.sleep(after)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asked(app, ask)

    assert ended == [after]


@pytest.mark.parametrize(("pooled", "seconds"), [(True, 0.5 + 3 * 1.0), (False, 3 * 1.5)])
def test_opening_a_connection_takes_time_once_where_connections_are_kept(seconds: float, *, pooled: bool) -> None:
    fast = Model(time_to_first_token_s=1.0, time_per_token_s=0.0)
    app = create_app(Profile("far", default_model=fast, connection_setup_s=0.5))

    async def main() -> None:
        transport = InProcessTransport(app, pooled=pooled)
        async with httpx2.AsyncClient(transport=transport, base_url="http://in-process", timeout=None) as client:
            for _ in range(3):
                await read(client)

    assert run_virtual(main)[1] == pytest.approx(seconds)


def test_a_connection_that_broke_is_not_used_again() -> None:
    fast = Model(time_to_first_token_s=1.0, time_per_token_s=0.0, failures=Failures(drop=1.0))
    app = create_app(Profile("far", default_model=fast, connection_setup_s=0.5))
    began: list[float] = []

    async def ask(client: httpx2.AsyncClient) -> None:
        for _ in range(2):
            began.append(asyncio.get_running_loop().time())
            with pytest.raises(httpx2.RemoteProtocolError):
                await read(client)
        began.append(asyncio.get_running_loop().time())

    asked(app, ask)

    first, second = began[1] - began[0], began[2] - began[1]
    assert second == pytest.approx(first)
