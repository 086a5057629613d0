from __future__ import annotations

import asyncio
import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from support.asgi import Answer, request

from spanwise.testing.virtual_clock import run_virtual
from spanwise_pipeline.provider.app import create_app
from spanwise_pipeline.provider.profile import Failures, Model, Profile, PromptCache
from spanwise_pipeline.provider.tokens import tokens

if TYPE_CHECKING:
    from collections.abc import Coroutine

CHAT = "/v1/chat/completions"
TEXT = "a = 1\nb = 2\nState a, b.\nUse about 20 words for each fact."
SLOW = Model(time_to_first_token_s=1.0, time_per_token_s=0.1)


def chat(content: str = TEXT, **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": content}], **more}


def profile(model: Model = SLOW, **more: Any) -> Profile:
    return Profile("test", default_model=model, **more)


def ask(body: Any, settings: Profile | None = None, *, path: str = CHAT, speed: float = 1.0, **how: Any) -> Answer:
    return asks([body], settings, path=path, speed=speed, **how)[0]


def asks(
    bodies: list[Any], settings: Profile | None = None, *, path: str = CHAT, speed: float = 1.0, **how: Any
) -> list[Answer]:
    app = create_app(settings or profile(), speed=speed)

    async def main() -> list[Answer]:
        return [await request(app, path, body, **how) for body in bodies]

    return run_virtual(main)[0]


def test_an_answer_comes_whole_at_its_deadline() -> None:
    answer = ask(chat())
    body = answer.json()
    sent = body["usage"]["completion_tokens"]

    assert answer.status == 200
    assert answer.ended_at == pytest.approx(1.0 + 0.1 * sent)
    assert body == {
        "id": body["id"],
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": body["choices"][0]["message"]["content"],
                    "refusal": None,
                    "annotations": [],
                },
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "service_tier": "default",
        "system_fingerprint": "fp_simulated",
        "usage": {
            "prompt_tokens": 3 + 4 + tokens(TEXT),
            "completion_tokens": tokens(body["choices"][0]["message"]["content"]),
            "total_tokens": 3 + 4 + tokens(TEXT) + sent,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
        },
    }


def test_the_same_request_gives_the_same_bytes() -> None:
    noisy = profile(Model(sigma=0.5))
    one, two = asks([chat(), chat()], noisy)
    streams = asks([chat(stream=True)], noisy) + asks([chat(stream=True)], noisy)

    assert one.body == two.body
    assert one.ended_at != two.ended_at
    assert streams[0] == streams[1]


def test_a_stream_carries_the_same_text_at_the_same_time() -> None:
    whole = ask(chat(), speed=20.0)
    stream = ask(chat(stream=True, stream_options={"include_usage": True}), speed=20.0)
    *events, last = stream.events()
    text = "".join(event["choices"][0]["delta"].get("content") or "" for event in events)

    assert text == whole.json()["choices"][0]["message"]["content"]
    assert events[0]["choices"][0]["delta"] == {"role": "assistant", "content": "", "refusal": None}
    assert events[-1]["choices"][0]["finish_reason"] == "stop"
    assert (last["choices"], last["usage"]) == ([], whole.json()["usage"])
    assert stream.body.endswith(b"data: [DONE]\n\n")
    assert stream.pieces[0][0] == pytest.approx(1.0 / 20)
    assert stream.ended_at == pytest.approx(whole.ended_at)


def test_a_stream_without_usage_has_none() -> None:
    events = ask(chat(stream=True)).events()

    assert all("usage" not in event and event["choices"] for event in events)


def test_chunks_are_at_least_10_ms_apart() -> None:
    times = [at for at, _ in ask(chat(stream=True), speed=100.0).pieces]

    assert len(times) > 3
    assert min(later - earlier for earlier, later in pairwise(times)) >= 0.010 - 1e-9


def test_streamed_tool_calls_add_up_to_the_whole_ones() -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"properties": {"a": {"type": "integer"}}}}}
    other = {"type": "function", "function": {"name": "g"}}
    body = chat("a = 1\nCall the tools f, g.", tools=[tool, other])
    whole = ask(body).json()["choices"][0]
    events = ask(body | {"stream": True}).events()

    calls: dict[int, dict[str, Any]] = {}
    for event in events:
        for part in event["choices"][0]["delta"].get("tool_calls", []):
            call = calls.setdefault(part["index"], {"function": {"arguments": ""}})
            call["function"] |= {"name": part["function"].get("name", call["function"].get("name"))}
            call["function"]["arguments"] += part["function"]["arguments"]
            call |= {name: part[name] for name in ("id", "type") if name in part}
    assert list(calls.values()) == whole["message"]["tool_calls"]
    assert [c["function"] for c in whole["message"]["tool_calls"]] == [
        {"name": "f", "arguments": '{"a":1}'},
        {"name": "g", "arguments": "{}"},
    ]
    assert (whole["message"]["content"], whole["finish_reason"]) == (None, "tool_calls")


