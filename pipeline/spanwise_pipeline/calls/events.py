"""The events of a streamed answer as JSON objects, read from the lines of the response.

The client library would make a typed object of each event, which takes four fifths of a stream's processor time and
refuses forms that gateways really send. Here an event is what the JSON says; `Draft` knows the forms.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Protocol

import httpx2
import openai

from spanwise_pipeline.calls.errors import IncompleteReplyError
from spanwise_pipeline.calls.json_values import object_of, text_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

_DONE: Final = "[DONE]"
_TAIL_S: Final = 0.05
"""Real seconds that the end of a body is waited for: about what a new connection costs."""


class Response(Protocol):
    """What the client library hands over of a streamed response."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Its headers."""
        ...

    async def read(self) -> bytes:
        """Return the whole body."""
        ...

    def iter_lines(self) -> AsyncIterator[str]:
        """Return an iterator over the lines of the body."""
        ...


class Events:
    """The events of `response`, each as parsed JSON; read them once.

    A provider that answers with one JSON document although a stream was asked for gives one event.

    Raises:
        openai.APIError: an event tells an error; the provider has no status left to say it with.
        json.JSONDecodeError: an event holds broken JSON.
        IncompleteReplyError: the answer is neither a stream nor JSON.
    """

    def __init__(self, response: Response, request: httpx2.Request) -> None:
        self._response = response
        self._request = request
        self.done = False
        """Whether the provider said that nothing more comes."""

    async def __aiter__(self) -> AsyncIterator[Any]:
        """Read the events."""
        form = self._response.headers.get("content-type", "")
        if "json" in form and "ndjson" not in form:
            yield self._parsed((await self._response.read()).decode())
            self.done = True
        elif "html" in form:
            raise IncompleteReplyError(f"the answer is a page ({form}) and no stream; is the base URL right?")
        else:
            async for event in self._streamed():
                yield event

    async def _streamed(self) -> AsyncIterator[Any]:
        data: list[str] = []
        lines = self._response.iter_lines()
        async for line in lines:
            if line.startswith("data:"):
                data.append(line[5:].strip())
            elif not line and data:
                text = "\n".join(data)
                data.clear()
                if text.startswith(_DONE):
                    self.done = True
                    await _drain(lines)
                    return
                yield self._parsed(text)
        text = "\n".join(data)  # the last event of a stream that does not end with an empty line
        if text.startswith(_DONE):
            self.done = True
        elif text:
            yield self._parsed(text)

    def _parsed(self, text: str) -> Any:
        event = json.loads(text)
        error = object_of(event).get("error")
        if error:
            message = object_of(error).get("message") or text_of(error) or "an error in the stream"
            raise openai.APIError(str(message), self._request, body=error)
        return event


async def _drain(lines: AsyncIterator[str]) -> None:
    """Read what is left after the last event, so that the connection can be used again.

    It is the end of the body and there already, as a rule. A server that keeps the body open is not waited for, and one
    that drops it has sent the whole answer.
    """
    with suppress(TimeoutError, httpx2.TransportError):
        async with asyncio.timeout(_TAIL_S):
            async for _ in lines:
                pass
