"""What LangSmith gets of a span: run type, name, provider, tokens and errors under the names that it reads."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from support.otlp_json import attributes

from spanwise.config.settings import Settings, resolve, settings_of
from spanwise.destinations import factory, langsmith, langsmith_spans, otlp
from spanwise.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def to(**destinations: otlp.Settings | langsmith.Settings) -> Settings:
    return Settings(destinations=tuple(destinations.items()))


def sent(name: str, values: Mapping[str, object], **more: Any) -> dict[str, Any]:
    """Return the attributes of the translated span, as plain values."""
    span = langsmith_spans.translated({"name": name, "attributes": attributes(values), **more})
    assert span["name"] == name
    return {pair["key"]: next(iter(pair["value"].values())) for pair in span["attributes"]}


def test_a_model_call_has_its_provider_model_and_all_its_tokens() -> None:
    call = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "sim",
        "gen_ai.response.model": "sim-2026",
        "gen_ai.agent.name": "risk",
        "gen_ai.usage.input_tokens": 70,
        "gen_ai.usage.output_tokens": 7,
        "gen_ai.usage.cache_read.input_tokens": 50,
        "gen_ai.usage.reasoning.output_tokens": 3,
    }
    assert sent("chat m", call, traceId="7d1f" * 8) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "sim",
        "gen_ai.response.model": "sim-2026",
        "gen_ai.usage.input_tokens": "70",
        "gen_ai.usage.output_tokens": "7",
        "langsmith.metadata.gen_ai.provider.name": "openai",
        "langsmith.metadata.gen_ai.agent.name": "risk",
        "langsmith.metadata.gen_ai.usage.cache_read.input_tokens": "50",
        "langsmith.metadata.gen_ai.usage.reasoning.output_tokens": "3",
        "langsmith.span.kind": "llm",
        "langsmith.metadata.spanwise.trace.id": "7d1f" * 8,
        "langsmith.metadata.gen_ai.operation.name": "chat",
        "langsmith.metadata.ls_model_name": "sim-2026",
        "gen_ai.system": "openai",
        "gen_ai.usage.total_tokens": "77",
        "gen_ai.usage.input_token_details": '{"cache_read": 50}',
        "gen_ai.usage.details.reasoning_tokens": "3",
    }


def test_an_agent_is_a_chain_of_its_name_whose_token_sums_are_not_counted_again() -> None:
    agent = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "risk", "gen_ai.usage.input_tokens": 70}
    assert sent("invoke_agent risk", agent) == {
        "gen_ai.operation.name": "invoke_agent",
        "langsmith.metadata.gen_ai.operation.name": "invoke_agent",
        "langsmith.metadata.gen_ai.usage.input_tokens": "70",
        "langsmith.metadata.gen_ai.agent.name": "risk",
        "langsmith.span.kind": "chain",
        "langsmith.trace.name": "risk",
    }


def test_a_tool_has_its_arguments_and_its_result_as_input_and_output() -> None:
    tool = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "prices",
        "gen_ai.tool.call.id": "call_1",
        "gen_ai.tool.call.arguments": '{"ticker": "ACME"}',
        "gen_ai.tool.call.result": "12.5",
    }
    assert sent("execute_tool prices", tool) == {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "prices",
        "input.value": '{"ticker": "ACME"}',
        "output.value": "12.5",
        "langsmith.metadata.gen_ai.tool.call.id": "call_1",
        "langsmith.metadata.gen_ai.operation.name": "execute_tool",
        "langsmith.span.kind": "tool",
        "langsmith.trace.name": "prices",
    }


def test_a_retrieval_has_its_documents_as_langsmith_shows_them() -> None:
    found = sent(
        "retrieval news",
        {
            "gen_ai.operation.name": "retrieval",
            "gen_ai.retrieval.query.text": "ACME",
            "gen_ai.retrieval.documents": '[{"id": "n1", "score": 0.5}, {"id": "n2", "content": "calm"}]',
        },
    )
    del found["gen_ai.operation.name"], found["langsmith.metadata.gen_ai.operation.name"]
    assert found == {
        "langsmith.span.kind": "retriever",
        "input.value": "ACME",
        "retrieval.documents.0.document.content": "n1",
        "retrieval.documents.0.document.metadata": '{"id": "n1", "score": 0.5}',
        "retrieval.documents.1.document.content": "calm",
        "retrieval.documents.1.document.metadata": '{"id": "n2"}',
    }
    cut = sent("r", {"gen_ai.operation.name": "retrieval", "gen_ai.retrieval.documents": '[{"id": …'})
    assert cut["output.value"] == '[{"id": …'


@pytest.mark.parametrize(
    ("messages", "all_of_them"),
    [
        ('[{"role":"user","parts":[]}]', [{"role": "system", "parts": ["be brief"]}, {"role": "user", "parts": []}]),
        ("[ ]", [{"role": "system", "parts": ["be brief"]}]),
    ],
)
def test_the_instructions_of_the_system_are_the_first_message(messages: str, all_of_them: list[Any]) -> None:
    call = {"gen_ai.operation.name": "chat", "gen_ai.system_instructions": '["be brief"]'}
    found = sent("chat m", {**call, "gen_ai.input.messages": messages})
    assert json.loads(found["gen_ai.input.messages"]) == all_of_them
    assert "langsmith.metadata.gen_ai.system_instructions" not in found
    alone = sent("chat m", call)
    assert alone["langsmith.metadata.gen_ai.system_instructions"] == '["be brief"]'


def test_what_langsmith_has_no_name_for_is_metadata() -> None:
    found = sent("step load", {"spanwise.step.name": "load", "team": "desk", "http.route": "/a"})
    assert found == {
        "langsmith.metadata.spanwise.step.name": "load",
        "langsmith.metadata.team": "desk",
        "langsmith.metadata.http.route": "/a",
        "langsmith.span.kind": "chain",
    }


def test_spans_of_other_tools_that_langsmith_understands_stay_as_they_are() -> None:
    theirs = {
        "openinference.span.kind": "LLM",
        "llm.model_name": "m",
        "llm.token_count.prompt": "3",
        "input.value": "a",
    }
    assert sent("ChatCompletion", theirs) == theirs
    loop = {"traceloop.span.kind": "agent", "gen_ai.usage.input_tokens": "3"}
    assert sent("a", loop) == loop


@pytest.mark.parametrize(
    ("values", "kind", "name"),
    [
        ({"gen_ai.operation.name": "invoke_workflow", "gen_ai.workflow.name": "desk"}, "chain", "desk"),
        ({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "prices"}, "tool", "prices"),
        ({"gen_ai.operation.name": "retrieval"}, "retriever", None),
        ({"gen_ai.operation.name": "embeddings"}, "embedding", None),
        ({"gen_ai.operation.name": "plan", "gen_ai.agent.name": "lead"}, "chain", "lead"),
        ({"spanwise.cache.name": "market"}, "chain", None),
        ({}, "chain", None),
    ],
)
def test_each_kind_of_span_has_a_run_type(values: dict[str, object], kind: str, name: str | None) -> None:
    found = sent("s", values)
    assert (found["langsmith.span.kind"], found.get("langsmith.trace.name")) == (kind, name)


def test_what_the_program_has_set_itself_stays() -> None:
    assert sent("s", {"langsmith.span.kind": "parser"}) == {"langsmith.span.kind": "parser"}
    counted = {"langsmith.span.kind": "llm", "gen_ai.usage.input_tokens": "3"}
    assert sent("s", counted) == {**counted, "gen_ai.usage.total_tokens": "3"}


def test_runs_and_conversations_can_be_found_again() -> None:
    found = sent("s", {"spanwise.run.id": "r1", "spanwise.run.variant": "baseline", "gen_ai.conversation.id": "t1"})
    assert found["langsmith.metadata.spanwise.run.id"] == "r1"
    assert found["langsmith.metadata.thread_id"] == "t1"


def test_an_error_without_an_exception_is_told_as_one() -> None:
    given = {
        "name": "s",
        "attributes": attributes({"error.type": "429"}),
        "status": {"code": 2},
        "endTimeUnixNano": "5",
    }
    [event] = langsmith_spans.translated(given)["events"]
    assert event == {
        "name": "exception",
        "timeUnixNano": "5",
        "attributes": attributes({"exception.type": "429", "exception.message": "429"}),
    }
    told = {**given, "events": [event]}
    assert langsmith_spans.translated(told)["events"] == [event]
    assert "events" not in langsmith_spans.translated({"name": "s"})


def test_waits_are_not_sent_unless_somebody_wants_them() -> None:
    wait: dict[str, Any] = {"name": "wait slots", "attributes": attributes({"spanwise.wait.kind": "lock"})}
    settings = to(langsmith=langsmith.Settings("desk"), otlp=otlp.Settings("http://e"))
    assert factory.outlet_of(settings, "langsmith").admitted(wait) is None
    assert factory.outlet_of(settings, "otlp").admitted(wait) is wait
    wanted = to(langsmith=langsmith.Settings("desk", waits=True), otlp=otlp.Settings("http://e", waits=False))
    assert factory.outlet_of(wanted, "langsmith").admitted(wait) is not None
    assert factory.outlet_of(wanted, "otlp").admitted(wait) is None


def test_address_and_key_come_from_langsmiths_own_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LANGSMITH_ENDPOINT", raising=False)
    monkeypatch.delenv("LANGSMITH_API_KEY", raising=False)
    assert langsmith.address() == "https://api.smith.langchain.com/otel/v1/traces"
    with pytest.raises(InputError, match="LANGSMITH_API_KEY is not set"):
        langsmith.headers("desk")
    monkeypatch.setenv("LANGSMITH_ENDPOINT", "https://ai.example/api/v1/")
    monkeypatch.setenv("LANGSMITH_API_KEY", "k")
    assert langsmith.address() == "https://ai.example/api/v1/otel/v1/traces"
    assert langsmith.headers("desk") == {"x-api-key": "k", "Langsmith-Project": "desk"}
    monkeypatch.setenv("LANGSMITH_WORKSPACE_ID", "w")
    assert langsmith.headers("desk") == {"x-api-key": "k", "Langsmith-Project": "desk", "X-Tenant-Id": "w"}


def test_a_destination_is_there_once_it_is_set(tmp_path: Path) -> None:
    def names(**code: str) -> list[str]:
        return [name for name, _ in settings_of(resolve(code, environment={}, directory=tmp_path)).destinations]

    assert names() == []
    assert names(endpoint="http://e") == ["otlp"]
    assert names(endpoint="http://e", langsmith_project="desk") == ["otlp", "langsmith"]
