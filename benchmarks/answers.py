"""Answers to calls of the OpenAI client, whole and in chunks: from memory, or from a server in a process of its own.

python benchmarks/answers.py      # be the server; prints its port
"""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx2

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator

CHUNKS = 100
USAGE = {"prompt_tokens": 500, "completion_tokens": CHUNKS, "total_tokens": 500 + CHUNKS}
ABOUT: dict[str, Any] = {"id": "c", "created": 0, "model": "small"}


def whole() -> bytes:
    """Return the answer to a plain call."""
    message: dict[str, Any] = {"role": "assistant", "content": "Earnings. " * CHUNKS}
    choice: dict[str, Any] = {"index": 0, "finish_reason": "stop", "message": message}
    return json.dumps({**ABOUT, "object": "chat.completion", "choices": [choice], "usage": USAGE}).encode()


def chunked() -> bytes:
    """Return the answer to a streamed call: `CHUNKS` chunks and the usage."""
    deltas: list[dict[str, Any]] = [
        {"index": 0, "delta": {"content": "Earnings. "}, "finish_reason": None} for _ in range(CHUNKS - 1)
    ]
    deltas.append({"index": 0, "delta": {}, "finish_reason": "stop"})
    about = {**ABOUT, "object": "chat.completion.chunk"}
    events = [{**about, "choices": [one]} for one in deltas] + [{**about, "choices": [], "usage": USAGE}]
    return b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in events) + b"data: [DONE]\n\n"


KINDS = {False: "application/json", True: "text/event-stream"}


def whole_response(kind: str, body: bytes) -> bytes:
    """Return an answer as a server sends it."""
    return f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


async def serve() -> None:
    """Answer requests until the process is ended; prints the port."""
    answers = {False: whole_response(KINDS[False], whole()), True: whole_response(KINDS[True], chunked())}

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            request = json.loads(await reader.readexactly(int(length.partition(b":")[2])))
            writer.write(answers[bool(request.get("stream"))])

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await one(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionResetError):
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def served() -> Generator[str]:
    """Start the server; yields its address."""
    command = [sys.executable, __file__]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with socket.create_connection(("127.0.0.1", port)):
            pass
        try:
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()


class Memory(httpx2.AsyncBaseTransport, httpx2.BaseTransport):
    """Answers from bytes; in async, each chunk comes when the loop has been round once, as from a connection.

    Args:
        gap: seconds that an async answer and each of its chunks let wait for them.
    """

    def __init__(self, gap: float = 0.0) -> None:
        self._answers = {False: whole(), True: chunked()}
        self._gap = gap

    def _answer(self, request: httpx2.Request) -> tuple[str, bytes]:
        is_stream = bool(json.loads(request.content).get("stream"))
        return KINDS[is_stream], self._answers[is_stream]

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer."""
        kind, body = self._answer(request)
        return httpx2.Response(200, headers={"content-type": kind}, content=body)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer, in pieces."""
        kind, body = self._answer(request)
        await come_round(self._gap)
        return httpx2.Response(200, headers={"content-type": kind}, content=pieces(body, self._gap))


async def come_round(gap: float) -> None:
    """Suspend the task until the loop calls back."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()
    if gap:
        loop.call_later(gap, future.set_result, None)
    else:
        loop.call_soon(future.set_result, None)
    await future


async def pieces(body: bytes, gap: float) -> AsyncIterator[bytes]:
    """Yield a plain answer at once and an event stream event by event, a suspension before each but the first."""
    first, *others = body.split(b"\n\n")
    yield first + (b"\n\n" if others else b"")
    for one in others[:-1]:
        await come_round(gap)
        yield one + b"\n\n"


if __name__ == "__main__":
    asyncio.run(serve())
