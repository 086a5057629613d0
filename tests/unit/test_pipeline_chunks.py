"""The forms of chunks that providers and gateways really send, as a table: each row is a stream and what it says.

The rows follow public reports about the providers they name.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx2
import openai
import pytest

from spanwise.testing import capture, run_virtual
from spanwise_pipeline import Clock, IncompleteReplyError, ModelClient, Reply, Retries, ToolCall
from spanwise_pipeline.calls.draft import Draft
from spanwise_pipeline.calls.errors import duration_seconds, is_retryable, retry_after

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PARIS, ROME = {"city": "Paris"}, {"city": "Rome"}
PARIS_JSON, ROME_JSON = json.dumps(PARIS), json.dumps(ROME)


def chunk(finish: str | None = None, *, usage: Any = None, **delta: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "chat-1", "object": "chat.completion.chunk", "model": "m-1", "choices": [choice], "usage": usage}


def tool(index: int | None = None, id: str | None = None, name: str | None = None, arguments: Any = None) -> Any:  # noqa: A002
    part: dict[str, Any] = {"type": "function", "function": {}}
    part |= {} if index is None else {"index": index}
    part |= {} if id is None else {"id": id}
    part["function"] |= {} if name is None else {"name": name}
    part["function"] |= {} if arguments is None else {"arguments": arguments}
    return part


def calling(*deltas: Any) -> list[dict[str, Any]]:
    """A stream of one delta of tool calls after another; each of `deltas` is one part or a list of parts."""
    return [chunk(tool_calls=one if isinstance(one, list) else [one]) for one in deltas] + [chunk("tool_calls")]


CALLS: dict[str, tuple[list[dict[str, Any]], list[tuple[str, str, Any]]]] = {
    "openai: id and name once, then pieces": (
        calling(tool(0, "a", "weather", ""), tool(0, arguments='{"city": '), tool(0, arguments='"Paris"}')),
        [("a", "weather", PARIS)],
    ),
    "openai: two calls in parallel": (
        calling(tool(0, "a", "weather", PARIS_JSON), tool(1, "b", "weather", ROME_JSON)),
        [("a", "weather", PARIS), ("b", "weather", ROME)],
    ),
    "vllm with glm: id and name repeated with the rest of the arguments": (
        calling(tool(0, "a", "weather", '{"city": '), tool(0, "a", "weather", '"Paris"}')),
        [("a", "weather", PARIS)],
    ),
    "anthropic through gateways: the name repeated in every delta": (
        calling(
            tool(0, "a", "weather", ""), tool(0, None, "weather", '{"city"'), tool(0, None, "weather", ': "Paris"}')
        ),
        [("a", "weather", PARIS)],
    ),
    "gemini: the name in pieces": (
        calling(tool(0, "a", "wea", ""), tool(0, None, "ther", ""), tool(0, None, None, PARIS_JSON)),
        [("a", "weather", PARIS)],
    ),
    "poolside: another id from the second part on": (
        calling(tool(0, "a", "weather", ""), tool(0, "b", None, '{"city": '), tool(0, "b", None, '"Paris"}')),
        [("a", "weather", PARIS)],
    ),
    "litellm: another id in each part, the name repeated": (
        calling(tool(0, "a", "weather", '{"city": '), tool(0, "b", "weather", '"Paris"}')),
        [("a", "weather", PARIS)],
    ),
    "gemini, ollama: parallel calls all numbered 0": (
        calling(tool(0, "a", "weather", PARIS_JSON), tool(0, "b", "weather", ROME_JSON)),
        [("a", "weather", PARIS), ("b", "weather", ROME)],
    ),
    "gemini: parallel calls numbered 0, without ids": (
        calling(tool(0, None, "weather", PARIS_JSON), tool(0, None, "weather", ROME_JSON)),
        [("call_0", "weather", PARIS), ("call_1", "weather", ROME)],
    ),
    "gemini: parallel calls of tools without arguments numbered 0": (
        calling(tool(0, "a", "time", ""), tool(0, "b", "place", "")),
        [("a", "time", {}), ("b", "place", {})],
    ),
    "gemini, mistral: parallel calls without an index": (
        calling(tool(None, "a", "weather", PARIS_JSON), tool(None, "b", "weather", ROME_JSON)),
        [("a", "weather", PARIS), ("b", "weather", ROME)],
    ),
    "chatanywhere: no index, arguments in pieces": (
        calling(tool(None, "a", "weather", ""), tool(arguments='{"city": '), tool(arguments='"Paris"}')),
        [("a", "weather", PARIS)],
    ),
    "moonshot: no index, both calls in each delta": (
        calling(
            [tool(None, "a", "weather", '{"city": '), tool(None, "b", "weather", '{"city": ')],
            [tool(None, None, None, '"Paris"}'), tool(None, None, None, '"Rome"}')],
        ),
        [("a", "weather", PARIS), ("b", "weather", ROME)],
    ),
    "litellm over the Responses API: numbered from 1": (
        calling(tool(1, "a", "weather", ""), tool(1, None, None, PARIS_JSON)),
        [("a", "weather", PARIS)],
    ),
    "ollama: an index and no id": (
        calling(tool(0, None, "weather", ""), tool(0, None, None, PARIS_JSON)),
        [("call_0", "weather", PARIS)],
    ),
    "arguments first, the name later": (
        calling(tool(0, "a", None, '{"city": '), tool(0, None, "weather", '"Paris"}')),
        [("a", "weather", PARIS)],
    ),
    "vmlx: an empty name first": (
        calling(tool(0, "a", "", ""), tool(0, "a", "weather", PARIS_JSON)),
        [("a", "weather", PARIS)],
    ),
    "minimax: arguments as an object": (calling(tool(0, "a", "weather", PARIS)), [("a", "weather", PARIS)]),
    "the whole call again at the end": (
        calling(
            tool(0, "a", "weather", '{"city": '), tool(0, arguments='"Paris"}'), tool(0, "a", "weather", PARIS_JSON)
        ),
        [("a", "weather", PARIS)],
    ),
    "llama stack: an empty object before the arguments": (
        calling(tool(0, "a", "weather", "{}"), tool(0, None, None, PARIS_JSON)),
        [("a", "weather", PARIS)],
    ),
    "gemini: several calls merged into one before they were sent": (
        calling(tool(0, "a", "weather", PARIS_JSON + ROME_JSON)),
        [("a", "weather", PARIS), ("call_1", "weather", ROME)],
    ),
    "one id for all calls": (
        calling(tool(0, "call", "weather", PARIS_JSON), tool(1, "call", "time", ROME_JSON)),
        [("call", "weather", PARIS), ("call_1", "time", ROME)],
    ),
    "interleaved pieces": (
        calling(tool(0, "a", "weather", '{"city": '), tool(1, "b", "weather", '{"city": '),
                tool(0, arguments='"Paris"}'), tool(1, arguments='"Rome"}')),
        [("a", "weather", PARIS), ("b", "weather", ROME)],
    ),
    "arguments of nothing, null and absent": (
        calling(tool(0, "a", "time", "null"), tool(1, "b", "time"), tool(2, "c", "time", "")),
        [("a", "time", {}), ("b", "time", {}), ("c", "time", {})],
    ),
    "the older function_call": (
        [chunk(function_call={"name": "weather", "arguments": '{"city": '}),
         chunk(function_call={"arguments": '"Paris"}'}), chunk("function_call")],
        [("call_0", "weather", PARIS)],
    ),
    "entries that are no calls": (calling([None, "x", tool(2, "a", "weather", PARIS_JSON)]), [("a", "weather", PARIS)]),
}  # fmt: skip


def read(chunks: list[Any], *, done: bool = True) -> Reply:
    draft = Draft()
    for one in chunks:
        draft.add(one)
    return draft.finish("m", done=done)


@pytest.mark.parametrize("form", CALLS)
def test_tool_calls_are_what_the_parts_say(form: str) -> None:
    chunks, wanted = CALLS[form]

    assert read(chunks).tool_calls == tuple(ToolCall(*call) for call in wanted)


@dataclass(frozen=True)
class Said:
    """What is expected of a text's stream."""

    text: str = "Hello"
    usage: tuple[int, int] = (0, 0)
    finish: str = "stop"
    model: str = "m-1"
    cached: int = 0
    reasoning: str = ""


