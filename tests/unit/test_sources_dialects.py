from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from support.traces import BEGIN_NS, chat, span, wait, workflow

from spanwise import conventions as c
from spanwise.journal.reader import EventRecord
from spanwise_profiling import dialects, kinds


def translated(**attributes: Any) -> dict[str, Any]:
    """Return what is added to a span below another one that has `attributes` (with `__` for `.`)."""
    given = {name.replace("__", "."): value for name, value in attributes.items()}
    (record,) = dialects.translated([span(2, parent=1, name="it", attributes=given)])
    return {name: value for name, value in record.attributes.items() if name not in given or given[name] != value}


@pytest.mark.parametrize(
    ("attributes", "added"),
    [
        # the conventions, as they were before
        (
            {"gen_ai__operation__name": "text_completion", "gen_ai__system": "openai",
             "gen_ai__usage__prompt_tokens": 7,
             "gen_ai__usage__completion_tokens": 3, "gen_ai__request__model": "m"},
            {c.OPERATION_NAME: "chat", c.PROVIDER_NAME: "openai", c.USAGE_INPUT_TOKENS: 7, c.USAGE_OUTPUT_TOKENS: 3},
        ),
        ({"gen_ai__operation__name": "generate_content"}, {c.OPERATION_NAME: "chat"}),
        ({"gen_ai__operation__name": "execute_tool", "gen_ai__tool__name": "t"}, {}),
        # OpenInference
        (
            {"openinference__span__kind": "LLM", "llm__model_name": "m", "llm__provider": "openai",
             "llm__token_count__prompt": 7, "llm__token_count__completion": 3,
             "llm__token_count__prompt_details__cache_read": 2, "input__value": "q", "output__value": "a"},
            {c.OPERATION_NAME: "chat", c.REQUEST_MODEL: "m", c.PROVIDER_NAME: "openai", c.USAGE_INPUT_TOKENS: 7,
             c.USAGE_OUTPUT_TOKENS: 3, c.USAGE_CACHE_READ_INPUT_TOKENS: 2, c.INPUT_MESSAGES: "q",
              c.OUTPUT_MESSAGES: "a"},
        ),
        (
            {"openinference__span__kind": "TOOL", "tool__name": "prices", "input__value": "{}"},
            {c.OPERATION_NAME: "execute_tool", c.TOOL_NAME: "prices", c.TOOL_CALL_ARGUMENTS: "{}"},
        ),
        ({"openinference__span__kind": "AGENT"}, {c.OPERATION_NAME: "invoke_agent", c.AGENT_NAME: "it"}),
        ({"openinference__span__kind": "CHAIN"}, {c.STEP_NAME: "it"}),
        ({"openinference__span__kind": "RETRIEVER"}, {c.OPERATION_NAME: "retrieval"}),
        # OpenLLMetry
        (
            {"traceloop__span__kind": "workflow", "traceloop__entity__name": "review"},
            {c.OPERATION_NAME: "invoke_workflow", c.WORKFLOW_NAME: "review"},
        ),
        ({"traceloop__span__kind": "task", "traceloop__entity__name": "load"}, {c.STEP_NAME: "load"}),
        (
            {"llm__request__type": "chat", "model_name": "m", "llm__is_streaming": True,
             "gen_ai__usage__cache_read_input_tokens": 2},
            {c.OPERATION_NAME: "chat", c.REQUEST_MODEL: "m", c.REQUEST_STREAM: True,
             c.USAGE_CACHE_READ_INPUT_TOKENS: 2, c.USAGE_INPUT_TOKENS: 2},
        ),
        (
            {"openinference__span__kind": "LLM", "llm__model_name": "m-1", "llm__request__model_name": "m",
             "llm__response__model_name": "m-1"},
            {c.OPERATION_NAME: "chat", c.REQUEST_MODEL: "m", c.RESPONSE_MODEL: "m-1"},
        ),
        ({"openinference__span__kind": "DECISION"}, {c.STEP_NAME: "it"}),
        # LangSmith
        (
            {"langsmith__span__kind": "llm", "langsmith__model": "m", "langsmith__usage__input_tokens": 7,
             "langsmith__time_to_first_token": 0.5},
            {c.OPERATION_NAME: "chat", c.REQUEST_MODEL: "m", c.USAGE_INPUT_TOKENS: 7,
             c.RESPONSE_TIME_TO_FIRST_CHUNK: 0.5},
        ),
        ({"langsmith__span__kind": "parser"}, {c.STEP_NAME: "it"}),
        # Langfuse
        (
            {"langfuse__observation__type": "GENERATION", "langfuse__model": "m"},
            {c.OPERATION_NAME: "chat", c.REQUEST_MODEL: "m"},
        ),
        ({"langfuse__observation__type": "SPAN"}, {}),
        # Logfire
        (
            {"gen_ai__operation__name": "invoke_agent", "agent_name": "risk", "model_name": "m"},
            {c.AGENT_NAME: "risk", c.REQUEST_MODEL: "m"},
        ),
        (
            {"gen_ai__operation__name": "execute_tool", "gen_ai__tool__name": "t", "tool_arguments": "{}",
             "tool_response": "7"},
            {c.TOOL_CALL_ARGUMENTS: "{}", c.TOOL_CALL_RESULT: "7"},
        ),
        # OpenAI Agents
        (
            {"openai_agents__type": "function", "openai_agents__function": "prices", "openai_agents__output": "7"},
            {c.OPERATION_NAME: "execute_tool", c.TOOL_NAME: "prices", c.TOOL_CALL_RESULT: "7"},
        ),
        (
            {"openai_agents__type": "speech", "openai_agents__time_to_first_token": 0.25},
            {c.OPERATION_NAME: "chat", c.RESPONSE_TIME_TO_FIRST_CHUNK: 0.25},
        ),
        ({"openai_agents__type": "agent", "openai_agents__agent": "risk"},
         {c.OPERATION_NAME: "invoke_agent", c.AGENT_NAME: "risk"}),
        # none of these
        ({"http__route": "/"}, {}),
        ({"openinference__span__kind": "SOMETHING NEW"}, {}),
    ],
)  # fmt: skip
def test_foreign_names_become_ours(attributes: dict[str, Any], added: dict[str, Any]) -> None:
    assert translated(**attributes) == added


