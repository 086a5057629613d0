"""LangSmith's OTLP route on a stub that reads spans as its documentation says; its own SDK meets the same stub.

What its pages show cannot be tested here: there is no LangSmith. The stub is the documented mapping and nothing more.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from support.langsmith_server import KEY, LangSmith, langsmith_server

import spanwise
from spanwise.config.settings import Settings
from spanwise.destinations import langsmith, langsmith_spans
from spanwise.journal import reader
from spanwise.journal.stream import Stream
from spanwise.otlp import record_json
from spanwise_cli import health
from spanwise_cli.health import Line
from spanwise_profiling import dialects, prices
from spanwise_profiling.load import open_run
from spanwise_profiling.profiled import profiled
from spanwise_profiling.render.profile_document import profile_document
from spanwise_profiling.runs import Run, runs_of
from spanwise_profiling.trace import build_traces

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from spanwise.journal.reader import SpanRecord

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("isolated_provider")]


@pytest.fixture
def smith(monkeypatch: pytest.MonkeyPatch) -> Generator[LangSmith]:
    with langsmith_server() as found:
        monkeypatch.setenv("LANGSMITH_ENDPOINT", found.address)
        monkeypatch.setenv("LANGSMITH_API_KEY", KEY)
        monkeypatch.delenv("LANGSMITH_PROJECT", raising=False)
        yield found


def record_desk() -> None:
    with spanwise.workflow("desk"), spanwise.agent("risk"):
        with spanwise.llm_call("small", provider="openai") as call:
            call.content("system_instructions", "gen_ai.system_instructions", '[{"type":"text","content":"be brief"}]')
            call.content("prompts", "gen_ai.input.messages", '[{"role":"user","content":"how risky?"}]')
            call.content("completions", "gen_ai.output.messages", '[{"role":"assistant","content":"very"}]')
            call.chunk()
            call.chunk()
            call.usage(70, 7, cached_tokens=50)
        with suppress(TimeoutError), spanwise.tool("prices") as tool:
            tool.arguments({"ticker": "ACME"})
            raise TimeoutError("the exchange is silent")
        with spanwise.retrieval("news") as found, spanwise.cache_lookup("market") as lookup:
            found.query("ACME")
            found.documents([{"id": "n1", "score": 0.5}])
            lookup.result("hit")


def sent_desk(folder: Path, **settings: Any) -> None:
    telemetry = spanwise.configure(service_name="desk", journal_dir=folder, langsmith_project="desk", **settings)
    record_desk()
    assert telemetry.flush(10)
    spanwise.shutdown()


def test_runs_are_shown_by_type_name_and_place(tmp_path: Path, smith: LangSmith) -> None:
    sent_desk(tmp_path)
    runs = smith.named()
    assert smith.heads == {("/otel/v1/traces", KEY, "desk", "application/x-protobuf")}
    assert {name: run["run_type"] for name, run in runs.items()} == {
        "desk": "chain", "risk": "chain", "chat small": "llm", "prices": "tool", "retrieval news": "retriever",
        "cache_lookup market": "chain",
    }  # fmt: skip
    names = {run["id"]: name for name, run in runs.items()}
    assert {name: names.get(run["parent_run_id"]) for name, run in runs.items()} == {
        "desk": None, "risk": "desk", "chat small": "risk", "prices": "risk", "retrieval news": "risk",
        "cache_lookup market": "retrieval news",
    }  # fmt: skip


def test_calls_are_shown_with_model_tokens_errors_and_content(tmp_path: Path, smith: LangSmith) -> None:
    sent_desk(tmp_path, capture_content="all")
    runs = smith.named()
    call = runs["chat small"]
    assert call["extra"]["invocation_params"] == {"model": "small"}
    about = call["extra"]["metadata"]
    assert (about["ls_provider"], about["ls_model_name"], about["gen_ai.agent.name"]) == ("openai", "small", "risk")
    assert call["inputs"] == {
        "messages": [
            {"role": "system", "parts": [{"type": "text", "content": "be brief"}]},
            {"role": "user", "content": "how risky?"},
        ]
    }
    assert call["outputs"] == {
        "messages": [{"role": "assistant", "content": "very"}],
        "usage_metadata": {
            "input_tokens": 70, "output_tokens": 7, "total_tokens": 77, "input_token_details": {"cache_read": 50},
        },
    }  # fmt: skip
    tool = runs["prices"]
    assert (tool["inputs"], tool["error"], tool["status"]) == ({"ticker": "ACME"}, "TimeoutError", "error")
    news = runs["retrieval news"]
    assert news["inputs"] == {"input": "ACME"}
    document = {"page_content": "n1", "type": "Document", "metadata": {"id": "n1", "score": 0.5}}
    assert news["outputs"] == {"documents": [document]}


def test_tokens_count_once_however_deep_the_agents_are(tmp_path: Path, smith: LangSmith) -> None:
    telemetry = spanwise.configure(journal_dir=tmp_path, langsmith_project="desk")
    with spanwise.workflow("desk") as workflow, spanwise.agent("risk"), spanwise.llm_call("small") as call:
        call.usage(70, 7)
        workflow.set("gen_ai.usage.input_tokens", 70).set("gen_ai.usage.output_tokens", 7)
    assert telemetry.flush(10)
    spanwise.shutdown()
    desk = smith.named()["desk"]
    assert (desk["prompt_tokens"], desk["completion_tokens"]) == (70, 7)
    assert desk["extra"]["metadata"]["gen_ai.usage.input_tokens"] == 70


def in_microseconds(record: SpanRecord) -> SpanRecord:
    """Return a span with the times that LangSmith keeps."""
    return replace(record, start_ns=record.start_ns // 1000 * 1000, end_ns=record.end_ns // 1000 * 1000)


def told_of(run: Run) -> Any:
    """Return what `spanwise profile --json` says of a run, but for its spans' names: LangSmith's are shorter."""
    [told] = profile_document(profiled([run], prices.load(None)), [], None)["runs"]
    return json.loads(json.dumps(told), object_hook=lambda member: {k: v for k, v in member.items() if k != "name"})


def test_what_was_sent_comes_back_with_the_same_path_and_budget(tmp_path: Path, smith: LangSmith) -> None:
    pytest.importorskip("langsmith")
    sent_desk(tmp_path, capture_content="all", causality="off")
    kept = map(in_microseconds, reader.read(tmp_path))
    [here] = runs_of(build_traces(dialects.translated(kept)))
    root = here.tops[0].span_id
    run_id = smith.named()["desk"]["id"]
    for flags in ({}, {"ch_query_enabled": False, "sdb_query_enabled": True}):
        smith.flags = flags
        for reference in (f"langsmith:{root}", f"langsmith:{run_id}", smith.page(run_id)):
            there, recording = open_run(reference, tmp_path / "none")
            assert recording.warnings == ()
            assert told_of(there) == told_of(here)


def test_a_run_of_the_journal_is_completed_from_langsmith(tmp_path: Path, smith: LangSmith) -> None:
    pytest.importorskip("langsmith")
    sent_desk(tmp_path)
    whole, _ = open_run("last", tmp_path)
    [root] = whole.tops
    part = tmp_path / "part"
    with Stream(part) as stream:
        stream.add(record_json.encode([root]), 1)
    run, recording = open_run("last", part, [f"langsmith:{root.span_id}"])
    assert recording.warnings == ()
    spans = {span.span_id for _, span in run.trace.walk(*run.tops)}
    assert (run.run_id, spans) == (whole.run_id, {span.span_id for _, span in whole.trace.walk(*whole.tops)})


@pytest.mark.parametrize("status", [429, 422])
def test_limits_and_refusals_lose_nothing(tmp_path: Path, smith: LangSmith, status: int) -> None:
    smith.faults.append((status, {"retry-after": "0"}))
    telemetry = spanwise.configure(journal_dir=tmp_path, langsmith_project="desk", shutdown_timeout=10)
    record_desk()
    assert telemetry.flush(10)
    taken = telemetry.ledger().destinations["langsmith"]
    spanwise.shutdown()
    assert (taken["delivered"], taken["pending"], taken["set_aside"]) == (6, 0, 0)
    assert len(smith.runs) == 6


def test_content_can_be_kept_from_langsmith_alone(tmp_path: Path, smith: LangSmith) -> None:
    sent_desk(tmp_path, capture_content="all", langsmith_content="none")
    assert {json.dumps(run["inputs"]) for run in smith.runs.values()} == {"{}"}
    assert {key for run in smith.runs.values() for key in run["outputs"]} == {"usage_metadata"}


def test_doctor_says_whether_langsmith_takes_spans(smith: LangSmith, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(destinations=(("langsmith", langsmith.Settings("desk")),))
    assert list(health._other(settings, "langsmith")) == [
        Line("langsmith", "ok", "langsmith (project desk) takes spans")
    ]
    monkeypatch.delenv("LANGSMITH_API_KEY")
    [line] = health._other(settings, "langsmith")
    assert (line.status, "LANGSMITH_API_KEY is not set" in line.detail) == ("failed", True)
    monkeypatch.setenv("LANGSMITH_API_KEY", "k")
    monkeypatch.setenv("LANGSMITH_ENDPOINT", "http://127.0.0.1:9")
    assert list(health._other(settings, "langsmith")) == [
        Line("langsmith", "failed", "Connection refused; check LANGSMITH_ENDPOINT and LANGSMITH_API_KEY")
    ]


def test_langsmiths_own_exporter_sends_to_the_same_place_with_the_same_headers(
    smith: LangSmith, monkeypatch: pytest.MonkeyPatch
) -> None:
    otel: Any = pytest.importorskip("langsmith.integrations.otel")
    utils: Any = pytest.importorskip("langsmith.utils")
    utils.get_env_var.cache_clear()
    processor = otel.OtelSpanProcessor(project="desk")
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    span = provider.get_tracer("t").start_span("theirs")
    span.end()
    assert processor.force_flush()
    provider.shutdown()
    utils.get_env_var.cache_clear()
    [(path, key, project, kind)] = smith.heads
    assert f"{smith.address}{path}" == langsmith.address()
    assert {"x-api-key": key, "Langsmith-Project": project} == langsmith.headers("desk")
    assert kind == "application/x-protobuf"
    assert smith.named()["theirs"]["id"] == str(
        otel.langsmith_run_id_from_otel_span_id(span.get_span_context().span_id)
    )


def test_the_names_are_those_of_langsmiths_own_sdk() -> None:
    names: Any = pytest.importorskip("langsmith._internal.otel._otel_exporter")
    sent = langsmith_spans.translated(
        {
            "name": "chat m",
            "attributes": [
                {"key": key, "value": {"stringValue": value}}
                for key, value in {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai"}.items()
            ]
            + [{"key": f"gen_ai.usage.{kind}_tokens", "value": {"intValue": "3"}} for kind in ("input", "output")]
            + [{"key": "gen_ai.usage.cache_read.input_tokens", "value": {"intValue": "1"}}],
        }
    )
    keys = {pair["key"] for pair in sent["attributes"]}
    assert keys >= {
        names.LANGSMITH_RUN_TYPE, names.GEN_AI_SYSTEM, names.GEN_AI_USAGE_INPUT_TOKENS,
        names.GEN_AI_USAGE_OUTPUT_TOKENS, names.GEN_AI_USAGE_TOTAL_TOKENS, names.GEN_AI_USAGE_INPUT_TOKEN_DETAILS,
    }  # fmt: skip
    agent = langsmith_spans.translated(
        {
            "name": "invoke_agent risk",
            "attributes": [
                {"key": "gen_ai.operation.name", "value": {"stringValue": "invoke_agent"}},
                {"key": "gen_ai.agent.name", "value": {"stringValue": "risk"}},
            ],
        }
    )
    assert {names.LANGSMITH_NAME, f"{names.LANGSMITH_METADATA}.gen_ai.agent.name"} <= {
        pair["key"] for pair in agent["attributes"]
    }
