"""One request on the wire: the shared client below all calls, its connections, and a stream read to its end."""

from __future__ import annotations

import asyncio
import functools
import time
from contextvars import ContextVar
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import urlsplit

import httpx2
import openai

import spanwise
from spanwise import conventions as c
from spanwise_pipeline.calls.draft import Draft
from spanwise_pipeline.calls.errors import IncompleteReplyError
from spanwise_pipeline.calls.events import Events
from spanwise_pipeline.calls.responses import ResponseDraft

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from spanwise.helpers.attempts import Attempt
    from spanwise.helpers.model_call import ModelCall
    from spanwise_pipeline.calls.reply import Reply

LINGER_S: Final = 0.05
"""System seconds that the end of a stream is waited for when its JSON is complete: about what a new connection costs.
A stream that ends by then tells its usage and leaves its connection; a longer one is closed."""
_attempt: ContextVar[Attempt | None] = ContextVar("attempt", default=None)
"""The request that is on its way: the client library has no other way to tell the connection from here."""


@functools.cache
def _tls() -> ssl.SSLContext:
    """Return the process's TLS context: reading the certificates takes longer than a call's whole preparation."""
    return httpx2.create_ssl_context()


_LOADED_LATE: Final = (
    "openai.resources.chat.completions.completions", "openai.lib.streaming.chat", "anyio._backends._asyncio",
)  # fmt: skip


def warm_up() -> None:
    """Load what the client loads in its first call (40 ms), so that a run in scaled time does not count it."""
    _tls()
    for module in _LOADED_LATE:
        import_module(module)


class Listener(Protocol):
    """Who is told of a stream while it is read."""

    def on_headers(self, headers: Mapping[str, str], /) -> None:
        """Take the headers of the answer."""
        ...

    def on_first(self) -> None:
        """Take that the first chunk is there."""
        ...

    def has_enough(self, text: str, /) -> bool:
        """Take a piece of text; returns whether the rest of the stream is not needed."""
        ...