HELLO = [chunk(content="Hel"), chunk(content="lo")]
NUMBERS = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}
END = chunk("stop")


def last(**fields: Any) -> dict[str, Any]:
    return {"id": "chat-1", "object": "chat.completion.chunk", "model": "m-1", "choices": [], **fields}


TEXTS: dict[str, tuple[list[Any], Said]] = {
    "openai: usage in a last chunk without choices": ([*HELLO, END, last(usage=NUMBERS)], Said(usage=(12, 3))),
    "azure: a first chunk without choices, with an empty id and model": (
        [{"id": "", "model": "", "choices": [], "prompt_filter_results": [{}], "usage": None}, *HELLO, END], Said(),
    ),
    "azure, asynchronous filter: no delta, empty id and model at the end": (
        [*HELLO, END, {"id": "", "object": "", "created": 0, "model": "",
                       "choices": [{"index": 0, "finish_reason": None, "content_filter_results": {}}], "usage": None}],
        Said(),
    ),
    "azure, asynchronous filter: the delta is null": (
        [*HELLO, {"id": "", "model": "", "choices": [{"index": 0, "delta": None, "finish_reason": "stop"}]}], Said(),
    ),
    "choices null": ([*HELLO, END, last(choices=None, usage=NUMBERS)], Said(usage=(12, 3))),
    "choices missing": ([*HELLO, END, {"usage": NUMBERS}], Said(usage=(12, 3))),
    "a chunk of nothing, one that is a list and one that is null": ([{}, [], None, *HELLO, END], Said()),
    "a choice that is null": ([{"choices": [None]}, *HELLO, END], Said()),
    "moonshot: usage inside the choice": (
        [*HELLO, {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "usage": NUMBERS}]}],
        Said(usage=(12, 3)),
    ),
    "groq: usage under a name of its own": (
        [*HELLO, chunk("stop") | {"x_groq": {"usage": NUMBERS}}], Said(usage=(12, 3)),
    ),
    "fireworks, perplexity: usage in every chunk, growing": (
        [chunk(content="Hel", usage={"prompt_tokens": 12, "completion_tokens": 1}),
         chunk("stop", content="lo", usage={"prompt_tokens": 12, "completion_tokens": 3})],
        Said(usage=(12, 3)),
    ),
    "usage of zeros at the end": (
        [*HELLO, chunk("stop", usage=NUMBERS), last(usage={"prompt_tokens": 0, "completion_tokens": 0})],
        Said(usage=(12, 3)),
    ),
    "usage empty, or of nulls": (
        [chunk(content="Hello", usage={}), chunk("stop", usage={"prompt_tokens": None, "completion_tokens": None})],
        Said(),
    ),
    "usage with fractions and texts": (
        [*HELLO, chunk("stop", usage={"prompt_tokens": 12.0, "completion_tokens": "3"})], Said(usage=(12, 0)),
    ),
    "usage in the words of the Responses API": (
        [*HELLO, chunk("stop", usage={"input_tokens": 12, "output_tokens": 3,
                                      "input_tokens_details": {"cached_tokens": 8}})],
        Said(usage=(12, 3), cached=8),
    ),
    "deepseek: cached tokens under a name of its own": (
        [*HELLO, chunk("stop", usage=NUMBERS | {"prompt_cache_hit_tokens": 8})], Said(usage=(12, 3), cached=8),
    ),
    "ollama, sglang: an empty finish reason until the end": (
        [chunk("", content="Hello"), chunk("stop", content="")], Said(),
    ),
    "the finish reason with the last piece, and again without": (
        [chunk("stop", content="Hello"), chunk(None)], Said(),
    ),
    "gateways: no finish reason, the stream ended as it should": ([*HELLO], Said()),
    "gateways: no finish reason and no end, usage as the last chunk": (
        [*HELLO, last(usage=NUMBERS)], Said(usage=(12, 3)),
    ),
    "mistral: content as a list, thinking first": (
        [chunk(content=[{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]),
         chunk(content=[{"type": "text", "text": "Hello"}]), END],
        Said(),
    ),
    "mistral: references among the content": (
        [chunk(content=[{"type": "text", "text": "Hello"}, {"type": "reference", "reference_ids": [1]}]), END], Said(),
    ),
    "deepseek: reasoning beside an empty content": (
        [chunk(content=None, reasoning_content="hm"), chunk(content="Hello", reasoning_content=None), END],
        Said(reasoning="hm"),
    ),
    "openrouter: reasoning": ([chunk(content="", reasoning="hm"), *HELLO, END], Said(reasoning="hm")),
    "litellm: choices numbered 1": (
        [{"model": "m-1", "choices": [{"index": 1, "delta": {"content": "Hello"}, "finish_reason": "stop"}]}], Said(),
    ),
    "a second choice that nobody asked for": (
        [{"model": "m-1", "choices": [{"index": 0, "delta": {"content": "Hello"}},
                                     {"index": 1, "delta": {"content": "Hullo"}}]}, END],
        Said(),
    ),
    "litellm: another id in each chunk": ([one | {"id": str(n)} for n, one in enumerate([*HELLO, END])], Said()),
    "a message in place of a delta": (
        [{"model": "m-1", "choices": [{"index": 0, "message": {"content": "Hello"}, "finish_reason": "stop"}]}], Said(),
    ),
    "text in place of a delta": (
        [{"model": "m-1", "choices": [{"index": 0, "text": "Hello", "finish_reason": "stop"}]}], Said(),
    ),
    "no model at all": ([{"choices": [{"delta": {"content": "Hello"}, "finish_reason": "stop"}]}], Said(model="m")),
}  # fmt: skip