def test_noise_pairs_by_seed_and_key_across_different_prompts() -> None:
    noisy = profile(Model(time_to_first_token_s=1.0, time_per_token_s=0.0, sigma=0.4))
    metadata = {"agent": "trader", "step": "decide"}

    short = asks([chat("a = 1\nState a.", metadata=metadata, seed=s) for s in (1, 2)], noisy)
    long = asks([chat(metadata=metadata, seed=s) for s in (1, 2)], noisy)

    assert [a.ended_at for a in short] == [a.ended_at for a in long]
    assert short[0].ended_at != short[1].ended_at


def test_max_tokens_cuts_the_answer() -> None:
    choice = ask(chat("a = 123456\nState a.", max_completion_tokens=2)).json()["choices"][0]

    assert (choice["message"]["content"], choice["finish_reason"]) == ("a = 1234", "length")


def error(answer: Answer) -> tuple[int | None, str | None, str | None]:
    body = answer.json()["error"]
    assert sorted(body) == ["code", "message", "param", "type"]
    return answer.status, body["param"], body["code"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"{", (400, None, None)),
        (b"[]", (400, None, None)),
        (b'{"model": "\\ud800"}', (400, None, None)),
        (b'{"model": ' + b"[" * 100_000, (400, None, None)),
        ({}, (400, "model", "missing_required_parameter")),
        ({"model": "m"}, (400, "messages", "missing_required_parameter")),
        ({"model": "m", "messages": []}, (400, "messages", "empty_array")),
        ({"model": "m", "messages": "hi"}, (400, "messages", "invalid_type")),
        ({"model": "m", "messages": [{"content": "x"}]}, (400, "messages[0].role", "missing_required_parameter")),
        ({"model": "m", "messages": [{"role": "king", "content": "x"}]}, (400, "messages[0].role", "invalid_value")),
        ({"model": "m", "messages": [{"role": "user"}]}, (400, "messages[0].content", "missing_required_parameter")),
        (
            {"model": "m", "messages": [{"role": "tool", "content": "x"}]},
            (400, "messages[0].tool_call_id", "missing_required_parameter"),
        ),
        (chat(max_tokens=0), (400, "max_tokens", "integer_below_min_value")),
        (chat(n=2), (400, "n", "unsupported_value")),
        (chat(seed="x"), (400, "seed", "invalid_type")),
        (chat(stream="yes"), (400, "stream", "invalid_type")),
        (chat(tools=[{"type": "function"}]), (400, "tools[0].function", "invalid_type")),
        (chat(tool_choice={"type": "function", "function": {"name": "f"}}), (400, "tool_choice", "invalid_value")),
        (chat(response_format={"type": "yaml"}), (400, "response_format.type", "invalid_value")),
        (chat("State a b."), (400, "messages", "malformed_instruction")),
    ],
)
def test_what_is_wrong_with_a_request_is_said_in_openais_form(body: Any, expected: tuple[Any, ...]) -> None:
    answer = ask(body)

    assert error(answer) == expected
    assert answer.ended_at == 0.0


def test_a_malformed_instruction_is_quoted() -> None:
    message = ask(chat("hello\n- Compute x: 1 +.")).json()["error"]["message"]

    assert message == "Malformed instruction '- Compute x: 1 +.': '1 +' is no expression."


def test_unknown_routes_and_methods_have_openais_form_too() -> None:
    assert error(ask({}, path="/v1/nothing")) == (404, None, None)
    assert error(ask({}, path=CHAT, method="GET")) == (405, None, None)


def test_a_strict_profile_knows_only_its_models() -> None:
    strict = profile(models={"big/one": Model()}, strict_models=True)

    assert error(ask(chat(), strict)) == (404, "model", "model_not_found")
    assert ask({}, strict, path="/v1/models", method="GET").json() == {
        "object": "list",
        "data": [{"id": "big/one", "object": "model", "created": 1_700_000_000, "owned_by": "simulated"}],
    }
    assert ask({}, strict, path="/v1/models/big/one", method="GET").json()["id"] == "big/one"
    assert error(ask({}, strict, path="/v1/models/m", method="GET")) == (404, "model", "model_not_found")


def test_a_wrong_key_is_401() -> None:
    locked = profile(api_key="secret")

    assert error(ask(chat(), locked)) == (401, None, "invalid_api_key")
    assert error(ask({}, locked, path="/v1/models", method="GET")) == (401, None, "invalid_api_key")
    assert ask(chat(), locked, headers={"authorization": "Bearer secret"}).status == 200


def test_the_simulation_says_how_it_is_set() -> None:
    app = create_app(profile(), speed=20.0)

    async def main() -> Any:
        await request(app, CHAT, chat())
        return (await request(app, "/simulation", method="GET")).json()

    assert run_virtual(main)[0] == {
        "speed": 20.0,
        "profile": "test",
        "seed_field": "seed",
        "version": 1,
        "requests": 1,
    }


