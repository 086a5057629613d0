"""What LangSmith gets of a span: run type, name, provider, tokens and errors under the names that it reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.otlp_json import attributes

from spanwise.config.settings import Settings
from spanwise.destinations import factory, langsmith
from spanwise.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping


def sent(name: str, values: Mapping[str, object], **more: Any) -> dict[str, Any]:
    """Return the attributes of the translated span, as plain values."""
    span = langsmith.translated({"name": name, "attributes": attributes(values), **more})
    assert span["name"] == name
    return {pair["key"]: next(iter(pair["value"].values())) for pair in span["attributes"]}


def test_a_model_call_has_its_provider_and_all_its_tokens() -> None:
    call = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.agent.name": "risk",
        "gen_ai.usage.input_tokens": 70,
        "gen_ai.usage.output_tokens": 7,
        "gen_ai.usage.cache_read.input_tokens": 50,
    }
    assert sent("chat m", call) == {
        **{key: str(value) for key, value in call.items()},
        "langsmith.span.kind": "llm",
        "gen_ai.system": "openai",
        "gen_ai.usage.total_tokens": "77",
        "gen_ai.usage.input_token_details": '{"cache_read": 50}',
        "langsmith.metadata.gen_ai.agent.name": "risk",
    }


def test_an_agent_is_a_chain_of_its_name_whose_token_sums_are_not_counted_again() -> None:
    agent = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "risk", "gen_ai.usage.input_tokens": 70}
    assert sent("invoke_agent risk", agent) == {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": "risk",
        "langsmith.metadata.gen_ai.usage.input_tokens": "70",
        "langsmith.metadata.gen_ai.agent.name": "risk",
        "langsmith.span.kind": "chain",
        "langsmith.trace.name": "risk",
    }


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
    [event] = langsmith.translated(given)["events"]
    assert event == {
        "name": "exception",
        "timeUnixNano": "5",
        "attributes": attributes({"exception.type": "429", "exception.message": "429"}),
    }
    told = {**given, "events": [event]}
    assert langsmith.translated(told)["events"] == [event]
    assert "events" not in langsmith.translated({"name": "s"})


def test_waits_are_not_sent_unless_somebody_wants_them() -> None:
    wait: dict[str, Any] = {"name": "wait slots", "attributes": attributes({"spanwise.wait.kind": "lock"})}
    settings = Settings(langsmith_project="desk")
    assert factory.outlet_of(settings, "langsmith").admitted(wait) is None
    assert factory.outlet_of(settings, "otlp").admitted(wait) is wait
    wanted = Settings(langsmith_project="desk", langsmith_waits=True, otlp_waits=False)
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


def test_a_destination_is_there_once_it_is_set() -> None:
    assert factory.names(Settings()) == ()
    assert factory.names(Settings(endpoint="http://e")) == ("otlp",)
    assert factory.names(Settings(endpoint="http://e", langsmith_project="desk")) == ("otlp", "langsmith")