def test_a_chain_without_a_parent_is_a_workflow() -> None:
    (root,) = dialects.translated([span(1, name="graph", attributes={"openinference.span.kind": "CHAIN"})])
    assert (kinds.kind_of(root), kinds.subject_of(root)) == ("workflow", "graph")


def test_our_own_spans_stay_the_very_same() -> None:
    ours = [workflow(1, 0, 9), chat(2, 1, 2, parent=1), wait(3, 1, 2, parent=2)]
    assert all(one is other for one, other in zip(dialects.translated(ours), ours, strict=True))


def test_what_is_there_in_our_words_is_kept() -> None:
    assert translated(llm__model_name="old", gen_ai__request__model="new", openinference__span__kind="LLM") == {
        c.OPERATION_NAME: "chat"
    }


def test_an_event_at_the_first_token_gives_the_time_to_the_first_chunk() -> None:
    event = EventRecord(BEGIN_NS + 250_000_000, "First Token Stream Event", {})
    llm = replace(span(1, attributes={"openinference.span.kind": "LLM"}), events=(event,))
    (record,) = dialects.translated([llm])
    assert record.attributes[c.RESPONSE_TIME_TO_FIRST_CHUNK] == 0.25


def test_an_exceptions_type_becomes_the_error_type() -> None:
    event = EventRecord(BEGIN_NS, c.EXCEPTION_EVENT, {c.EXCEPTION_TYPE: "ValueError"})
    failed = replace(span(1), status_code=2, events=(event,))
    assert [kinds.error_of(record) for record in dialects.translated([failed])] == ["ValueError"]


def http(number: int, url: str, **more: Any) -> Any:
    """Return the span of a plain HTTP client."""
    attributes = {"http.request.method": "POST", "url.full": url}
    return replace(span(number, name="POST", attributes=attributes, **more), kind=3)


def test_plain_http_calls_to_models_are_model_calls_and_others_are_tools() -> None:
    records = dialects.translated(
        [
            span(1),
            http(2, "https://api.example.com/v1/chat/completions?x=1", parent=1),
            http(3, "https://api.example.com/v1/embeddings", parent=1),
            http(4, "https://example.com/prices", parent=1),
            replace(span(5, parent=1, attributes={"db.system": "postgresql"}, name="SELECT"), kind=3),
        ]
    )
    assert [(kinds.kind_of(r), kinds.subject_of(r)) for r in records] == [
        ("span", None), ("chat", None), ("embeddings", None), ("tool", "POST"), ("tool", "SELECT"),
    ]  # fmt: skip


def test_the_http_request_of_a_known_call_is_not_counted_again() -> None:
    records = dialects.translated(
        [chat(1, 0, 9), span(2, parent=1), http(3, "https://api.example.com/v1/chat/completions", parent=2)]
    )
    assert [kinds.kind_of(record) for record in records] == ["chat", "span", "span"]


def test_the_server_of_a_request_is_no_call() -> None:
    server = replace(http(1, "https://me/v1/chat/completions"), kind=2)
    assert list(dialects.translated([server])) == [server]


def test_a_call_over_mcp_is_one_call_of_the_tool_seen_from_both_sides() -> None:
    method = {"mcp.method.name": "tools/call"}
    asked = span(1, name="MCP send tools/call price", attributes=method)
    served = span(
        2, parent=1, name="tools/call price",
        attributes=method | {c.OPERATION_NAME: "execute_tool", c.TOOL_NAME: "price"},
    )  # fmt: skip
    found = list(dialects.translated([asked, served]))
    assert [(kinds.kind_of(one), kinds.subject_of(one)) for one in found] == [("tool", "price"), ("span", None)]
