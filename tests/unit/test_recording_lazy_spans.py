"""A lazy span is recorded if there is something below it, and is nowhere if there is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from opentelemetry import context as otel_context
from opentelemetry.trace import SpanKind, get_tracer

import spanwise
from spanwise.helpers import program_run
from spanwise.journal import reader
from spanwise.recording import waits

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROGRAM = "invoke_workflow app.py"


@pytest.fixture(autouse=True)
def _context(isolated_provider: None) -> Iterator[None]:
    token = otel_context.attach(otel_context.get_current())
    yield
    spanwise.shutdown()
    otel_context.detach(token)


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(program_run, "_SERVERS", ())  # another test may have loaded one
    spanwise.configure(journal_dir=tmp_path, integrations="none")
    program_run.begin("app.py")
    return tmp_path


def parents(journal: Path) -> dict[str, str | None]:
    """End recording and return the name of each span's parent by the span's name."""
    telemetry = spanwise.configure(journal_dir=journal, integrations="none")
    spanwise.shutdown()
    counts = telemetry.ledger()
    spans = list(reader.read(journal))
    assert (counts.started, counts.journaled, counts.open) == (len(spans), len(spans), 0)
    names = {span.span_id: span.name for span in spans}
    return {span.name: None if span.parent_id is None else names[span.parent_id] for span in spans}


def test_a_program_with_calls_is_a_run(journal: Path) -> None:
    with spanwise.llm_call("m"):
        pass
    assert parents(journal) == {PROGRAM: None, "chat m": PROGRAM}


def test_a_program_with_nothing_in_it_is_a_run_too(journal: Path) -> None:
    assert parents(journal) == {PROGRAM: None}


def test_a_program_with_workflows_only_is_none(journal: Path) -> None:
    with spanwise.workflow("desk"), spanwise.llm_call("m"):
        pass
    assert parents(journal) == {"invoke_workflow desk": None, "chat m": "invoke_workflow desk"}


def test_a_workflow_below_an_agent_of_the_program_stays_there(journal: Path) -> None:
    with spanwise.agent("a"), spanwise.workflow("desk"):
        pass
    assert parents(journal) == {PROGRAM: None, "invoke_agent a": PROGRAM, "invoke_workflow desk": "invoke_agent a"}


def test_spans_of_other_libraries_are_below_the_program_and_their_requests_are_not(journal: Path) -> None:
    tracer = get_tracer("other")
    with tracer.start_as_current_span("GET /", kind=SpanKind.SERVER), tracer.start_as_current_span("query"):
        pass
    assert parents(journal) == {"GET /": None, "query": "GET /"}


def test_spans_of_other_libraries_make_the_program_a_run(journal: Path) -> None:
    with get_tracer("other").start_as_current_span("query"):
        pass
    assert parents(journal) == {PROGRAM: None, "query": PROGRAM}


def test_waits_from_before_the_first_call_are_recorded_with_it_or_not_at_all(journal: Path) -> None:
    waits.record_wait("timer", "sleep", 1, 10_000_000)
    assert list(reader.read(journal)) == []
    with spanwise.llm_call("m"):
        pass
    assert parents(journal) == {PROGRAM: None, "chat m": PROGRAM, "wait sleep": PROGRAM}


def test_it_goes_on_in_another_set_up_of_recording(journal: Path) -> None:
    spanwise.configure(journal_dir=journal, integrations="none", service_name="other")
    with spanwise.llm_call("m"):
        pass
    spanwise.shutdown()
    assert {span.name: span.resource["service.name"] for span in reader.read(journal)} == {
        PROGRAM: "other", "chat m": "other",
    }  # fmt: skip


def test_tokens_of_calls_that_other_libraries_record_are_summed_once(journal: Path) -> None:
    call: dict[str, str | int] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.usage.input_tokens": 5,
        "gen_ai.usage.output_tokens": 2,
    }
    tracer = get_tracer("other")
    with (
        spanwise.agent("a"),
        tracer.start_as_current_span("chat m", attributes=call),
        tracer.start_as_current_span("chat m", attributes=call),  # another library tells of the same call
    ):
        pass
    spanwise.shutdown()
    [agent] = [span for span in reader.read(journal) if span.name == "invoke_agent a"]
    told = {name.rpartition(".")[2]: value for name, value in agent.attributes.items() if name.endswith("_tokens")}
    assert told == {"input_tokens": 5, "output_tokens": 2}
