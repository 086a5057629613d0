"""Structured answers, JSON that is taken when it is complete, the Responses API, and embeddings in batches."""

from __future__ import annotations

import asyncio
import json
import random
from typing import TYPE_CHECKING, Any

import httpx2
import openai
import pytest
from pydantic import BaseModel

from spanwise.testing import capture, run_virtual
from spanwise_pipeline import Clock, ModelClient, Reply, Retries, ToolCall
from spanwise_pipeline.calls.formats import InvalidReplyError, form_of
from spanwise_pipeline.calls.json_watch import JsonWatch
from spanwise_pipeline.calls.responses import ResponseDraft, request_of
from spanwise_pipeline.in_process import InProcessTransport
from spanwise_pipeline.provider.app import create_app
from spanwise_pipeline.provider.profile import Model, Profile

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable


class Decision(BaseModel):
    action: str
    size: int


SCHEMA = {
    "title": "decision",
    "type": "object",
    "properties": {"action": {"type": "string"}, "size": {"type": "integer"}},
    "required": ["action", "size"],
    "additionalProperties": False,
}
GOOD = '{"action": "buy", "size": 3}'


def asking(transport: httpx2.AsyncBaseTransport, ask: Callable[[ModelClient], Awaitable[Any]], **settings: Any) -> Any:
    async def main() -> Any:
        given = {"clock": Clock(), **settings}
        client = ModelClient(base_url="http://x/v1", api_key="k", transport=transport, **given)
        try:
            return await ask(client)
        finally:
            await client.close()

    return run_virtual(main)


def provider() -> InProcessTransport:
    model = Model(time_to_first_token_s=1.0, time_per_token_s=0.1)
    return InProcessTransport(create_app(Profile("test", default_model=model)))


class Stream(httpx2.AsyncBaseTransport):
    """Answers with pieces of text, one a second, and counts the requests and the pieces that were read."""

    def __init__(self, *answers: list[str], usage: bool = True) -> None:
        self._answers = list(answers)
        self._usage = usage
        self.requests: list[Any] = []
        self.read = 0

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(json.loads(await request.aread()))
        pieces = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, stream=Pieces(self, pieces))


class Pieces(httpx2.AsyncByteStream):
    def __init__(self, owner: Stream, pieces: list[str]) -> None:
        self._owner = owner
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            self._owner.read += 1
            yield event({"choices": [{"index": 0, "delta": {"content": piece}}]})
            await asyncio.sleep(1.0)
        usage = {"prompt_tokens": 12, "completion_tokens": 3}
        yield event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        yield event({"choices": [], "usage": usage}) + b"data: [DONE]\n\n"


def event(data: Any) -> bytes:
    return f"data: {json.dumps(data)}\n\n".encode()


def decide(client: ModelClient, **more: Any) -> Awaitable[Reply]:
    messages = [{"role": "user", "content": "Decide."}]
    return client.chat(model="m", messages=messages, **{"response_format": Decision, **more})


# Structure


def test_an_answer_comes_back_as_an_instance_of_the_model_that_was_asked_for() -> None:
    transport = Stream([GOOD])

    reply, _ = asking(transport, decide)

    assert reply.parsed == Decision(action="buy", size=3)
    form = transport.requests[0]["response_format"]
    assert (form["type"], form["json_schema"]["name"], form["json_schema"]["strict"]) == (
        "json_schema",
        "Decision",
        True,
    )
    assert form["json_schema"]["schema"]["additionalProperties"] is False


def test_an_answer_follows_a_json_schema() -> None:
    reply, _ = asking(Stream([GOOD]), lambda client: decide(client, response_format=SCHEMA))

    assert reply.parsed == {"action": "buy", "size": 3}


def test_the_simulated_provider_answers_in_the_structure() -> None:
    def ask(client: ModelClient) -> Awaitable[Reply]:
        facts = [{"role": "user", "content": "action = buy\nsize = 3"}]
        return client.chat(model="m", messages=facts, response_format=Decision)

    assert asking(provider(), ask)[0].parsed == Decision(action="buy", size=3)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ('{"action": "buy"}', "size"),
        ('{"action": "buy", "size": "many"}', "size"),
        ("I would buy.", "no JSON"),
        ('{"action": "buy", "si', "was max_tokens too small"),
    ],
)
@pytest.mark.parametrize("wanted", [Decision, SCHEMA])
def test_an_answer_of_another_structure_is_tried_again_and_then_an_error_that_says_where(
    answer: str, message: str, wanted: Any
) -> None:
    transport = Stream([answer])

    with capture() as spans, pytest.raises(InvalidReplyError, match=message):
        asking(transport, lambda client: decide(client, response_format=wanted), retries=Retries(attempts=2))

    assert len(transport.requests) == 2
    assert [span["attributes"].get("spanwise.retry.scheduled") for span in spans() if span["name"] == "attempt"] == [
        True, None,
    ]  # fmt: skip
    found, _ = asking(Stream([answer], [GOOD]), decide)
    assert found.parsed == Decision(action="buy", size=3)


