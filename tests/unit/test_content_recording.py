"""What of prompts, answers, arguments, results and exceptions gets into spans, journals, receivers and foreign eyes."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

import spanwise
from spanwise.content.policy import KINDS, kind_of, kinds
from spanwise.journal import reader
from spanwise.journal.ledger import Counts
from spanwise.testing import capture

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from spanwise.content.views import SpanView

MAIL = "ada@example.com"
CONTENT = {
    "gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.system_instructions", "gen_ai.tool.definitions",
    "gen_ai.tool.call.arguments", "gen_ai.tool.call.result", "gen_ai.retrieval.query.text",
    "gen_ai.retrieval.documents",
}  # fmt: skip


def talk() -> None:
    """Record one of everything that holds content."""
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": f"I am {MAIL}"}, {"type": "image_url"}]},
        {"role": "tool", "tool_call_id": "c1", "content": "3"},
    ]
    asked = [{"id": "c2", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}]
    with spanwise.llm_call("m") as call:
        call.instructions("Answer.")
        call.input(messages, tools=[{"type": "function", "function": {"name": "add"}}])
        call.output("Hello", tool_calls=asked, finish_reason="tool_calls")
    with spanwise.tool("add") as tool:
        tool.arguments({"a": 1, "password": "hunter2"})
        tool.result("4")
    with spanwise.retrieval("filings") as search:
        search.query("growth")
        search.documents([{"id": "d1", "score": 0.5}])


def content_of(spans: list[dict[str, Any]]) -> dict[str, str]:
    return {name: value for span in spans for name, value in span["attributes"].items() if name in CONTENT}


def test_no_content_is_recorded_by_default() -> None:
    with capture() as spans:
        talk()
    assert (len(spans()), content_of(spans())) == (3, {})


def test_all_content_is_recorded_in_the_form_of_the_conventions_and_redacted() -> None:
    with capture(capture_content="all") as spans:
        talk()
    found = content_of(spans())
    texts = ("gen_ai.tool.call.result", "gen_ai.retrieval.query.text")
    assert {name: value if name in texts else json.loads(value) for name, value in found.items()} == {
        "gen_ai.system_instructions": [{"type": "text", "content": "Answer."}],
        "gen_ai.tool.definitions": [{"type": "function", "function": {"name": "add"}}],
        "gen_ai.input.messages": [
            {"role": "system", "parts": [{"type": "text", "content": "Be brief."}]},
            {
                "role": "user",
                "parts": [{"type": "text", "content": "I am [redacted:email]"}, {"type": "image_url"}],
            },
            {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "3"}]},
        ],
        "gen_ai.output.messages": [
            {
                "role": "assistant",
                "parts": [
                    {"type": "text", "content": "Hello"},
                    {"type": "tool_call", "id": "c2", "name": "add", "arguments": {"a": 1}},
                ],
                "finish_reason": "tool_calls",
            }
        ],
        "gen_ai.tool.call.arguments": {"a": 1, "password": "[redacted:password]"},
        "gen_ai.tool.call.result": "4",
        "gen_ai.retrieval.query.text": "growth",
        "gen_ai.retrieval.documents": [{"id": "d1", "score": 0.5}],
    }


@pytest.mark.parametrize("kind", KINDS)
def test_one_kind_alone_records_only_that_kind(kind: str) -> None:
    with capture(capture_content=kind) as spans:
        talk()
    found = content_of(spans())
    assert {kind_of(name) for name in found} == {kind}
    assert "Be brief." not in found.get("gen_ai.input.messages", "")


def test_the_words_of_the_setting_are_opentelemetrys_and_our_kinds() -> None:
    assert [kinds(word) for word in ("none", "NO_CONTENT", "EVENT_ONLY", "false")] == [()] * 4
    assert [kinds(word) for word in ("all", "SPAN_ONLY", "span_and_event", "true")] == [KINDS] * 4
    assert kinds("tool_results, prompts") == ("prompts", "tool_results")


@pytest.mark.parametrize(
    ("attribute", "kind"),
    [
        ("gen_ai.prompt.0.content", "prompts"),
        ("gen_ai.prompt.variable.name", "prompts"),
        ("gen_ai.prompt.name", None),
        ("gen_ai.completion.0.content", "completions"),
        ("llm.input_messages.0.message.content", "prompts"),
        ("input.value", "prompts"),
        ("output.value", "completions"),
        ("traceloop.entity.input", "prompts"),
        ("traceloop.entity.output", "completions"),
        ("llm.prompts.0.content", "prompts"),
        ("llm.completions.0.content", "completions"),
        ("llm.output_messages.0.message.content", "completions"),
        ("gen_ai.event.content", "prompts"),
        ("llm.tools.0.tool.json_schema", "tool_definitions"),
        ("llm.request.functions.0.name", "tool_definitions"),
        ("tool.parameters", "tool_arguments"),
        ("tool_call.function.arguments", "tool_arguments"),
        ("retrieval.documents.0.document.content", "retrieval"),
        ("reranker.query", "retrieval"),
        ("embedding.text", "retrieval"),
        ("embedding.model_name", None),
        ("gen_ai.usage.input_tokens", None),
        ("http.url", None),
    ],
)
def test_content_of_other_dialects_belongs_to_a_kind(attribute: str, kind: str | None) -> None:
    assert kind_of(attribute) == kind


def test_content_that_cannot_be_expressed_costs_its_detail_and_not_the_call() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError

    cyclic: list[Any] = []
    cyclic.append(cyclic)
    with capture(capture_content="all") as spans:
        for value in (Broken(), cyclic, {"a": float("nan")}, "\udc00", {1: "x"}, [object]):
            with spanwise.tool("t") as tool:
                tool.arguments(value)
        with spanwise.llm_call("m") as call:
            call.input([{"role": "user", "content": 3}, {}])
            call.output("", tool_calls=[{}, {"function": {"name": "f", "arguments": "{broken"}}])
    assert len(spans()) == 7


@pytest.fixture
def wrong() -> Callable[[], None]:
    def call() -> None:
        with spanwise.tool("mail"):
            raise ValueError(f"cannot send to {MAIL}")

    return call


def failed(level: str, tmp_path: Path, call: Callable[[], None]) -> Any:
    spanwise.configure(journal_dir=tmp_path, exceptions=level)
    with pytest.raises(ValueError, match="cannot send to "):
        call()
    spanwise.shutdown()
    [span] = reader.read(tmp_path)
    return span


@pytest.mark.usefixtures("isolated_provider")
def test_by_default_an_exception_leaves_its_type_only(tmp_path: Path, wrong: Callable[[], None]) -> None:
    span = failed("type", tmp_path, wrong)
    assert (span.attributes["error.type"], span.status_message, span.events) == ("ValueError", "", ())


@pytest.mark.usefixtures("isolated_provider")
def test_the_message_of_an_exception_can_be_recorded_redacted(tmp_path: Path, wrong: Callable[[], None]) -> None:
    span = failed("message", tmp_path, wrong)
    assert span.status_message == "cannot send to [redacted:email]"
    assert [(one.name, one.attributes) for one in span.events] == [
        ("exception", {"exception.type": "ValueError", "exception.message": "cannot send to [redacted:email]"})
    ]


@pytest.mark.usefixtures("isolated_provider")
def test_the_stack_trace_of_an_exception_can_be_recorded_redacted(tmp_path: Path, wrong: Callable[[], None]) -> None:
    span = failed("stacktrace", tmp_path, wrong)
    trace_text = span.events[0].attributes["exception.stacktrace"]
    assert trace_text.startswith("Traceback (most recent call last):\n")
    assert trace_text.endswith("ValueError: cannot send to [redacted:email]\n")


def test_an_exception_that_cannot_say_what_it_is_passes_all_the_same() -> None:
    class MuteError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    with capture(exceptions="stacktrace") as spans, pytest.raises(MuteError), spanwise.step("s"):
        raise MuteError
    assert spans()[0]["status"] == "ERROR"


@pytest.mark.usefixtures("isolated_provider")
def test_spans_of_other_instrumentations_are_redacted_in_the_journal(tmp_path: Path) -> None:
    spanwise.configure(journal_dir=tmp_path)
    tracer = trace.get_tracer("host")
    linked = trace.Link(tracer.start_span("other").get_span_context(), {"to": MAIL})
    with contextlib.suppress(ValueError), tracer.start_as_current_span(f"GET {MAIL}", links=[linked]) as span:
        span.set_attributes({"to": MAIL, "tos": [MAIL], "input.value": "hello", "n": 3})
        span.add_event("gen_ai.user.message", {"content": "hello"})
        raise ValueError(MAIL)
    spanwise.shutdown()
    text = "".join(path.read_text() for path in tmp_path.glob("*.jsonl"))
    assert (MAIL in text, "hello" in text) == (False, False)
    [span_record] = [one for one in reader.read(tmp_path) if one.name.startswith("GET")]
    assert span_record.attributes == {"to": "[redacted:email]", "tos": ("[redacted:email]",), "n": 3}
    assert [dict(one.attributes).keys() for one in span_record.events] == [
        set(),
        {"exception.type", "exception.escaped"},
    ]


@pytest.mark.usefixtures("isolated_provider")
def test_what_is_too_long_is_cut_and_named(tmp_path: Path) -> None:
    spanwise.configure(journal_dir=tmp_path, content_limit=300, capture_content="all")
    with spanwise.llm_call("m") as call:
        call.input([{"role": "user", "content": "x" * 1_000}])
        call.set("note", "y" * 301)
    spanwise.shutdown()
    [span] = reader.read(tmp_path)
    assert span.attributes["note"] == "y" * 300 + "…[1 characters more]"
    assert len(json.loads(str(span.attributes["gen_ai.input.messages"]))) == 1
    assert span.attributes["spanwise.content.truncated"] == ("gen_ai.input.messages", "note")


@pytest.mark.usefixtures("isolated_provider")
def test_redaction_can_be_switched_off_and_own_patterns_added(tmp_path: Path) -> None:
    for folder, options in (("off", {"redact": False}), ("own", {"redact_patterns": ["ACME-[0-9]+"]})):
        spanwise.configure(journal_dir=tmp_path / folder, **options)
        with spanwise.step("s") as step:
            step.set("note", f"{MAIL} ACME-7")
        spanwise.shutdown()
    assert [next(reader.read(tmp_path / one)).attributes["note"] for one in ("off", "own")] == [
        f"{MAIL} ACME-7", "[redacted:email] [redacted:pattern]",
    ]  # fmt: skip


def rewriting(span: SpanView) -> SpanView | None:
    """Drop health checks, take the customer out, break on odd ones."""
    if span.name == "step health":
        return None
    if span.name == "step odd":
        raise KeyError(span.name)
    kept = {name: value for name, value in span.attributes.items() if name != "customer"}
    return replace(span, name=span.name.upper(), attributes=kept | {"by": MAIL})


@pytest.mark.usefixtures("isolated_provider")
def test_a_hook_may_rewrite_or_drop_a_span_and_what_it_writes_is_redacted_too(tmp_path: Path) -> None:
    telemetry = spanwise.configure(journal_dir=tmp_path, span_hook=rewriting)
    for name in ("health", "odd", "work"):
        with spanwise.step(name) as step:
            step.set("customer", "Ada")
    spanwise.shutdown()
    [span] = reader.read(tmp_path)
    assert (span.name, span.attributes) == (
        "STEP WORK", {"spanwise.step.name": "work", "by": "[redacted:email]"},
    )  # fmt: skip
    assert telemetry.ledger() == Counts(started=3, journaled=1, dropped={"hook": 1, "hook_failed": 1})
    assert repr(telemetry.hook_error) == "KeyError('step odd')"


@pytest.mark.usefixtures("isolated_provider")
@pytest.mark.parametrize(
    ("hook", "problem"),
    [
        ("no_such_module:f", "cannot be loaded (No module named 'no_such_module')"),
        ("json:nothing", "cannot be loaded ("),
        ("json:__name__", "is no function"),
    ],
)
def test_a_hook_that_cannot_be_loaded_is_an_error(hook: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(spanwise.InputError) as error:
        spanwise.configure(journal_dir=tmp_path, span_hook=hook)
    assert str(error.value).startswith(f"span_hook: {hook!r} {problem}")


@pytest.mark.usefixtures("isolated_provider")
def test_disabled_records_no_content_and_calls_no_hook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    called: list[SpanView] = []
    spanwise.configure(journal_dir=tmp_path / "j", capture_content="all", span_hook=called.append)
    talk()
    spanwise.shutdown()
    assert (called, list(tmp_path.iterdir())) == ([], [])
    assert not isinstance(trace.get_tracer_provider(), TracerProvider)


def test_metrics_do_not_show_what_is_redacted() -> None:
    from spanwise.testing import captured_telemetry  # noqa: PLC0415 - only here

    with captured_telemetry() as (telemetry, _):
        with spanwise.agent(MAIL):
            pass
        assert telemetry.metrics is not None
        labels = [sample.labels for family in telemetry.metrics.registry.collect() for sample in family.samples]
    assert {one["gen_ai_agent_name"] for one in labels if "gen_ai_agent_name" in one} == {"[redacted:email]"}


@pytest.mark.usefixtures("isolated_provider")
def test_metrics_of_a_process_that_nobody_else_watches_do_not_show_it_either() -> None:
    telemetry = spanwise.configure()
    with spanwise.agent(MAIL), spanwise.tool("prices"):
        pass
    assert telemetry.metrics is not None
    labels = [sample.labels for family in telemetry.metrics.registry.collect() for sample in family.samples]
    spanwise.shutdown()
    assert {one["gen_ai_agent_name"] for one in labels if "gen_ai_agent_name" in one} == {"[redacted:email]"}


@pytest.mark.usefixtures("isolated_provider")
def test_a_span_of_ours_is_redacted_in_the_journal_however_it_came_to_say_more(tmp_path: Path) -> None:
    spanwise.configure(journal_dir=tmp_path)
    with spanwise.agent(MAIL) as agent, spanwise.step("s", links=[trace.Link(agent.context, {"to": MAIL})]) as step:
        step.set("note", MAIL).set("password", 7).set("card", 4111111111111111).set("to", [MAIL]).set("n", 3)
        step.span.add_event(f"to {MAIL}", {"to": MAIL})
        step.span.record_exception(ValueError(MAIL))
        step.span.update_name(f"step of {MAIL}")
        step.span.set_status(trace.StatusCode.ERROR, MAIL)
    spanwise.shutdown()
    assert MAIL not in "".join(path.read_text() for path in tmp_path.glob("*.jsonl"))
    [span] = [one for one in reader.read(tmp_path) if one.name == "step of [redacted:email]"]
    assert {name: value for name, value in span.attributes.items() if "." not in name} == {
        "note": "[redacted:email]", "password": "[redacted:attribute]", "card": "[redacted:card]",
        "to": ("[redacted:email]",), "n": 3,
    }  # fmt: skip
    assert span.status_message == ""


@pytest.mark.usefixtures("isolated_provider")
def test_a_value_that_was_harmless_is_looked_at_again_under_another_name(tmp_path: Path) -> None:
    spanwise.configure(journal_dir=tmp_path)
    for name in ("note", "password", "input.value", "note"):
        with spanwise.step("s") as step:
            step.set(name, "tree").set(f"{name}.length", 4)
    for number in (1, 4111111111111111):
        with spanwise.step("s") as step:
            step.set("paid", number)
    spanwise.shutdown()
    said = [{key: one for key, one in span.attributes.items() if "step" not in key} for span in reader.read(tmp_path)]
    assert said == [
        {"note": "tree", "note.length": 4}, {"password": "[redacted:attribute]", "password.length": 4},
        {"input.value.length": 4}, {"note": "tree", "note.length": 4}, {"paid": 1}, {"paid": "[redacted:card]"},
    ]  # fmt: skip


class _Dumped:
    """A message as a client's library hands it out."""

    def model_dump(self) -> dict[str, Any]:
        function = {"name": "add", "arguments": '{"a": 1}'}
        return {"role": "assistant", "content": "Hello", "tool_calls": [{"id": "c1", "function": function}]}


