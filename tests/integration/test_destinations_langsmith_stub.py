"""LangSmith's OTLP route on a stub that reads spans as its documentation says; its own SDK meets the same stub.

What its pages show cannot be tested here: there is no LangSmith. The stub is the documented mapping and nothing more.
"""

from __future__ import annotations

import threading
import uuid
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider

import spanwise
from spanwise.config.settings import Settings
from spanwise.destinations import langsmith
from spanwise_cli import health
from spanwise_cli.health import Line

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("isolated_provider")]
_METADATA = "langsmith.metadata."
_OPERATIONS = {"chat": "llm", "completion": "llm", "embedding": "embedding"}


@dataclass(frozen=True)
class Run:
    """A run as LangSmith's documentation says that it is made of a span."""

    id: str
    parent: str | None
    name: str
    run_type: str
    provider: str | None
    model: str | None
    tokens: tuple[int, ...]
    inputs: str | None
    outputs: str | None
    error: str | None
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])


def run_of(span: Any) -> Run:
    values = {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in span.attributes}
    inferred = (
        "tool" if "gen_ai.tool.name" in values else _OPERATIONS.get(str(values.get("gen_ai.operation.name")), "chain")
    )
    errors = [
        {pair.key: pair.value.string_value for pair in event.attributes}["exception.message"]
        for event in span.events
        if event.name == "exception"
    ]
    return Run(
        id=run_id(span.span_id),
        parent=run_id(span.parent_span_id) if span.parent_span_id else None,
        name=values.get("langsmith.trace.name", span.name),
        run_type=values.get("langsmith.span.kind", inferred),
        provider=values.get("gen_ai.system"),
        model=values.get("gen_ai.request.model"),
        tokens=(*(values.get(f"gen_ai.usage.{kind}_tokens", 0) for kind in ("input", "output", "total")),),
        inputs=values.get("gen_ai.input.messages"),
        outputs=values.get("gen_ai.output.messages"),
        error=errors[0] if errors else None,
        metadata={
            k.removeprefix("langsmith.metadata."): v for k, v in values.items() if k.startswith("langsmith.meta")
        },
    )


def run_id(span_id: bytes) -> str:
    return str(uuid.UUID(bytes=span_id.rjust(16, b"\0")))


class Stub:
    """What came in, by the name that it has on LangSmith's pages."""

    def __init__(self) -> None:
        self.address = ""
        self.requests: set[tuple[str | None, ...]] = set()
        self.runs: dict[str, Run] = {}


@contextmanager
def stub() -> Generator[Stub]:
    found = Stub()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            named = ("x-api-key", "langsmith-project", "content-type")
            found.requests.add((self.path, *(self.headers.get(name) for name in named)))
            for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for of_scope in of_resource.scope_spans:
                    for run in map(run_of, of_scope.spans):
                        found.runs[run.name] = run
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        found.address = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def smith(monkeypatch: pytest.MonkeyPatch) -> Generator[Stub]:
    with stub() as found:
        monkeypatch.setenv("LANGSMITH_ENDPOINT", found.address)
        monkeypatch.setenv("LANGSMITH_API_KEY", "ls-key")
        monkeypatch.delenv("LANGSMITH_PROJECT", raising=False)
        yield found


def record_desk() -> None:
    with spanwise.workflow("desk"), spanwise.agent("risk"):
        with spanwise.llm_call("small", provider="openai") as call:
            call.content("prompts", "gen_ai.input.messages", '[{"role":"user","content":"how risky?"}]')
            call.content("completions", "gen_ai.output.messages", '[{"role":"assistant","content":"very"}]')
            call.usage(70, 7, cached_tokens=50)
        with suppress(TimeoutError), spanwise.tool("prices"):
            raise TimeoutError("the exchange is silent")
        with spanwise.retrieval("news"), spanwise.cache_lookup("market") as lookup:
            lookup.result("hit")


