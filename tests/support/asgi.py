"""Drives an ASGI application without a server, noting when each piece of the answer comes on the loop's clock."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import ASGIApp, Message


@dataclass
class Answer:
    """What came back from one request."""

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    pieces: list[tuple[float, bytes]] = field(default_factory=list)
    """(seconds from the request, bytes), empty pieces left out."""
    complete: bool = False
    ended_at: float = 0.0

    @property
    def body(self) -> bytes:
        return b"".join(piece for _, piece in self.pieces)

    def json(self) -> Any:
        return json.loads(self.body)

    def events(self) -> list[Any]:
        """The stream's JSON events, `[DONE]` left out."""
        lines = [line for line in self.body.decode().splitlines() if line.startswith("data: ")]
        return [json.loads(line[6:]) for line in lines if line != "data: [DONE]"]


async def request(
    app: ASGIApp,
    path: str,
    body: Any = None,
    *,
    method: str = "POST",
    headers: Mapping[str, str] | None = None,
    leave_after: float | None = None,
) -> Answer:
    """Send `body` (JSON, or bytes as they are); `leave_after` seconds the client goes away."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    answer = Answer()
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = False

    async def receive() -> Message:
        nonlocal sent
        if not sent:
            sent = True
            return {"type": "http.request", "body": raw, "more_body": False}
        if leave_after is None:
            await asyncio.Event().wait()
        await asyncio.sleep(leave_after or 0.0)
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        elif message["type"] == "http.response.body":
            if message.get("body"):
                answer.pieces.append((loop.time() - started, message["body"]))
            answer.complete = not message.get("more_body", False)

    pairs = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": method,
        "scheme": "http", "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "",
        "headers": pairs, "server": ("test", 80), "client": ("test", 1), "state": {},
    }  # fmt: skip
    await app(scope, receive, send)
    answer.ended_at = loop.time() - started
    return answer
