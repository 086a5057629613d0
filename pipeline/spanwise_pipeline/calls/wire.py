"""One request on the wire: the shared client below all calls, its connections, and a stream read to its end."""

from __future__ import annotations

import functools
import time
from contextvars import ContextVar
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx2
import openai

import spanwise
from spanwise import conventions as c
from spanwise_pipeline.calls.draft import Draft
from spanwise_pipeline.calls.events import Events

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Mapping

    from spanwise.helpers.model_call import ModelCall
    from spanwise_pipeline.calls.reply import Reply

_call: ContextVar[ModelCall | None] = ContextVar("call", default=None)
"""The call whose request is on its way: the client library has no other way to tell the connection from here."""


@functools.cache
def _tls() -> ssl.SSLContext:
    """Return the process's TLS context: reading the certificates takes longer than a call's whole preparation."""
    return httpx2.create_ssl_context()


def warm_up() -> None:
    """Load what the client loads in its first call (40 ms), so that a run in scaled time does not count it."""
    _tls()
    import_module("openai.resources.chat.completions")


class Wire:
    """The official client with one pool of connections.

    Args:
        base_url: address up to and including `/v1`.
        api_key: sent as the bearer token.
        timeout: real seconds without a byte, or without a connection, that end a request.
        pooled: keep connections alive between requests.
        transport: replaces the network.
    """

    def __init__(
        self, *, base_url: str, api_key: str, timeout: float, pooled: bool, transport: httpx2.AsyncBaseTransport | None
    ) -> None:
        parts = urlsplit(base_url)
        self.server = (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
        limits = httpx2.Limits(max_connections=100, max_keepalive_connections=50 if pooled else 0)
        http = httpx2.AsyncClient(
            limits=limits, timeout=timeout, transport=transport, verify=_tls(),
            event_hooks={"request": [_watch_connection]},
        )  # fmt: skip
        self.client = openai.AsyncOpenAI(base_url=base_url, api_key=api_key, max_retries=0, http_client=http)

    async def close(self) -> None:
        """Close the connections."""
        await self.client.close()

    def headers(self, call: ModelCall) -> dict[str, str]:
        """Return the headers that carry the trace, and tell the connection's steps to `call`."""
        _call.set(call)
        headers: dict[str, str] = {}
        spanwise.inject(headers, url=str(self.client.base_url))
        return headers

    def timed_out(self, path: str) -> openai.APITimeoutError:
        """Return the error of a request to `path` that took too long."""
        url = str(self.client.base_url.join(path))  # text: the client 2.x has another URL type
        return openai.APITimeoutError(request=httpx2.Request("POST", url))

    async def chat(
        self,
        request: dict[str, Any],
        call: ModelCall,
        *,
        on_headers: Callable[[Mapping[str, str]], None],
        on_first: Callable[[], None],
    ) -> Reply:
        """Send a chat request, read the stream to its end, and record both on `call`.

        Args:
            request: in the form of the API, without `stream`.
            call: the span of this request.
            on_headers: called with the headers of the answer.
            on_first: called at the first chunk.

        Raises:
            openai.APIError: refused, disconnected, or an error in the middle of the stream.
            IncompleteReplyError: the stream broke off.
            json.JSONDecodeError: it holds broken JSON.
        """
        draft = Draft()
        asking = self.client.chat.completions.with_streaming_response.create(
            **request, stream=True, stream_options={"include_usage": True}, extra_headers=self.headers(call)
        )
        async with asking as response:
            on_headers(response.headers)
            events = Events(response, response.http_response.request)
            try:
                async for event in call.stream(events):
                    if call.chunks == 1:
                        on_first()
                    draft.add(event)
            except httpx2.TransportError as error:
                raise openai.APIConnectionError(request=response.http_response.request) from error
        return _finish(draft, request["model"], call, done=events.done)


def _finish(draft: Draft, model: str, call: ModelCall, *, done: bool) -> Reply:
    usage = draft.usage
    if usage.reported:
        call.usage(usage.input, usage.output, cached_tokens=usage.cached or None)
    reply = draft.finish(model, done=done)
    call.response(id=draft.id, model=reply.model, finish_reasons=[reply.finish_reason])
    call.output(reply.text, tool_calls=reply.requested(), finish_reason=reply.finish_reason)
    return reply


async def _watch_connection(request: httpx2.Request) -> None:
    call = _call.get()
    if call is not None:
        request.extensions = {**request.extensions, "trace": _noting_connection(call)}


def _noting_connection(call: ModelCall) -> Callable[[str, Mapping[str, Any]], Awaitable[None]]:
    """What the HTTP library tells its steps to: a call that opened a connection says so, and how long it took."""
    began = 0.0

    async def note(event: str, _: Mapping[str, Any]) -> None:
        nonlocal began
        if event == "connection.connect_tcp.started":
            began = time.perf_counter()
        elif event in {"connection.connect_tcp.complete", "connection.start_tls.complete"}:
            call.set(c.CONNECTION_NEW, True).set(c.CONNECTION_SECONDS, time.perf_counter() - began)  # noqa: FBT003 - an attribute's value

    return note