def test_runs_are_shown_by_type_name_tokens_and_errors(tmp_path: Path, smith: Stub) -> None:
    telemetry = spanwise.configure(
        journal_dir=tmp_path, langsmith_project="desk", capture_content="prompts,completions"
    )
    record_desk()
    assert telemetry.flush(10)
    spanwise.shutdown()
    runs = smith.runs
    assert smith.requests == {("/otel/v1/traces", "ls-key", "desk", "application/x-protobuf")}
    assert {name: run.run_type for name, run in runs.items()} == {
        "desk": "chain", "risk": "chain", "chat small": "llm", "prices": "tool", "retrieval news": "retriever",
        "cache_lookup market": "chain",
    }  # fmt: skip
    parents = {
        name: next((one.name for one in runs.values() if one.id == run.parent), None) for name, run in runs.items()
    }
    assert parents == {
        "desk": None, "risk": "desk", "chat small": "risk", "prices": "risk", "retrieval news": "risk",
        "cache_lookup market": "retrieval news",
    }  # fmt: skip
    call = runs["chat small"]
    assert (call.provider, call.model, call.tokens) == ("openai", "small", (70, 7, 77))
    assert ("how risky?" in (call.inputs or ""), "very" in (call.outputs or "")) == (True, True)
    assert runs["prices"].error == "TimeoutError"


def test_tokens_count_once_however_deep_the_agents_are(tmp_path: Path, smith: Stub) -> None:
    telemetry = spanwise.configure(journal_dir=tmp_path, langsmith_project="desk")
    with spanwise.workflow("desk") as workflow, spanwise.agent("risk"), spanwise.llm_call("small") as call:
        call.usage(70, 7)
        workflow.set("gen_ai.usage.input_tokens", 70).set("gen_ai.usage.output_tokens", 7)
    assert telemetry.flush(10)
    spanwise.shutdown()
    assert sum(sum(run.tokens[:2]) for run in smith.runs.values()) == 77
    assert smith.runs["desk"].metadata["gen_ai.usage.input_tokens"] == 70


def test_content_can_be_kept_from_langsmith_alone(tmp_path: Path, smith: Stub) -> None:
    telemetry = spanwise.configure(
        journal_dir=tmp_path, langsmith_project="desk", capture_content="all", langsmith_content="none"
    )
    record_desk()
    assert telemetry.flush(10)
    spanwise.shutdown()
    assert {(run.inputs, run.outputs) for run in smith.runs.values()} == {(None, None)}


def test_doctor_says_whether_langsmith_takes_spans(smith: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(langsmith_project="desk")
    assert list(health._langsmith(settings)) == [Line("langsmith", "ok", "takes spans for the project desk")]
    monkeypatch.delenv("LANGSMITH_API_KEY")
    [line] = health._langsmith(settings)
    assert (line.status, "LANGSMITH_API_KEY is not set" in line.detail) == ("failed", True)
    monkeypatch.setenv("LANGSMITH_API_KEY", "k")
    monkeypatch.setenv("LANGSMITH_ENDPOINT", "http://127.0.0.1:9")
    assert list(health._langsmith(settings)) == [
        Line("langsmith", "failed", "Connection refused; check LANGSMITH_ENDPOINT and LANGSMITH_API_KEY")
    ]
    assert list(health._langsmith(Settings())) == []


def test_langsmiths_own_exporter_sends_to_the_same_place_with_the_same_headers(
    smith: Stub, monkeypatch: pytest.MonkeyPatch
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
    [(path, key, project, kind)] = smith.requests
    assert f"{smith.address}{path}" == langsmith.address()
    assert {"x-api-key": key, "Langsmith-Project": project} == langsmith.headers("desk")
    assert kind == "application/x-protobuf"
    assert smith.runs["theirs"].id == str(otel.langsmith_run_id_from_otel_span_id(span.get_span_context().span_id))


def test_the_names_are_those_of_langsmiths_own_sdk() -> None:
    names: Any = pytest.importorskip("langsmith._internal.otel._otel_exporter")
    sent = langsmith.translated(
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
    agent = langsmith.translated(
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