@dataclass
class _Fields:
    role: str
    content: str


def test_messages_may_be_objects_of_the_client() -> None:
    messages: list[Any] = [_Fields("user", "Add"), _Dumped(), object()]
    with capture(capture_content="all") as spans, spanwise.llm_call("m") as call:
        call.input(messages)
    [span] = spans()

    user, assistant, other = json.loads(span["attributes"]["gen_ai.input.messages"])
    assert user == {"role": "user", "parts": [{"type": "text", "content": "Add"}]}
    assert [part["type"] for part in assistant["parts"]] == ["text", "tool_call"]
    assert assistant["parts"][1]["arguments"] == {"a": 1}
    assert other["parts"][0]["content"].startswith("<object object")


@pytest.mark.usefixtures("isolated_provider")
def test_a_secret_in_an_attribute_s_name_is_redacted(tmp_path: Path) -> None:
    spanwise.configure(journal_dir=tmp_path, integrations="none")
    with spanwise.step("note") as step:
        step.set(f"to {MAIL}", 1)
        step.set("db.pass", "hunter2")
    spanwise.shutdown()
    [span] = reader.read(tmp_path)

    assert {name: value for name, value in span.attributes.items() if "step" not in name} == {
        "to [redacted:email]": 1, "db.pass": "[redacted:attribute]",
    }  # fmt: skip