@pytest.mark.parametrize("speed", [0, -1, float("inf"), float("nan")])
def test_a_speed_that_is_none_is_refused(speed: float) -> None:
    with pytest.raises(ValueError, match="speed is a number above 0"):
        create_app(profile(), speed=speed)


def test_over_the_limit_is_429_at_once_and_draws_nothing() -> None:
    limited = profile(Model(time_to_first_token_s=1.0, time_per_token_s=0.0, sigma=0.5, requests_per_minute=1))
    free = profile(Model(time_to_first_token_s=1.0, time_per_token_s=0.0, sigma=0.5))
    app = create_app(limited)

    async def main() -> list[Answer]:
        first, refused = await request(app, CHAT, chat()), await request(app, CHAT, chat())
        await asyncio.sleep(60)
        return [first, refused, await request(app, CHAT, chat())]

    first, refused, later = run_virtual(main)[0]

    assert error(refused) == (429, None, "rate_limit_exceeded")
    assert refused.ended_at == 0.0
    assert first.headers["x-ratelimit-remaining-requests"] == "0"
    assert int(refused.headers["retry-after"]) == pytest.approx(60 - first.ended_at, abs=1)
    assert [first.ended_at, later.ended_at] == pytest.approx([a.ended_at for a in asks([chat(), chat()], free)])


def test_cached_beginnings_are_counted_and_cost_less() -> None:
    model = Model(
        time_to_first_token_s=0.0, time_per_token_s=0.0, prefill_s_per_1k_tokens=1.0, cached_prefill_share=0.0
    )
    settings = profile(model, prompt_cache=PromptCache(enabled=True, min_tokens=50))
    system = {"role": "system", "content": "x" * 400}
    bodies = [{"model": "m", "messages": [system, {"role": "user", "content": "y" * n}]} for n in (40, 80)]

    first, second = asks(bodies, settings)

    cached = [a.json()["usage"]["prompt_tokens_details"]["cached_tokens"] for a in (first, second)]
    assert cached == [0, 3 + 4 + 100]
    assert [first.ended_at, second.ended_at] == pytest.approx([0.121, 0.024])


def failing(**rates: float) -> Profile:
    return profile(Model(time_to_first_token_s=1.0, time_per_token_s=0.1, failures=Failures(**rates)))


def test_a_500_comes_at_the_time_of_the_first_token() -> None:
    answer = ask(chat(), failing(error_500=1.0))

    assert error(answer) == (500, None, None)
    assert answer.json()["error"]["type"] == "server_error"
    assert answer.ended_at == pytest.approx(1.0)


def test_a_stall_sends_nothing_until_the_connection_closes() -> None:
    answer = ask(chat(), failing(stall=1.0, stall_s=30.0), speed=10.0)

    assert (answer.status, answer.pieces, answer.complete) == (None, [], False)
    assert answer.ended_at == pytest.approx(3.0)


@pytest.mark.parametrize("stream", [False, True])
def test_a_drop_ends_in_the_middle(stream: bool) -> None:  # noqa: FBT001 - a parameter of the test
    full = ask(chat(stream=stream))
    answer = ask(chat(stream=stream), failing(drop=1.0))

    assert 0 < len(answer.body) < len(full.body)
    assert not answer.complete
    assert 1.0 < answer.ended_at < full.ended_at


@pytest.mark.parametrize("stream", [False, True])
def test_a_malformed_answer_ends_properly_with_broken_json(stream: bool) -> None:  # noqa: FBT001 - as above
    answer = ask(chat(stream=stream), failing(malformed=1.0))

    assert (answer.status, answer.complete) == (200, True)
    with pytest.raises(json.JSONDecodeError):
        _ = answer.events() if stream else answer.json()


def test_a_retry_draws_anew() -> None:
    statuses = [a.status for a in asks([chat()] * 40, failing(error_500=0.5))]

    assert {200, 500} == set(statuses)
    assert statuses == [a.status for a in asks([chat()] * 40, failing(error_500=0.5))]


@pytest.mark.parametrize("stream", [False, True])
def test_work_ends_when_the_client_goes_away(stream: bool) -> None:  # noqa: FBT001 - as above
    answer = ask(chat(stream=stream), leave_after=1.5)

    assert answer.ended_at == pytest.approx(1.5)
    assert not answer.complete


def test_requests_wait_side_by_side() -> None:
    app = create_app(profile())

    async def main() -> list[float]:
        calls: list[Coroutine[Any, Any, Answer]] = [request(app, CHAT, chat()) for _ in range(50)]
        return [a.ended_at for a in await asyncio.gather(*calls)]

    times, took = run_virtual(main)
    assert took == pytest.approx(max(times)) == pytest.approx(min(times))
