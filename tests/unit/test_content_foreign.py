"""What spans of other libraries may say: while content is off, only what is known to be no content."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

import spanwise
from spanwise.journal import reader

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("isolated_provider")

TEXT = "My daughter has a fever, what should I do?"
CONTENT_NAMES = (
    "ai.prompt", "ai.prompt.messages", "ai.response.text", "ai.response.object", "ai.response.toolCalls",
    "ai.toolCall.args", "ai.toolCall.result", "ai.value", "all_messages_events", "events", "final_result",
    "pydantic_ai.all_messages", "logfire.msg", "logfire.json_schema", "tool_arguments", "tool_response",
    "model_request_parameters", "langfuse.input", "langfuse.output", "langfuse.observation.input",
    "langfuse.observation.output", "langfuse.trace.input", "langfuse.observation.metadata", "langsmith.inputs",
    "langsmith.outputs", "gen_ai.prompt", "gen_ai.prompt.0.content", "gen_ai.completion.0.content",
    "gen_ai.tool.message", "gen_ai.agent.description", "gen_ai.input.messages", "gen_ai.tool.call.arguments",
    "input.value", "output.value", "llm.input_messages.0.message.content", "llm.prompt_template.template",
    "llm.invocation_parameters", "metadata", "message", "messages", "prompt", "completion", "response", "query",
    "question", "answer", "text", "content", "body", "http.request.body", "http.response.body", "db.statement",
    "db.query.text", "db.query.parameter.name", "url.query", "document.content",
    "retrieval.documents.0.document.content",
    "embedding.text", "crew_tasks", "crew_agents", "task.description", "task_output", "agent.goal", "agent.backstory",
    "haystack.component.input", "haystack.component.output", "llamaindex.event", "dspy.inputs", "mlflow.spanInputs",
    "mlflow.spanOutputs", "openai_agents.input", "openai_agents.output", "mcp.request.argument.text",
    "traceloop.entity.input", "traceloop.entity.output", "traceloop.association.properties.note",
    "exception.message", "exception.stacktrace", "weave.inputs", "braintrust.input", "some.library.of.tomorrow",
)  # fmt: skip
PLAIN = {
    "http.request.method": "GET", "url.full": "https://example.com/a", "server.address": "example.com",
    "db.system": "redis",
    "gen_ai.request.model": "gpt-x", "gen_ai.agent.name": "Risk Manager", "gen_ai.usage.input_tokens": 12,
    "gen_ai.response.finish_reasons": ("stop",), "app.cached": True, "app.share": 0.5, "app.id": "7d1f-33_a",
    "user_agent.original": "python-httpx/0.28 (linux)", "traceloop.entity.name": "Risk Manager",
}  # fmt: skip


def recorded(folder: Path, attributes: dict[str, Any], **settings: Any) -> reader.SpanRecord:
    telemetry = spanwise.configure(journal_dir=folder, integrations="none", **settings)
    assert telemetry.provider is not None
    span = telemetry.provider.get_tracer("another.library").start_span("step", attributes=attributes)
    span.add_event("gen_ai.choice", {"message": TEXT, "index": 0})
    span.end()
    spanwise.shutdown()
    [found] = reader.read(folder)
    return found


@pytest.mark.parametrize("name", CONTENT_NAMES)
def test_content_is_left_out_whatever_its_library_calls_it(tmp_path: Path, name: str) -> None:
    span = recorded(tmp_path, {name: TEXT, "values": [TEXT, "b"], "json": json.dumps({"a": TEXT})})

    held = {
        **span.attributes,
        **{f"event {key}": value for event in span.events for key, value in event.attributes.items()},
    }
    assert not any("daughter" in str(value) for value in held.values())
    assert "values" in span.attributes["spanwise.content.withheld"]  # type: ignore[operator]


def test_conventions_numbers_and_short_identifiers_stay(tmp_path: Path) -> None:
    span = recorded(tmp_path, PLAIN)

    assert span.attributes == PLAIN
    assert span.events[0].attributes == {"index": 0, "spanwise.content.withheld": ("message",)}


@pytest.mark.parametrize(
    "value", ["two words", "x" * 65, "日本語の質問です", "a,b\nc", '{"a":1}', b"bytes", ["ok", "not ok"]]
)
def test_what_may_be_a_text_is_no_identifier(tmp_path: Path, value: Any) -> None:
    span = recorded(tmp_path, {"note": value, "n": 1})

    assert span.attributes == {"n": 1, "spanwise.content.withheld": ("note",)}


def test_a_user_allows_names_and_prefixes(tmp_path: Path) -> None:
    given = {"app.tenant": "Ada & Sons", "app.x": "a b", "other": "a b"}
    span = recorded(tmp_path, given, allow_attributes="app.tenant, app.x*")

    assert span.attributes == {
        "app.tenant": "Ada & Sons", "app.x": "a b", "spanwise.content.withheld": ("other",),
    }  # fmt: skip


def test_a_kind_that_is_on_is_recorded_and_all_content_is_where_all_kinds_are(tmp_path: Path) -> None:
    given = {"input.value": TEXT, "output.value": TEXT, "ai.prompt": TEXT}
    prompts = recorded(tmp_path / "a", given, capture_content="prompts")
    everything = recorded(tmp_path / "b", given, capture_content="all")

    assert prompts.attributes == {"input.value": TEXT, "spanwise.content.withheld": ("ai.prompt",)}
    assert everything.attributes == given


def test_an_exception_s_message_is_recorded_where_exceptions_may_speak(tmp_path: Path) -> None:
    span = recorded(tmp_path, {"exception.message": TEXT}, exceptions="message")

    assert span.attributes == {"exception.message": TEXT}


def test_a_span_of_a_helper_says_what_the_program_tells_it(tmp_path: Path) -> None:
    spanwise.configure(journal_dir=tmp_path, integrations="none")
    with spanwise.step("note") as step:
        step.set("note", TEXT)
    spanwise.shutdown()
    [span] = reader.read(tmp_path)

    assert span.attributes["note"] == TEXT


@pytest.mark.parametrize("wrong", ["*", "a*b", "a,*x"])
def test_a_star_elsewhere_than_at_the_end_is_refused(wrong: str) -> None:
    with pytest.raises(spanwise.SpanwiseError, match="allow_attributes"):
        spanwise.configure(allow_attributes=wrong)