def test_a_fence_around_the_json_is_no_fault() -> None:
    assert asking(Stream([f"```json\n{GOOD}\n```"]), decide)[0].parsed == Decision(action="buy", size=3)


def test_a_schema_that_is_none_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(ValueError, match=r"response_format is no JSON schema: \$.type"):
        form_of({"type": "objekt"})


# JSON that is taken when it is complete


def pieces_of(text: str, draw: random.Random) -> list[str]:
    cuts = sorted(draw.sample(range(len(text) + 1), min(6, len(text))))
    return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]


@pytest.mark.parametrize("head", ["", " \n", "```json\n", "```\n"])
@pytest.mark.parametrize("tail", ["", "\n```", "\n\nI hope this helps!", "   "])
def test_json_is_complete_with_its_last_brace_and_not_before(head: str, tail: str) -> None:
    for seed in range(40):
        draw = random.Random(seed)
        value = {"a": [1, {"b": "}]{["}], "c": 'ä\\"', "d": {}, "e": draw.random()}
        text = json.dumps(value, ensure_ascii=bool(seed % 2))
        watch = JsonWatch()
        seen = ""
        for piece in pieces_of(head + text + tail, draw):
            seen += piece
            assert watch.feed(piece) == (len(seen) >= len(head + text)), (seen, text)


@pytest.mark.parametrize("text", ["I would buy.", "12", '"text"', '{"a": }', "{1: 2}", "", "``", '{"a": NaN}'])
def test_what_is_no_object_or_array_is_never_complete(text: str) -> None:
    watch = JsonWatch()

    assert not any(watch.feed(piece) for piece in text)


def test_a_stream_that_goes_on_after_its_json_is_closed() -> None:
    transport = Stream([GOOD[:10], GOOD[10:], *["Let me explain at length."] * 50])

    with capture() as spans:
        reply, seconds = asking(transport, lambda client: decide(client, stop_early=True))
    [span] = [one for one in spans() if one["name"] == "chat m"]

    assert reply.parsed == Decision(action="buy", size=3)
    assert (seconds, transport.read) == (pytest.approx(1.05), 2)
    assert (reply.finish_reason, reply.output_tokens) == ("stop", 0)
    assert span["attributes"]["spanwise.stream.closed_early"] is True
    assert span["status"] == "UNSET"


def test_the_end_of_a_stream_is_waited_for_in_system_time() -> None:
    """At speed 20 a wait of 50 ms of real time would be a second."""
    transport = Stream([GOOD[:10], GOOD[10:], *["Let me explain at length."] * 50])

    _, seconds = asking(transport, lambda client: decide(client, stop_early=True), clock=Clock(20.0))

    assert seconds == pytest.approx(1.0025)


def test_a_stream_that_ends_soon_is_read_to_its_end_for_its_usage_and_connection() -> None:
    body = event({"choices": [{"delta": {"content": GOOD}}]})
    body += event({"choices": [{"delta": {}, "finish_reason": "stop"}]})
    body += event({"choices": [], "usage": {"prompt_tokens": 12, "completion_tokens": 3}}) + b"data: [DONE]\n\n"
    transport = httpx2.MockTransport(
        lambda _: httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=body)
    )

    with capture() as spans:
        reply, _ = asking(transport, lambda client: decide(client, stop_early=True))

    assert (reply.parsed, reply.output_tokens) == (Decision(action="buy", size=3), 3)
    assert "spanwise.stream.closed_early" not in spans()[0]["attributes"]


# The Responses API


def test_a_response_is_the_same_reply() -> None:
    def ask(client: ModelClient) -> Awaitable[Any]:
        facts = [{"role": "user", "content": "action = buy\nsize = 3\nState action, size."}]
        return asyncio.gather(
            client.chat(model="m", messages=facts), client.chat(model="m", messages=facts, responses=True)
        )

    (chat, response), _ = asking(provider(), ask)

    assert response.text == chat.text != ""
    assert (response.finish_reason, response.output_tokens) == ("stop", chat.output_tokens)
    assert response.input_tokens > 0


def test_a_response_has_tool_calls_structure_and_limits_of_length() -> None:
    tool = {"type": "function", "function": {"name": "price", "parameters": {"type": "object", "properties": {}}}}

    def ask(client: ModelClient) -> Awaitable[Any]:
        def one(text: str, **more: Any) -> Awaitable[Reply]:
            return client.chat(model="m", messages=[{"role": "user", "content": text}], responses=True, **more)

        return asyncio.gather(
            one("a = 1\nCall the tools price.", tools=[tool]),
            one("action = buy\nsize = 3", response_format=Decision),
            one("a = 1\nState a.\nUse about 100 words for each fact.", max_tokens=16),
        )

    (called, structured, cut), _ = asking(provider(), ask)

    assert [(call.name, call.arguments) for call in called.tool_calls] == [("price", {})]
    assert (called.finish_reason, cut.finish_reason) == ("tool_calls", "length")
    assert structured.parsed == Decision(action="buy", size=3)