@pytest.mark.parametrize("form", TEXTS)
def test_texts_and_usage_are_what_the_chunks_say(form: str) -> None:
    chunks, wanted = TEXTS[form]
    unended = "no end" in form

    reply = read(chunks, done=not unended)

    assert wanted == Said(
        reply.text, (reply.input_tokens, reply.output_tokens), reply.finish_reason, reply.model, reply.cached_tokens,
        reply.reasoning,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("chunks", "done"),
    [
        ([chunk(content="half")], False),
        ([], True),
        ([last(usage=NUMBERS)], True),
        ([chunk("error", content="x")], True),
    ],
    ids=["no finish reason and no end", "nothing", "usage alone", "openrouter's finish reason of an error"],
)
def test_what_is_no_whole_answer_is_incomplete(chunks: list[Any], *, done: bool) -> None:
    with pytest.raises(IncompleteReplyError, match="the stream of m ended with"):
        read(chunks, done=done)


@pytest.mark.parametrize("arguments", ['{"city": ', "[1]", '"Paris"', '{"city": "Paris"} and more'])
def test_arguments_that_are_no_object_are_an_error_that_is_tried_again(arguments: str) -> None:
    with pytest.raises((IncompleteReplyError, json.JSONDecodeError)) as caught:
        read(calling(tool(0, "a", "weather", arguments)))

    assert is_retryable(caught.value)


