"""Every form of call of the official client, each in an agent that is named after it; run under `spanwise run`.

Takes the base URL. Imports nothing but `openai` and `spanwise`, so that any version of the client can be tried.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from typing import Any

import openai

import spanwise

TEXT = "a = 1\nState a.\nUse about 25 words for each fact."
TASK = "ticker = ACME\nCall the tools price.\nState close."
PARAMETERS = {"type": "object", "properties": {"ticker": {"type": "string"}}}
USAGE = {"stream": True, "stream_options": {"include_usage": True}}


def asked(model: str = "sim-small", text: str = TEXT, **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


def whole(client: Any) -> None:
    chat = client.chat.completions
    tool = {"type": "function", "function": {"name": "price", "parameters": PARAMETERS}}
    with spanwise.agent("chat"):
        chat.create(**asked())
    with spanwise.agent("raw"):
        chat.with_raw_response.create(**asked()).parse()
    with spanwise.agent("parse"):
        chat.parse(**asked())
    with spanwise.agent("tools"):
        chat.create(**asked(text=TASK, tools=[tool]))
    with spanwise.agent("responses"):
        client.responses.create(model="sim-small", input=TEXT)
    with spanwise.agent("embeddings"):
        client.embeddings.create(model="sim-small", input=["one", "two"])
    with spanwise.agent("refused"), suppress(openai.APIStatusError):
        chat.create(**asked("missing"))
    with spanwise.agent("retried"), suppress(openai.APIStatusError):
        client.with_options(max_retries=1).chat.completions.create(**asked("broken"))
    with spanwise.agent("own"), spanwise.llm_call("sim-small") as call:
        usage = chat.create(**asked()).usage
        call.usage(input_tokens=usage.prompt_tokens, output_tokens=usage.completion_tokens)


def streams(client: Any) -> None:
    chat = client.chat.completions
    with spanwise.agent("exhausted"):
        for _ in chat.create(**asked(), **USAGE):
            with spanwise.tool("beside"):  # between two chunks: no part of the call
                pass
    with spanwise.agent("broken_off"), chat.create(**asked(), **USAGE) as stream:
        next(iter(stream))
    with spanwise.agent("abandoned"):
        left = iter(chat.create(**asked(), **USAGE))
        next(left)
        del left
    with spanwise.agent("failed"), suppress(openai.APIError, Exception):
        list(chat.create(**asked("dropped"), **USAGE))
    with spanwise.agent("responses_stream"), client.responses.stream(model="sim-small", input=TEXT) as events:
        events.until_done()


async def at_once(url: str) -> None:
    async with openai.AsyncOpenAI(base_url=url, api_key="x", max_retries=0) as client:
        chat: Any = client.chat.completions

        async def read(model: str) -> None:
            async for _ in await chat.create(**asked(model), **USAGE):
                pass

        with spanwise.agent("async_chat"):
            await chat.create(**asked())
        with spanwise.agent("async_responses"):
            await client.responses.create(model="sim-small", input=TEXT)
        with spanwise.agent("async_embeddings"):
            await client.embeddings.create(model="sim-small", input="one")
        with spanwise.agent("async_exhausted"):
            await read("sim-small")
        with spanwise.agent("async_failed"), suppress(Exception):
            await read("dropped")
        with spanwise.agent("async_cancelled"), suppress(TimeoutError):
            async with asyncio.timeout(0.1):
                await read("slow")
        with spanwise.agent("async_retried"), suppress(openai.APIStatusError):
            more: Any = client.with_options(max_retries=1)
            await more.chat.completions.create(**asked("broken"))


@spanwise.workflow("calls")
def main() -> None:
    with openai.OpenAI(base_url=sys.argv[1], api_key="x", max_retries=0) as client:
        whole(client)
        streams(client)
    asyncio.run(at_once(sys.argv[1]))


if __name__ == "__main__":
    main()