def test_a_conversation_with_tools_becomes_items() -> None:
    call = {"id": "a", "type": "function", "function": {"name": "price", "arguments": "{}"}}
    chat = {
        "model": "m",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "a", "content": "27.95"},
        ],
        "max_tokens": 50,
        "tools": [{"type": "function", "function": {"name": "price", "parameters": {}}}],
    }

    assert request_of(chat) == {
        "model": "m",
        "input": [
            {"role": "system", "content": "Be brief."},
            {"type": "function_call", "call_id": "a", "name": "price", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "a", "output": "27.95"},
        ],
        "max_output_tokens": 50,
        "tools": [{"type": "function", "name": "price", "parameters": {}}],
    }


def test_a_response_that_failed_or_broke_off_is_incomplete() -> None:
    failed = ResponseDraft()
    failed.add({"type": "response.failed", "response": {"status": "failed", "error": {"message": "overloaded"}}})

    with pytest.raises(RuntimeError, match="the response of m failed: overloaded"):
        failed.finish("m", done=True)
    with pytest.raises(RuntimeError, match="ended without a whole response"):
        ResponseDraft().finish("m", done=True)


def test_a_response_s_parts_are_put_together() -> None:
    draft = ResponseDraft()
    assert draft.add({"type": "response.output_text.delta", "delta": "He"}) == "He"
    content = [{"type": "output_text", "text": "Hello"}, {"type": "refusal", "refusal": "no"}]
    output = [
        {"type": "reasoning", "summary": []},
        {"type": "message", "content": content},
        {"type": "function_call", "call_id": "a", "name": "f", "arguments": '{"x": 1}'},
    ]
    usage = {"input_tokens": 5, "output_tokens": 2, "input_tokens_details": {"cached_tokens": 4}}
    draft.add({"type": "response.completed", "response": {"id": "r", "model": "m-1", "output": output, "usage": usage}})

    calls = (ToolCall("a", "f", {"x": 1}),)
    wanted = Reply("Hello", calls, "tool_calls", 5, 2, cached_tokens=4, refusal="no", model="m-1")
    assert draft.finish("m", done=True) == wanted


# Embeddings


class Embedder(httpx2.AsyncBaseTransport):
    """Embeds texts as their lengths; refuses a batch with a text called bad, and fails as often as it is told."""

    def __init__(self, *, fails: int = 0) -> None:
        self._fails = fails
        self.batches: list[int] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        texts = json.loads(await request.aread())["input"]
        self.batches.append(len(texts))
        await asyncio.sleep(1.0)
        if self._fails:
            self._fails -= 1
            return httpx2.Response(500, request=request)
        if any(text.startswith("bad") for text in texts):
            return httpx2.Response(400, json={"error": {"message": "too long"}}, request=request)
        data = [{"object": "embedding", "index": i, "embedding": [float(len(t))]} for i, t in enumerate(texts)]
        usage = {"prompt_tokens": len(texts), "total_tokens": len(texts)}
        answer = {"object": "list", "data": data[::-1], "model": "e", "usage": usage}
        return httpx2.Response(200, json=answer, request=request)


def test_texts_are_embedded_in_batches_and_in_order() -> None:
    embedder = Embedder()
    texts = ["x" * n for n in range(1, 11)]

    with capture() as spans:
        vectors, seconds = asking(embedder, lambda client: client.embed(model="e", texts=texts, batch=4, at_once=2))

    assert vectors == [[float(n)] for n in range(1, 11)]
    assert (embedder.batches, seconds) == ([4, 4, 2], 2.0)
    assert [span["attributes"]["gen_ai.usage.input_tokens"] for span in spans()] == [4, 4, 2]
    assert {span["name"] for span in spans()} == {"embeddings e"}


def test_a_batch_that_is_refused_costs_only_the_text_that_is_at_fault() -> None:
    embedder = Embedder()
    texts = ["one", "bad", "three", "four"]

    with pytest.raises(ExceptionGroup, match="1 of 4 texts were not embedded") as caught:
        asking(embedder, lambda client: client.embed(model="e", texts=texts, batch=2))

    [error] = caught.value.exceptions
    assert isinstance(error, openai.BadRequestError)
    assert error.__notes__ == ["text 1"]
    assert sorted(embedder.batches) == [1, 1, 2, 2]


def test_a_batch_that_fails_is_tried_again() -> None:
    embedder = Embedder(fails=1)

    with capture() as spans:
        vectors, _ = asking(embedder, lambda client: client.embed(model="e", texts=["one"]), retries=Retries())

    assert (vectors, embedder.batches) == ([[3.0]], [1, 1])
    assert [span["attributes"].get("spanwise.retry.scheduled") for span in spans()] == [None, True, None, None]


def test_the_simulated_provider_embeds() -> None:
    vectors, _ = asking(provider(), lambda client: client.embed(model="m", texts=["a b", "a b", "c"], dimensions=8))

    assert [len(vector) for vector in vectors] == [8, 8, 8]
    assert vectors[0] == vectors[1] != vectors[2]