class Wire:
    """The official client with one pool of connections.

    Args:
        base_url: address up to and including `/v1`.
        api_key: sent as the bearer token.
        timeout: real seconds without a byte, or without a connection, that end a request.
        max_connections: most connections at once; `None` is as many as it takes.
        kept_connections: most idle ones that are kept for the next request.
        transport: replaces the network.
        linger: real seconds that the end of a stream is waited for when its JSON is complete.
    """

    def __init__(
        self,
        *,
        base_url: str,
        api_key: str,
        timeout: float,
        max_connections: int | None,
        kept_connections: int,
        transport: httpx2.AsyncBaseTransport | None,
        linger: float = LINGER_S,
    ) -> None:
        self._linger = linger
        parts = urlsplit(base_url)
        self.server = (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
        limits = httpx2.Limits(max_connections=max_connections, max_keepalive_connections=kept_connections)
        http = httpx2.AsyncClient(
            limits=limits, timeout=timeout, transport=transport, verify=_tls(),
            event_hooks={"request": [_watch_connection]},
        )  # fmt: skip
        self.client = openai.AsyncOpenAI(base_url=base_url, api_key=api_key, max_retries=0, http_client=http)

    async def close(self) -> None:
        """Close the connections."""
        await self.client.close()

    def headers(self, attempt: Attempt) -> dict[str, str]:
        """Return the headers that carry the trace, and tell the connection's steps to `attempt`."""
        _attempt.set(attempt)
        headers: dict[str, str] = {}
        spanwise.inject(headers, url=str(self.client.base_url))
        return headers

    def timed_out(self, path: str) -> openai.APITimeoutError:
        """Return the error of a request to `path` that took too long."""
        url = str(self.client.base_url.join(path))  # text: the client 2.x has another URL type
        return openai.APITimeoutError(request=httpx2.Request("POST", url))

    async def chat(self, request: dict[str, Any], attempt: Attempt, listener: Listener) -> Reply:
        """Send a request for a chat completion, read its stream, and record both.

        Args:
            request: in the form of the API, without `stream`.
            attempt: this request of a call.
            listener: told of headers and the first chunk, and asked when to stop.

        Raises:
            openai.APIError: refused, disconnected, or an error in the middle of the stream.
            IncompleteReplyError: the stream broke off.
            json.JSONDecodeError: it holds broken JSON.
        """
        asking = self.client.chat.completions.with_streaming_response.create(
            **request, stream=True, stream_options={"include_usage": True}, extra_headers=self.headers(attempt)
        )
        return await self._read(asking, Draft(), request["model"], attempt, listener)

    async def respond(self, request: dict[str, Any], attempt: Attempt, listener: Listener) -> Reply:
        """Send a request of the Responses API; otherwise as `chat`."""
        asking = self.client.responses.with_streaming_response.create(
            **request, stream=True, extra_headers=self.headers(attempt)
        )
        return await self._read(asking, ResponseDraft(), request["model"], attempt, listener)

    async def _read(
        self, asking: Any, draft: Draft | ResponseDraft, model: str, attempt: Attempt, listener: Listener
    ) -> Reply:
        async with asking as response:
            listener.on_headers(response.headers)
            events = Events(response, response.http_response.request)
            try:
                closed = await self._events(attempt.stream(events), draft, attempt, listener)
            except httpx2.TransportError as error:
                raise openai.APIConnectionError(request=response.http_response.request) from error
        if closed:
            attempt.call.set(c.STREAM_CLOSED_EARLY, True)  # noqa: FBT003 - an attribute's value
        return _finish(draft, model, attempt.call, done=events.done or closed)

    async def _events(
        self, stream: AsyncIterator[Any], draft: Draft | ResponseDraft, attempt: Attempt, listener: Listener
    ) -> bool:
        """Read all events, or until the listener has enough; returns whether the stream was left before its end."""
        until: float | None = None
        while True:
            try:
                async with asyncio.timeout_at(until):
                    event = await anext(stream)
            except StopAsyncIteration:
                return False
            except TimeoutError:
                if until is None:
                    raise
                return True
            if attempt.chunks == 1:
                listener.on_first()
            if listener.has_enough(draft.add(event)) and until is None:
                until = asyncio.get_running_loop().time() + self._linger

    async def embed(
        self, request: dict[str, Any], attempt: Attempt, on_headers: Callable[[Mapping[str, str]], None]
    ) -> tuple[list[list[float]], int]:
        """Send a request for embeddings; returns the vectors in the order of the texts, and the tokens."""
        raw = await self.client.embeddings.with_raw_response.create(**request, extra_headers=self.headers(attempt))
        on_headers(raw.headers)
        found = raw.parse()
        tokens = found.usage.prompt_tokens if getattr(found, "usage", None) is not None else 0
        vectors = [one.embedding for one in sorted(found.data, key=lambda one: one.index)]
        if len(vectors) != len(request["input"]):
            raise IncompleteReplyError(f"{len(request['input'])} texts were sent, and {len(vectors)} vectors came")
        attempt.call.usage(tokens, 0)
        return vectors, tokens


def _finish(draft: Draft | ResponseDraft, model: str, call: ModelCall, *, done: bool) -> Reply:
    usage = draft.usage
    if usage.reported:
        call.usage(
            usage.input,
            usage.output,
            cached_tokens=usage.cached,
            cache_written_tokens=usage.cache_written,
            reasoning_tokens=usage.reasoning,
        )
    reply = draft.finish(model, done=done)
    call.response(id=draft.id, model=reply.model, finish_reasons=[reply.finish_reason])
    call.output(reply.text, tool_calls=reply.requested(), finish_reason=reply.finish_reason)
    return reply


async def _watch_connection(request: httpx2.Request) -> None:
    attempt = _attempt.get()
    if attempt is not None:
        request.extensions = {**request.extensions, "trace": _noting_connection(attempt)}


def _noting_connection(attempt: Attempt) -> Callable[[str, Mapping[str, Any]], Awaitable[None]]:
    """What the HTTP library tells its steps to: a call that opened a connection says so, and how long it took."""
    began = 0.0

    async def note(event: str, _: Mapping[str, Any]) -> None:
        nonlocal began
        if event == "connection.connect_tcp.started":
            began = time.perf_counter()
        elif event in {"connection.connect_tcp.complete", "connection.start_tls.complete"}:
            attempt.set(c.CONNECTION_NEW, True).set(c.CONNECTION_SECONDS, time.perf_counter() - began)  # noqa: FBT003 - an attribute's value

    return note
