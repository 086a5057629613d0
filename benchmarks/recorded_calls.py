"""A call of the OpenAI client, whole and streamed, recorded in each of the ways that are compared, and not at all.

What is recorded is the same everywhere: model, provider, id and model of the answer, tokens; of a stream its chunks and
the time to the first.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol

from opentelemetry.trace import SpanKind

import spanwise
from spanwise import conventions as c

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.trace import Span, Tracer

MESSAGES: Any = [{"role": "user", "content": "What moves the price of this share today, and who says so? " * 35}]
PLAIN: Any = {"model": "small", "messages": MESSAGES}
STREAMED: Any = PLAIN | {"stream": True, "stream_options": {"include_usage": True}}


class Way(Protocol):
    """Calls through `create` of a client; the async ones through an async client's."""

    def call(self, create: Any) -> None:
        """Ask once."""

    def stream(self, create: Any) -> None:
        """Read a stream."""

    async def acall(self, create: Any) -> None:
        """Ask once."""

    async def astream(self, create: Any) -> None:
        """Read a stream."""


class Unrecorded:
    """Calls as a program makes them that records nothing."""

    def call(self, create: Any) -> None:
        """Ask once."""
        create(**PLAIN)

    def stream(self, create: Any) -> None:
        """Read a stream."""
        for _ in create(**STREAMED):
            pass

    async def acall(self, create: Any) -> None:
        """Ask once."""
        await create(**PLAIN)

    async def astream(self, create: Any) -> None:
        """Read a stream."""
        async for _ in await create(**STREAMED):
            pass


class Helpers:
    """Calls inside `llm_call`."""

    def call(self, create: Any) -> None:
        """Ask once."""
        with spanwise.llm_call("small") as call:
            call.input(MESSAGES)
            _noted(call, create(**PLAIN))

    def stream(self, create: Any) -> None:
        """Read a stream, and what its last chunk says."""
        with spanwise.llm_call("small", stream=True) as call:
            call.input(MESSAGES)
            last: Any = None
            for last in call.stream(create(**STREAMED)):  # noqa: B007 - it is read below
                pass
            _ended(call, last)

    async def acall(self, create: Any) -> None:
        """Ask once."""
        with spanwise.llm_call("small") as call:
            call.input(MESSAGES)
            _noted(call, await create(**PLAIN))

    async def astream(self, create: Any) -> None:
        """Read a stream, and what its last chunk says."""
        with spanwise.llm_call("small", stream=True) as call:
            call.input(MESSAGES)
            last: Any = None
            async for last in call.stream(await create(**STREAMED)):  # noqa: B007 - it is read below
                pass
            _ended(call, last)


class Watched(Helpers):
    """The same, where a function of the host sees each chunk."""

    def stream(self, create: Any) -> None:
        """Read a stream."""
        with spanwise.llm_call("small", stream=True) as call:
            call.input(MESSAGES)
            for _ in call.stream(create(**STREAMED), _seen(call)):
                pass

    async def astream(self, create: Any) -> None:
        """Read a stream."""
        with spanwise.llm_call("small", stream=True) as call:
            call.input(MESSAGES)
            async for _ in call.stream(await create(**STREAMED), _seen(call)):
                pass


class ByHand:
    """Calls inside a span of OpenTelemetry's API, as a careful programmer writes it."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def _span(self, *, stream: bool) -> Any:
        about: dict[str, Any] = {c.OPERATION_NAME: "chat", c.PROVIDER_NAME: "openai", c.REQUEST_MODEL: "small"}
        if stream:
            about[c.REQUEST_STREAM] = True
        return self._tracer.start_as_current_span("chat small", kind=SpanKind.CLIENT, attributes=about)

    def call(self, create: Any) -> None:
        """Ask once."""
        with self._span(stream=False) as span:
            _written(span, create(**PLAIN))

    def stream(self, create: Any) -> None:
        """Read a stream."""
        with self._span(stream=True) as span:
            chunks, last, began, first = 0, None, time.perf_counter(), 0.0
            for last in create(**STREAMED):  # noqa: B007 - it is read below
                if not chunks:
                    first = time.perf_counter()
                chunks += 1
            _streamed(span, last, chunks, first - began)

    async def acall(self, create: Any) -> None:
        """Ask once."""
        with self._span(stream=False) as span:
            _written(span, await create(**PLAIN))

    async def astream(self, create: Any) -> None:
        """Read a stream."""
        with self._span(stream=True) as span:
            chunks, last, began, first = 0, None, time.perf_counter(), 0.0
            async for last in await create(**STREAMED):  # noqa: B007 - it is read below
                if not chunks:
                    first = time.perf_counter()
                chunks += 1
            _streamed(span, last, chunks, first - began)


def _noted(call: Any, answer: Any) -> None:
    call.response(id=answer.id, model=answer.model, finish_reasons=[answer.choices[0].finish_reason])
    call.output(answer.choices[0].message.content, finish_reason="stop")
    call.usage(answer.usage.prompt_tokens, answer.usage.completion_tokens)


def _ended(call: Any, last: Any) -> None:
    call.response(id=last.id, model=last.model)
    call.usage(last.usage.prompt_tokens, last.usage.completion_tokens)


def _seen(call: Any) -> Callable[[Any], None]:
    def look(chunk: Any) -> None:
        if chunk.usage is not None:
            call.usage(chunk.usage.prompt_tokens, chunk.usage.completion_tokens)
        elif chunk.choices[0].finish_reason:
            call.response(id=chunk.id, model=chunk.model, finish_reasons=[chunk.choices[0].finish_reason])

    return look


def _written(span: Span, answer: Any) -> None:
    span.set_attributes(
        {
            c.RESPONSE_ID: answer.id,
            c.RESPONSE_MODEL: answer.model,
            c.RESPONSE_FINISH_REASONS: [answer.choices[0].finish_reason],
            c.USAGE_INPUT_TOKENS: answer.usage.prompt_tokens,
            c.USAGE_OUTPUT_TOKENS: answer.usage.completion_tokens,
        }
    )


def _streamed(span: Span, last: Any, chunks: int, to_first: float) -> None:
    span.set_attributes(
        {
            c.RESPONSE_ID: last.id,
            c.RESPONSE_MODEL: last.model,
            c.USAGE_INPUT_TOKENS: last.usage.prompt_tokens,
            c.USAGE_OUTPUT_TOKENS: last.usage.completion_tokens,
            c.STREAM_CHUNKS: chunks,
            c.RESPONSE_TIME_TO_FIRST_CHUNK: to_first,
        }
    )
