from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import httpx2
import openai
import pytest

import spanwise
from spanwise.testing import capture, run_virtual
from spanwise_pipeline import Clock, IncompleteReplyError, ModelClient, Reply, Retries, ToolCall
from spanwise_pipeline.calls.errors import is_retryable, retry_after
from spanwise_pipeline.in_process import InProcessTransport
from spanwise_pipeline.provider.app import create_app
from spanwise_pipeline.provider.profile import Failures, Model, Profile

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    Ask = Callable[[ModelClient], Coroutine[Any, Any, Any]]

PROMPT = "a = 1\nb = 2\nState a, b.\nUse about 40 words for each fact."
PRICE: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "price",
        "description": "The price.",
        "parameters": {"type": "object", "properties": {"ticker": {"type": "string"}, "days": {"type": "integer"}}},
    },
}


def user(text: str = PROMPT) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


def model(**settings: Any) -> Model:
    return Model(time_to_first_token_s=1.0, time_per_token_s=0.1, **settings)


def chat(client: ModelClient, text: str = PROMPT, **more: Any) -> Coroutine[Any, Any, Reply]:
    return client.chat(model="m", messages=user(text), **more)


def running(ask: Ask, app: Any = None, *, speed: float = 1.0, **client: Any) -> tuple[Any, float]:
    """Run `ask` with a client of `app` on the virtual clock."""

    async def main() -> Any:
        served = app if app is not None else create_app(Profile("test", default_model=model()), speed=speed)
        transport = InProcessTransport(served)
        options: dict[str, Any] = {"base_url": "http://in-process/v1", "api_key": "k", "clock": Clock(speed)} | client
        models = ModelClient(transport=transport, **options)
        try:
            return await ask(models)
        finally:
            await models.close()

    return run_virtual(main)


class Flaky:
    """The provider's application behind one that spoils the first `times` requests."""

    def __init__(self, kind: str, times: int, **failures: Any) -> None:
        rates: dict[str, Any] = {kind: 1.0, **failures}
        self._bad = create_app(Profile("bad", default_model=model(failures=Failures(**rates))))
        self._good = create_app(Profile("good", default_model=model()))
        self._left = times

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        app = self._bad if self._left > 0 else self._good
        self._left -= 1
        await app(scope, receive, send)


def refusing(status: int, headers: dict[str, str], *, times: int = 1) -> Any:
    """An application that refuses the first `times` requests."""
    good = create_app(Profile("good", default_model=model()))
    left = [times]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if left[0] == 0:
            await good(scope, receive, send)
            return
        left[0] -= 1
        pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": pairs})
        await send({"type": "http.response.body", "body": b'{"error": {"message": "refused"}}'})

    return app


def streaming(*events: Any, gap: float = 0.0, done: bool = True) -> Any:
    """An application that streams `events`, `gap` seconds apart."""

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        for event in events:
            await asyncio.sleep(gap)
            data = f"data: {json.dumps(event)}\n\n".encode()
            await send({"type": "http.response.body", "body": data, "more_body": True})
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n" if done else b"", "more_body": False})

    return app


