"""Model calls through the official OpenAI client: one shared pool, streams, usage, retries that can be seen.

The SDK's own retries are off: each attempt is a span of its own and each pause between two is a recorded wait, so that
a slow call shows what it was slow with. Pauses and deadlines are in system seconds; what a provider asks for in
`retry-after` is real time.
"""

from __future__ import annotations

import asyncio
import functools
import json
import math
import time
from contextvars import ContextVar
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import httpx2
import openai
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt

import spanwise
from spanwise import conventions as c
from spanwise_pipeline.tools import ToolCall

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from openai.types.chat import ChatCompletionChunk
    from openai.types.chat.chat_completion_chunk import ChoiceDeltaToolCall
    from openai.types.completion_usage import CompletionUsage

    from spanwise.helpers.model_call import ModelCall
    from spanwise_pipeline.clock import Clock

Message = dict[str, Any]
_RETRYABLE_STATUS: Final = frozenset({408, 409, 429})
_SERVER_ERROR: Final = 500
_call: ContextVar[ModelCall | None] = ContextVar("call", default=None)
"""The call whose request is on its way: the client library has no other way to tell the connection from here."""


class IncompleteReplyError(RuntimeError):
    """A stream ended before the model said that it was done."""


@dataclass(frozen=True, slots=True)
class Retries:
    """How often and how patiently a failed call is tried again. Durations are system seconds."""

    attempts: int = 3
    first_pause: float = 0.5
    longest_pause: float = 30.0

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ValueError(f"attempts must be at least 1, this is {self.attempts}")


@dataclass(frozen=True, slots=True)
class Reply:
    """A model's answer."""

    text: str
    tool_calls: tuple[ToolCall, ...]
    finish_reason: str
    input_tokens: int
    output_tokens: int

    def as_message(self) -> Message:
        """Return the answer as a message of the conversation."""
        message: Message = {"role": "assistant", "content": self.text or None}
        if self.tool_calls:
            message["tool_calls"] = self.requested()
        return message

    def requested(self) -> list[Message]:
        """Return the tool calls in OpenAI's form."""
        return [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": json.dumps(dict(call.arguments))},
            }
            for call in self.tool_calls
        ]


@dataclass(slots=True)
class _Draft:
    """A stream as it grows."""

    text: list[str] = field(default_factory=list[str])
    calls: dict[int, dict[str, str]] = field(default_factory=dict[int, dict[str, str]])
    finish_reason: str = ""
    usage: CompletionUsage | None = None
    id: str = ""
    model: str = ""

    def add(self, chunk: ChatCompletionChunk) -> None:
        self.id, self.model = chunk.id, chunk.model
        self.usage = chunk.usage or self.usage
        for choice in chunk.choices:
            if choice.delta.content:
                self.text.append(choice.delta.content)
            for part in choice.delta.tool_calls or ():
                self._add_call(part)
            self.finish_reason = choice.finish_reason or self.finish_reason

    def _add_call(self, part: ChoiceDeltaToolCall) -> None:
        call = self.calls.setdefault(part.index, {"id": "", "name": "", "arguments": ""})
        call["id"] += part.id or ""
        if part.function is not None:
            call["name"] += part.function.name or ""
            call["arguments"] += part.function.arguments or ""


@functools.cache
def _tls() -> ssl.SSLContext:
    """Return the process's TLS context: reading the certificates takes longer than a call's whole preparation."""
    return httpx2.create_ssl_context()


def warm_up() -> None:
    """Load what the client loads in its first call (40 ms), so that a run in scaled time does not count it."""
    _tls()
    import_module("openai.resources.chat.completions")
    empty: dict[str, object] = {"id": "", "object": "chat.completion.chunk", "created": 0, "model": "", "choices": []}
    import_module("openai.types.chat").ChatCompletionChunk.model_validate(empty)


