"""One session with the official client, run as a script so that any version of it can be tried.

Takes the base URL and prints what came back, as JSON. Imports nothing but `openai`.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import openai

TEXT = "a = 1\nb = two\nState a, b, c.\nUse about 25 words for each fact."
TASK = "ticker = ACME\ndays = 5\nCall the tools price.\nState close."
PARAMETERS = {"type": "object", "properties": {"ticker": {"type": "string"}, "days": {"type": "integer"}}}
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "string"}}}


def user(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


def chat(client: Any) -> dict[str, Any]:
    whole = client.chat.completions.create(model="sim-small", messages=user(TEXT), seed=1, metadata={"agent": "a"})
    options = {"stream": True, "stream_options": {"include_usage": True}}
    chunks = list(client.chat.completions.create(model="sim-small", messages=user(TEXT), **options))
    streamed = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}
    shaped = client.chat.completions.create(model="sim-small", messages=user(TEXT), response_format=form)
    text = whole.choices[0].message.content
    return {
        "streamed_is_whole": streamed == text,
        "usage_is_whole": chunks[-1].usage.total_tokens == whole.usage.total_tokens,
        "lines": text.splitlines()[::2],
        "json": json.loads(shaped.choices[0].message.content),
    }


def chat_tools(client: Any) -> dict[str, Any]:
    tool = {"type": "function", "function": {"name": "price", "parameters": PARAMETERS}}
    messages = user(TASK)
    first = client.chat.completions.create(model="sim-small", messages=messages, tools=[tool]).choices[0]
    call = first.message.tool_calls[0]
    messages += [first.message, {"role": "tool", "tool_call_id": call.id, "content": "close = 7"}]
    final = client.chat.completions.create(model="sim-small", messages=messages, tools=[tool]).choices[0]
    arguments = json.loads(call.function.arguments)
    return {"reason": first.finish_reason, "arguments": arguments, "answer": final.message.content}


def responses(client: Any) -> dict[str, Any]:
    whole = client.responses.create(model="sim-small", input=TEXT)
    with client.responses.stream(model="sim-small", input=TEXT) as stream:
        kinds = list(dict.fromkeys(event.type for event in stream))
        streamed = stream.get_final_response().output_text
    tool = {"type": "function", "name": "price", "parameters": PARAMETERS}
    with client.responses.stream(model="sim-small", input=TASK, tools=[tool]) as stream:
        stream.until_done()
        call = stream.get_final_response().output[0]
    return {"streamed_is_whole": streamed == whole.output_text, "last": kinds[-1], "arguments": call.arguments}


def errors(client: Any) -> dict[str, str]:
    def name(**request: Any) -> str:
        try:
            client.chat.completions.create(**request)
        except openai.APIStatusError as error:
            return f"{type(error).__name__} {error.code}"
        return "none"

    return {
        "instruction": name(model="sim-small", messages=user("State a b.")),
        "empty": name(model="sim-small", messages=[]),
        "model": name(model="missing", messages=user("x")),
        "limit": name(model="limited", messages=user("x"), max_tokens=10**6),
        "key": name(model="sim-small", messages=user("x"), extra_headers={"authorization": "Bearer wrong"}),
        "server": name(model="broken", messages=user("x")),
    }


def main() -> None:
    client = openai.OpenAI(base_url=sys.argv[1], api_key="secret", max_retries=0)
    vectors = client.embeddings.create(model="sim-small", input=["one", "two"])
    result = {
        "version": openai.__version__.split(".")[0],
        "chat": chat(client),
        "tools": chat_tools(client),
        "responses": responses(client),
        "errors": errors(client),
        "embedding": [len(vectors.data), len(vectors.data[0].embedding)],
        "models": [model.id for model in client.models.list()],
    }
    client.close()
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()