# What stands on the wire


def asked(body: str, *, content_type: str = "text/event-stream", attempts: int = 1) -> tuple[Reply, int]:
    """The reply to `body`, and how many requests it took."""
    requests: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        requests.append(request)
        return httpx2.Response(200, headers={"content-type": content_type}, content=body.encode())

    async def main() -> Reply:
        client = ModelClient(
            base_url="http://x/v1", api_key="k", clock=Clock(), retries=Retries(attempts=attempts),
            transport=httpx2.MockTransport(answer),
        )  # fmt: skip
        try:
            return await client.chat(model="m", messages=[{"role": "user", "content": "Hello"}])
        finally:
            await client.close()

    return run_virtual(main)[0], len(requests)


ONE = json.dumps(chunk("stop", content="Hello"))
BODIES = {
    "openai": f"data: {ONE}\n\ndata: [DONE]\n\n",
    "openrouter: comments before and between": f": OPENROUTER PROCESSING\n\n: wait\n\ndata: {ONE}\n\ndata: [DONE]\n\n",
    "no blank after the colon": f"data:{ONE}\n\ndata:[DONE]\n\n",
    "lines that end as on Windows": f"data: {ONE}\r\n\r\ndata: [DONE]\r\n\r\n",
    "fields besides data": f"event: completion\nid: 7\nretry: 100\ndata: {ONE}\n\ndata: [DONE]\n\n",
    "an event of several lines": "".join(
        f"data: {line}\n" for line in json.dumps(json.loads(ONE), indent=1).split("\n")
    )
    + "\ndata: [DONE]\n\n",
    "no empty line at the end": f"data: {ONE}\n\ndata: [DONE]",
    "no end at all": f"data: {ONE}",
    "something after the end": f"data: {ONE}\n\ndata: [DONE]\n\ndata: nonsense\n\n",
}


