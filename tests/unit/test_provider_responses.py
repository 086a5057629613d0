from __future__ import annotations

from typing import Any

import pytest
from support.asgi import Answer, request

from spanwise.testing.virtual_clock import run_virtual
from spanwise_pipeline.provider.app import create_app
from spanwise_pipeline.provider.profile import Model, Profile
from spanwise_pipeline.provider.tokens import compact, tokens

TEXT = "a = 1\nState a.\nUse about 30 words for each fact."
TOOL = {"type": "function", "name": "f", "parameters": {"properties": {"a": {"type": "integer"}}}}


def ask(body: dict[str, Any]) -> Answer:
    app = create_app(Profile("test", default_model=Model(time_to_first_token_s=1.0, time_per_token_s=0.1)))
    return run_virtual(lambda: request(app, "/v1/responses", {"model": "m", **body}))[0]


def test_a_response_has_the_text_of_the_chat_completion_and_its_usage() -> None:
    body = ask({"input": TEXT, "instructions": "State b.", "metadata": {"agent": "x"}}).json()
    text = body["output"][0]["content"][0]["text"]

    assert text.startswith("b is not known.\na = 1\n")
    assert (body["status"], body["metadata"], body["instructions"]) == ("completed", {"agent": "x"}, "State b.")
    assert body["usage"] == {
        "input_tokens": 3 + 4 + tokens("State b.") + 4 + tokens(TEXT),
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": tokens(text),
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 11 + tokens("State b.") + tokens(TEXT) + tokens(text),
    }


def test_a_streamed_response_ends_with_the_whole_one() -> None:
    whole, stream = ask({"input": TEXT}), ask({"input": TEXT, "stream": True})
    events = stream.events()
    kinds = [event["type"] for event in events]
    text = "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")

    assert [kind for kind in kinds if not kind.endswith("delta")] == [
        "response.created", "response.in_progress", "response.output_item.added", "response.content_part.added",
        "response.output_text.done", "response.content_part.done", "response.output_item.done", "response.completed",
    ]  # fmt: skip
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert text == whole.json()["output"][0]["content"][0]["text"]
    final, expected = events[-1]["response"], whole.json()
    # Ids stand for the request, and `stream` is part of it.
    assert (final["usage"], final["status"]) == (expected["usage"], expected["status"])
    assert stream.ended_at == pytest.approx(whole.ended_at)


def test_an_incomplete_response_says_why() -> None:
    body = ask({"input": TEXT, "max_output_tokens": 1}).json()

    assert (body["status"], body["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert body["output"][0]["content"][0]["text"] == "a = "
    assert ask({"input": TEXT, "max_output_tokens": 1, "stream": True}).events()[-1]["type"] == "response.incomplete"


def test_a_function_is_called_and_its_output_is_read() -> None:
    wanted = "a = 1\nCall the tools f.\nState b."
    task = {"role": "user", "content": [{"type": "input_text", "text": wanted}]}
    calls = ask({"input": [task], "tools": [TOOL]}).json()["output"]
    result = {"type": "function_call_output", "call_id": calls[0]["call_id"], "output": "b = 2"}

    final = ask({"input": [task, *calls, result], "tools": [TOOL]}).json()

    assert [(c["type"], c["name"], c["arguments"]) for c in calls] == [("function_call", "f", '{"a":1}')]
    assert final["output"][0]["content"][0]["text"] == "b = 2"
    spelled = [{"id": calls[0]["call_id"], "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}]
    assert final["usage"]["input_tokens"] == (
        3 + (4 + tokens(wanted)) + (4 + tokens(compact(spelled))) + (4 + 2) + tokens(compact([TOOL]))
    )


def test_streamed_function_calls_carry_their_arguments() -> None:
    events = ask({"input": "a = 1\nCall the tools f.", "tools": [TOOL], "stream": True}).events()

    assert [event["type"] for event in events] == [
        "response.created", "response.in_progress", "response.output_item.added",
        "response.function_call_arguments.delta", "response.function_call_arguments.done",
        "response.output_item.done", "response.completed",
    ]  # fmt: skip
    assert events[3]["delta"] == events[4]["arguments"] == '{"a":1}'


def test_json_text_follows_the_schema() -> None:
    form = {"type": "json_schema", "name": "x", "schema": {"type": "object", "properties": {"a": {"type": "integer"}}}}

    assert ask({"input": TEXT, "text": {"format": form}}).json()["output"][0]["content"][0]["text"] == '{"a":1}'


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({}, "input", "missing_required_parameter"),
        ({"input": "x", "previous_response_id": "resp_1"}, "previous_response_id", "unsupported_parameter"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0].type", "unsupported_value"),
        ({"input": [{"role": "tool", "content": "x"}]}, "input[0].role", "invalid_value"),
        ({"input": "x", "tool_choice": {"type": "function", "name": "g"}}, "tool_choice", "invalid_value"),
        ({"input": "x", "text": {"format": {"type": "yaml"}}}, "text.format.type", "invalid_value"),
    ],
)
def test_what_is_wrong_with_a_request_is_said(body: dict[str, Any], param: str, code: str) -> None:
    answer = ask(body)

    error = answer.json()["error"]
    assert (answer.status, error["param"], error["code"]) == (400, param, code)