class ModelClient:
    """Chat with an OpenAI-compatible endpoint; make one for a run and close it, calls share its connections.

    Args:
        base_url: address up to and including `/v1`.
        api_key: sent as the bearer token.
        clock: system time.
        retries: what is tried again.
        timeout: system seconds that one attempt may take, from its request to the stream's end.
        seed: the request's `seed`, where the endpoint supports it.
        pooled: keep connections alive between calls.
        label_requests: send the agent's and step's names in `metadata`; the simulated provider draws by them.
        transport: replaces the network, for tests and for computing bounds.
    """

    def __init__(
        self,
        *,
        base_url: str,
        api_key: str,
        clock: Clock,
        retries: Retries | None = None,
        timeout: float = 600.0,
        seed: int | None = None,
        pooled: bool = True,
        label_requests: bool = False,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._clock = clock
        self._retries = retries or Retries()
        self._seed = seed
        self._label_requests = label_requests
        parts = urlsplit(base_url)
        self._server = (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
        limits = httpx2.Limits(max_connections=100, max_keepalive_connections=50 if pooled else 0)
        self._http = httpx2.AsyncClient(
            limits=limits, timeout=clock.real(timeout), transport=transport, verify=_tls(),
            event_hooks={"request": [_watch_connection]},
        )  # fmt: skip
        self._timeout = clock.real(timeout)
        self._client = openai.AsyncOpenAI(base_url=base_url, api_key=api_key, max_retries=0, http_client=self._http)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def chat(
        self,
        *,
        model: str,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]] = (),
        max_tokens: int | None = None,
        agent: str = "",
        step: str = "",
    ) -> Reply:
        """Send `messages` and return the whole answer; it is streamed, so that the first token's time is known.

        Raises:
            openai.APIError: the last attempt's error; `APITimeoutError` when it took too long.
            IncompleteReplyError: the last attempt's stream broke off.
        """
        request: dict[str, Any] = {"model": model, "messages": list(messages)}
        if tools:
            request["tools"] = list(tools)
        if max_tokens is not None:
            request["max_tokens"] = max_tokens
        if self._seed is not None:
            request["seed"] = self._seed
        if self._label_requests:
            request["metadata"] = {"agent": agent, "step": step}
        reply: Reply | None = None
        async for attempt in self._attempts():
            with attempt:
                reply = await self._attempt(request, attempt.retry_state.attempt_number)
        assert reply is not None
        return reply

    def _attempts(self) -> AsyncRetrying:
        return AsyncRetrying(
            retry=retry_if_exception(is_retryable),
            stop=stop_after_attempt(self._retries.attempts),
            wait=self._pause,
            sleep=self._back_off,
            reraise=True,
        )

    def _pause(self, state: RetryCallState) -> float:
        """Return the pause before the next attempt in system seconds."""
        error = state.outcome.exception() if state.outcome is not None else None
        asked = retry_after(error) if error is not None else None
        if asked is not None:
            return asked * self._clock.speed
        exponent = min(state.attempt_number - 1, 30)
        return min(self._retries.longest_pause, self._retries.first_pause * 2.0**exponent)

    async def _back_off(self, seconds: float) -> None:
        with spanwise.waiting("retry_backoff", "chat"):
            await self._clock.sleep(seconds)

    async def _attempt(self, request: dict[str, Any], number: int) -> Reply:
        call = spanwise.llm_call(
            request["model"],
            stream=True,
            max_tokens=request.get("max_tokens"),
            seed=self._seed,
            server=self._server,
            attempt=number,
        )
        with call:
            call.input(request["messages"], tools=request.get("tools", ()))
            try:
                return await self._in_time(request, call)
            except Exception as error:
                if is_retryable(error) and number < self._retries.attempts:
                    call.set(c.RETRY_SCHEDULED, True)  # noqa: FBT003 - an attribute's value
                raise

    async def _in_time(self, request: dict[str, Any], call: ModelCall) -> Reply:
        # The client library's own timeout starts anew with each chunk, so a stream that trickles would never end by it.
        deadline = asyncio.timeout(self._timeout)
        try:
            async with deadline:
                return await self._stream(request, call)
        except TimeoutError as error:
            if not deadline.expired():
                raise
            url = str(self._client.base_url.join("chat/completions"))  # text: the client 2.x has another URL type
            raise openai.APITimeoutError(request=httpx2.Request("POST", url)) from error

    async def _stream(self, request: dict[str, Any], call: ModelCall) -> Reply:
        draft, headers = _Draft(), dict[str, str]()
        _call.set(call)
        spanwise.inject(headers, url=str(self._client.base_url))
        stream: openai.AsyncStream[ChatCompletionChunk] = await self._client.chat.completions.create(
            **request, stream=True, stream_options={"include_usage": True}, extra_headers=headers
        )
        async with stream:
            async for chunk in call.stream(stream):
                draft.add(chunk)
        if not draft.finish_reason:
            raise IncompleteReplyError(f"the stream of {request['model']} ended without a finish reason")
        return _finish(draft, call)


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
            call.set(c.CONNECTION_NEW, True).set(c.CONNECTION_SECONDS, time.perf_counter() - began)  # noqa: FBT003 - likewise

    return note


def _finish(draft: _Draft, call: ModelCall) -> Reply:
    usage = draft.usage
    sent, received = (usage.prompt_tokens, usage.completion_tokens) if usage is not None else (0, 0)
    if usage is not None:
        details = usage.prompt_tokens_details
        call.usage(sent, received, cached_tokens=details.cached_tokens if details is not None else None)
    call.response(id=draft.id, model=draft.model, finish_reasons=[draft.finish_reason])
    calls = tuple(
        ToolCall(made["id"], made["name"], json.loads(made["arguments"] or "{}")) for made in draft.calls.values()
    )
    reply = Reply("".join(draft.text), calls, draft.finish_reason, sent, received)
    call.output(reply.text, tool_calls=reply.requested(), finish_reason=reply.finish_reason)
    return reply


def is_retryable(error: BaseException) -> bool:
    """Return whether trying again can help: limits, time-outs, broken connections and streams, server faults."""
    if isinstance(error, openai.APIStatusError):
        return error.status_code in _RETRYABLE_STATUS or error.status_code >= _SERVER_ERROR
    return isinstance(
        error, openai.APIConnectionError | httpx2.TransportError | IncompleteReplyError | json.JSONDecodeError
    )


def retry_after(error: BaseException) -> float | None:
    """Return the real seconds that the provider asked to wait, where it did."""
    if not isinstance(error, openai.APIStatusError):
        return None
    headers = error.response.headers
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) * unit
        except (KeyError, ValueError):
            continue
        if math.isfinite(seconds):
            return max(0.0, seconds)
    return None