@pytest.mark.parametrize("form", BODIES)
def test_events_are_read_from_whatever_lines_they_stand_in(form: str) -> None:
    assert asked(BODIES[form])[0].text == "Hello"


class Tail(httpx2.AsyncByteStream):
    """A body that is not over after its last event."""

    def __init__(self, *, drops: bool) -> None:
        self._drops = drops

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield f"data: {ONE}\n\ndata: [DONE]\n\n".encode()
        if self._drops:
            raise httpx2.ReadError("gone")
        await asyncio.sleep(3600.0)


@pytest.mark.parametrize("drops", [True, False], ids=["drops the connection", "keeps the body open"])
def test_a_server_that_does_not_end_the_body_has_answered_all_the_same(*, drops: bool) -> None:
    async def main() -> Reply:
        transport = httpx2.MockTransport(
            lambda _: httpx2.Response(200, headers={"content-type": "text/event-stream"}, stream=Tail(drops=drops))
        )
        client = ModelClient(base_url="http://x/v1", api_key="k", clock=Clock(), transport=transport)
        try:
            return await client.chat(model="m", messages=[{"role": "user", "content": "Hello"}])
        finally:
            await client.close()

    reply, seconds = run_virtual(main)

    assert (reply.text, seconds < 1.0) == ("Hello", True)