def delta(finish: str | None = None, **content: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": content, "finish_reason": finish}
    return {"id": "chat-1", "object": "chat.completion.chunk", "created": 0, "model": "m-1", "choices": [choice]}


def calls_of(spans: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [span for span in spans if span["name"] == "chat m"]


def requests_of(spans: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [span for span in spans if span["name"] == "attempt"]


def test_a_reply_has_the_streamed_text_and_the_usage() -> None:
    reply, seconds = running(chat)

    lines = reply.text.splitlines()
    assert (lines[0], lines[2]) == ("a = 1", "b = 2")
    assert [len(line.split()) for line in lines[1::2]] == [40, 40]
    assert (reply.tool_calls, reply.finish_reason) == ((), "stop")
    assert reply.input_tokens == 3 + 4 + -(-len(PROMPT) // 4)
    assert reply.output_tokens == -(-len(reply.text) // 4)
    assert seconds == pytest.approx(1.0 + 0.1 * reply.output_tokens)


def test_tool_calls_come_with_their_arguments() -> None:
    reply, _ = running(
        lambda client: chat(client, "ticker = ACME\ndays = 5\nCall the tools price.\nState close.", tools=[PRICE])
    )

    (call,) = reply.tool_calls
    assert (call.name, dict(call.arguments), reply.finish_reason) == (
        "price", {"ticker": "ACME", "days": 5}, "tool_calls",
    )  # fmt: skip
    assert reply.as_message() == {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": "price", "arguments": '{"ticker": "ACME", "days": 5}'},
            }
        ],
    }


def test_tool_calls_are_put_together_from_the_stream_s_deltas() -> None:
    def part(index: int, **function: str) -> dict[str, Any]:
        head = {"id": f"call_{index}", "type": "function"} if "name" in function else {}
        return delta(tool_calls=[{"index": index, **head, "function": function}])

    app = streaming(
        part(0, name="price", arguments=""),
        part(0, arguments='{"tick'),
        part(1, name="news", arguments="{}"),
        part(0, arguments='er": "A"}'),
        delta("tool_calls"),
    )

    reply, _ = running(chat, app)

    calls = (ToolCall("call_0", "price", {"ticker": "A"}), ToolCall("call_1", "news", {}))
    assert reply == Reply("", calls, "tool_calls", 0, 0, model="m-1")


def test_a_call_is_a_span_with_usage_and_time_to_first_chunk() -> None:
    with capture() as spans:
        reply, _ = running(lambda client: chat(client, max_tokens=500), seed=7)
    (span,) = calls_of(spans())

    attributes = span["attributes"]
    assert 0 < attributes.pop("gen_ai.response.time_to_first_chunk") <= (span["end_ns"] - span["start_ns"]) / 1e9
    assert attributes.pop("spanwise.stream.chunks") > 2
    assert attributes.pop("spanwise.stream.tokens_per_second") > 0
    assert attributes.pop("gen_ai.response.id")
    assert attributes.pop("spanwise.connection.seconds") >= 0
    assert attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "m",
        "gen_ai.request.stream": True,
        "gen_ai.request.max_tokens": 500,
        "gen_ai.request.seed": 7,
        "gen_ai.response.model": "m",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": reply.input_tokens,
        "gen_ai.usage.output_tokens": reply.output_tokens,
        "server.address": "in-process",
        "server.port": 80,
        "spanwise.connection.new": True,
    }
    assert (span["kind"], span["status"]) == ("CLIENT", "UNSET")


def test_tokens_are_summed_on_the_agent() -> None:
    async def ask(client: ModelClient) -> list[Reply]:
        with spanwise.agent("risk"):
            return [await chat(client) for _ in range(2)]

    with capture() as spans:
        replies, _ = running(ask)
    agent = next(span for span in spans() if span["name"] == "invoke_agent risk")

    assert agent["attributes"]["spanwise.usage.input_tokens"] == sum(reply.input_tokens for reply in replies)
    assert agent["attributes"]["spanwise.usage.output_tokens"] == sum(reply.output_tokens for reply in replies)


def test_the_first_chunk_s_time_is_taken_when_it_comes() -> None:
    seen: list[float] = []

    class Listening(InProcessTransport):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            response = await super().handle_async_request(request)
            seen.append(asyncio.get_running_loop().time())
            return response

    async def main() -> float:
        app = create_app(Profile("test", default_model=model()))
        client = ModelClient(base_url="http://x/v1", api_key="k", clock=Clock(), transport=Listening(app))
        await chat(client)
        await client.close()
        return asyncio.get_running_loop().time()

    end, _ = run_virtual(main)
    assert seen == [pytest.approx(1.0)]
    assert end > 5.0


@pytest.mark.parametrize(
    ("kind", "error_type", "lost"),
    [
        ("error_500", "500", 1.0),
        ("stall", "openai.APIConnectionError", 30.0),
        ("drop", "openai.APIConnectionError", None),
        ("malformed", "json.decoder.JSONDecodeError", None),
    ],
)
def test_a_failed_attempt_is_tried_again_and_can_be_seen(kind: str, error_type: str, lost: float | None) -> None:
    async def ask(client: ModelClient) -> Reply:
        with spanwise.agent("risk"):
            return await chat(client)

    reference, alone = running(ask)
    with capture() as spans:
        reply, seconds = running(ask, Flaky(kind, 1, stall_s=30.0), retries=Retries(first_pause=4.0))
    [call] = calls_of(spans())
    attempts = requests_of(spans())
    waits = [span for span in spans() if span["name"] == "wait chat"]

    assert reply == reference
    assert [span["attributes"].get("error.type") for span in attempts] == [error_type, None]
    assert [span["attributes"].get("spanwise.retry.scheduled") for span in attempts] == [True, None]
    assert [span["attributes"]["spanwise.retry.attempt"] for span in attempts] == [1, 2]
    assert [span["attributes"]["spanwise.wait.kind"] for span in waits] == ["retry_backoff"]
    assert {span["parent_id"] for span in attempts + waits} == {call["span_id"]}
    assert (call["status"], call["attributes"]["spanwise.attempts"]) == ("UNSET", 2)
    assert (attempts[0]["start_ns"], attempts[1]["end_ns"]) >= (call["start_ns"], attempts[0]["end_ns"])
    assert not any(name.startswith("gen_ai.operation") for span in attempts for name in span["attributes"])
    if lost is not None:
        assert seconds == pytest.approx(lost + 4.0 + alone)
    assert alone + 4.0 < seconds


def test_the_last_error_is_raised_unchanged_and_is_not_marked_for_a_retry() -> None:
    async def ask(client: ModelClient) -> float:
        with pytest.raises(openai.InternalServerError, match="simulated"):
            await chat(client)
        return asyncio.get_running_loop().time()

    with capture() as spans:
        ended, _ = running(ask, Flaky("error_500", 9), retries=Retries(attempts=3, first_pause=2.0))

    assert ended == pytest.approx(3 * 1.0 + 2.0 + 4.0)
    scheduled = [span["attributes"].get("spanwise.retry.scheduled") for span in requests_of(spans())]
    assert [span["attributes"]["error.type"] for span in calls_of(spans())] == ["500"]
    assert scheduled == [True, True, None]


def test_pauses_double_up_to_the_longest() -> None:
    async def ask(client: ModelClient) -> float:
        with pytest.raises(openai.InternalServerError):
            await chat(client)
        return asyncio.get_running_loop().time()

    retries = Retries(attempts=6, first_pause=1.0, longest_pause=5.0)
    assert running(ask, Flaky("error_500", 9), retries=retries)[0] == pytest.approx(6 * 1.0 + 1 + 2 + 4 + 5 + 5)


def test_pauses_are_in_system_seconds() -> None:
    _, slow = running(chat, refusing(500, {}), retries=Retries(first_pause=100.0, longest_pause=100.0))
    _, fast = running(chat, refusing(500, {}), retries=Retries(first_pause=100.0, longest_pause=100.0), speed=20.0)

    assert slow - fast == pytest.approx(100.0 - 5.0)


@pytest.mark.parametrize("speed", [1.0, 20.0])
@pytest.mark.parametrize(
    ("headers", "seconds"),
    [({"retry-after-ms": "2500", "retry-after": "3"}, 2.5), ({"retry-after": "3"}, 3.0)],
)
def test_what_the_provider_asks_for_is_waited_in_real_time(
    headers: dict[str, str], seconds: float, speed: float
) -> None:
    good = Profile("good", default_model=model())
    _, alone = running(chat, create_app(good))

    _, took = running(chat, refusing(429, headers), speed=speed)

    assert took - alone == pytest.approx(seconds)


def test_an_unreadable_retry_after_means_the_usual_pause() -> None:
    response = httpx2.Response(429, headers={"retry-after": "soon"}, request=httpx2.Request("POST", "http://x"))
    infinite = httpx2.Response(429, headers={"retry-after-ms": "inf"}, request=httpx2.Request("POST", "http://x"))

    assert [retry_after(openai.RateLimitError("", response=r, body=None)) for r in (response, infinite)] == [None, None]
    assert retry_after(ValueError()) is None


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_a_refusal_that_would_come_again_is_not_tried_again(status: int) -> None:
    async def ask(client: ModelClient) -> int:
        with pytest.raises(openai.APIStatusError) as caught:
            await chat(client)
        return caught.value.status_code

    with capture() as spans:
        found, seconds = running(ask, refusing(status, {}))

    assert (found, seconds) == (status, 0.0)
    assert [span["attributes"]["error.type"] for span in calls_of(spans())] == [str(status)]


def test_a_wrong_key_is_refused_by_the_provider() -> None:
    async def ask(client: ModelClient) -> str:
        with pytest.raises(openai.AuthenticationError) as caught:
            await chat(client)
        return str(caught.value.code)

    assert running(ask, create_app(Profile("closed", api_key="right")))[0] == "invalid_api_key"


def test_a_stream_without_a_finish_reason_is_incomplete() -> None:
    async def ask(client: ModelClient) -> str:
        with pytest.raises(IncompleteReplyError) as caught:
            await chat(client)
        return str(caught.value)

    app = streaming(delta(content="half"), done=False)
    with capture() as spans:
        message, _ = running(ask, app, retries=Retries(attempts=2))

    assert message == "the stream of m ended without a finish reason"
    assert len(requests_of(spans())) == 2


def test_a_stall_ends_at_the_attempt_s_timeout() -> None:
    reference, alone = running(chat)

    with capture() as spans:
        reply, seconds = running(
            chat, Flaky("stall", 1, stall_s=1000.0), timeout=20.0, retries=Retries(first_pause=1.0)
        )

    assert reply == reference
    assert seconds == pytest.approx(20.0 + 1.0 + alone)
    assert requests_of(spans())[0]["attributes"]["error.type"] == "openai.APITimeoutError"


def test_a_stream_that_trickles_ends_at_the_attempt_s_timeout() -> None:
    async def ask(client: ModelClient) -> float:
        with pytest.raises(openai.APITimeoutError):
            await chat(client)
        return asyncio.get_running_loop().time()

    trickle = streaming(*[delta(content="x")] * 100, gap=9.0)

    assert running(ask, trickle, timeout=20.0, retries=Retries(attempts=1))[0] == pytest.approx(20.0)


def test_the_timeout_is_in_system_seconds() -> None:
    async def ask(client: ModelClient) -> float:
        with pytest.raises(openai.APITimeoutError):
            await chat(client)
        return asyncio.get_running_loop().time()

    app = Flaky("stall", 1, stall_s=1000.0)
    assert running(ask, app, timeout=20.0, speed=20.0, retries=Retries(attempts=1))[0] == pytest.approx(1.0)


def test_cancelling_in_the_middle_of_a_stream_closes_span_and_response() -> None:
    closed: list[float] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await streaming(*[delta(content="x")] * 100, gap=1.0)(scope, receive, send)
        finally:
            closed.append(asyncio.get_running_loop().time())

    async def ask(client: ModelClient) -> None:
        task = asyncio.create_task(chat(client))
        await asyncio.sleep(3.5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with capture() as spans:
        running(ask, app)
    (span,) = calls_of(spans())

    assert closed == [3.5]
    assert (span["status"], span["attributes"]["spanwise.stream.chunks"]) == ("ERROR", 3)
    assert "spanwise.retry.scheduled" not in span["attributes"]


def test_cancelling_a_pause_ends_it() -> None:
    async def ask(client: ModelClient) -> float:
        with spanwise.agent("risk"):
            task = asyncio.create_task(chat(client))
            await asyncio.sleep(2.5)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        return asyncio.get_running_loop().time()

    with capture() as spans:
        ended, _ = running(ask, Flaky("error_500", 1), retries=Retries(first_pause=60.0))

    assert ended == 2.5
    assert [span["name"] for span in spans()] == ["invoke_agent risk", "chat m", "wait chat"]


def sent(**options: Any) -> dict[str, Any]:
    bodies: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        bodies.append(json.loads((await receive())["body"]))
        await streaming(delta("stop", content="x"))(scope, receive, send)

    running(lambda client: chat(client, "Hello", agent="risk", step="decide"), app, **options)
    return bodies[0]


def test_a_request_holds_only_what_was_asked_for() -> None:
    plain = {"model": "m", "messages": user("Hello"), "stream": True, "stream_options": {"include_usage": True}}

    assert sent() == plain
    assert sent(seed=3) == plain | {"seed": 3}
    assert sent(label_requests=True) == plain | {"metadata": {"agent": "risk", "step": "decide"}}


def test_what_can_be_tried_again() -> None:
    request = httpx2.Request("POST", "http://x")
    errors: dict[BaseException, bool] = {
        openai.APIConnectionError(request=request): True,
        openai.APITimeoutError(request=request): True,
        httpx2.ReadError(""): True,
        IncompleteReplyError(""): True,
        ValueError(""): False,
        asyncio.CancelledError(): False,
    }
    errors |= {
        openai.APIStatusError("", response=httpx2.Response(status, request=request), body=None): wanted
        for status, wanted in {400: False, 401: False, 408: True, 409: True, 429: True, 500: True, 503: True}.items()
    }

    assert {repr(error): is_retryable(error) for error in errors} == {repr(e): wanted for e, wanted in errors.items()}


def test_no_attempts_are_refused() -> None:
    with pytest.raises(ValueError, match="attempts must be at least 1, this is 0"):
        Retries(attempts=0)


def test_prompts_answers_and_offered_tools_are_recorded_where_they_are_allowed() -> None:
    def asked(allowed: str) -> tuple[Reply, dict[str, Any]]:
        with capture(capture_content=allowed) as spans:
            reply, _ = running(lambda client: chat(client, "a = ada@example.com\nState a.", tools=[PRICE]))
        [span] = [one for one in spans() if one["name"] == "chat m"]
        found = {name: json.loads(value) for name, value in span["attributes"].items() if name in content}
        return reply, found

    content = {"gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.tool.definitions"}
    assert asked("none")[1] == {}
    reply, found = asked("all")
    text = reply.text.replace("ada@example.com", "[redacted:email]")
    told = [{"type": "text", "content": text}] if text else []
    calls = [
        {"type": "tool_call", "id": one.id, "name": one.name, "arguments": dict(one.arguments)}
        for one in reply.tool_calls
    ]
    assert found == {
        "gen_ai.tool.definitions": [PRICE],
        "gen_ai.input.messages": [
            {"role": "user", "parts": [{"type": "text", "content": "a = [redacted:email]\nState a."}]}
        ],
        "gen_ai.output.messages": [{"role": "assistant", "parts": told + calls, "finish_reason": reply.finish_reason}],
    }