def test_a_whole_document_in_place_of_a_stream_is_an_answer() -> None:
    whole = {"model": "m-1", "choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}], "usage": NUMBERS}

    with capture() as spans:
        reply, _ = asked(json.dumps(whole), content_type="application/json")
    [span] = [one for one in spans() if one["name"] == "chat m"]

    assert (reply.text, reply.input_tokens, reply.output_tokens) == ("Hello", 12, 3)
    assert span["attributes"]["gen_ai.usage.output_tokens"] == 3


def test_a_page_in_place_of_a_stream_says_so() -> None:
    with pytest.raises(IncompleteReplyError, match=r"a page \(text/html\) and no stream; is the base URL right"):
        asked("<html>Please log in</html>", content_type="text/html")


@pytest.mark.parametrize(
    ("error", "message", "again"),
    [
        ({"code": 502, "message": "Provider disconnected"}, "Provider disconnected", True),
        ({"code": 400, "message": "prompt is too long"}, "prompt is too long", False),
        ({"code": "429", "message": "slow down"}, "slow down", True),
        ({"type": "server_error", "message": "oops"}, "oops", True),
        ({"type": "overloaded_error"}, "an error in the stream", True),
        ({"code": "context_length_exceeded", "message": "too long"}, "too long", False),
        ({"code": "insufficient_quota", "message": "pay"}, "pay", False),
        ("Worker local total request limit reached", "Worker local total request limit reached", True),
    ],
)  # fmt: skip
def test_an_error_inside_a_stream_is_raised_and_tried_again_where_that_can_help(
    error: Any, message: str, *, again: bool
) -> None:
    body = f"data: {ONE}\n\ndata: {json.dumps({'error': error, 'choices': []})}\n\n"

    with capture() as spans, pytest.raises(openai.APIError, match=message) as caught:
        asked(body, attempts=2)

    assert is_retryable(caught.value) == again
    assert len([span for span in spans() if span["name"] == "attempt"]) == (2 if again else 0)


# What providers say of limits

NOW = "Mon, 30 Nov 2026 12:00:00 GMT"


def refusal(status: int = 429, body: Any = None, **headers: str) -> openai.APIStatusError:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    response = httpx2.Response(status, headers=named, request=httpx2.Request("POST", "http://x"))
    return openai.APIStatusError("refused", response=response, body=body)


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (refusal(retry_after="3"), 3.0),
        (refusal(retry_after="0.25"), 0.25),
        (refusal(retry_after_ms="250", retry_after="1"), 0.25),
        (refusal(date=NOW, retry_after="Mon, 30 Nov 2026 12:00:07 GMT"), 7.0),
        (refusal(date=NOW, retry_after="Monday, 30-Nov-26 12:00:07 GMT"), 7.0),
        (refusal(date=NOW, retry_after="Mon, 30 Nov 2026 11:59:00 GMT"), 0.0),
        (refusal(503, date=NOW, retry_after="Mon, 30 Nov 2026 12:01:00 GMT"), 60.0),
        (refusal(retry_after="-5"), 0.0),
        (refusal(retry_after="soon"), None),
        (refusal(retry_after="nan"), None),
        (refusal(retry_after="Mon, 99 Nov 2026 12:00:00 GMT"), None),
        (refusal(x_ratelimit_remaining_tokens="0", x_ratelimit_reset_tokens="6m0s"), 360.0),
        (refusal(x_ratelimit_remaining_requests="0", x_ratelimit_reset_requests="170ms",
                 x_ratelimit_remaining_tokens="90", x_ratelimit_reset_tokens="9s"), 0.17),
        (refusal(body={"error": {"details": [{"@type": "RetryInfo", "retryDelay": "34s"}]}}), 34.0),
        (refusal(body=[{"error": {}}]), None),
        (refusal(500), None),
    ],
)  # fmt: skip
def test_how_long_a_provider_asks_to_wait(error: openai.APIStatusError, seconds: float | None) -> None:
    assert retry_after(error) == (pytest.approx(seconds) if seconds is not None else None)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("17ms", 0.017), ("1.2s", 1.2), ("6m0s", 360.0), ("1h2m3.5s", 3723.5), ("4", 4.0), ("", None), ("soon", None),
     ("3 s", None), ("12x", None)],
)  # fmt: skip
def test_durations_as_providers_write_them(text: str, seconds: float | None) -> None:
    assert duration_seconds(text) == seconds


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (refusal(429), True),
        (refusal(429, body={"error": {"code": "insufficient_quota", "type": "insufficient_quota"}}), False),
        (refusal(429, body={"code": "billing_hard_limit_reached"}), False),
        (refusal(429, body={"message": "Request too large for m on tokens per min: Limit 10, Requested 12."}), False),
        (refusal(429, x_should_retry="false"), False),
        (refusal(400, x_should_retry="true"), True),
        (refusal(500, x_should_retry="no idea"), True),
    ],
)
def test_a_refusal_that_time_does_not_cure_is_not_tried_again(error: openai.APIStatusError, *, again: bool) -> None:
    assert is_retryable(error) == again
