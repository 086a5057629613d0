"""What is worked out as calls and runs end: budget on the workflow's span, cost on the call's, in metrics alike."""

from __future__ import annotations

import asyncio
import threading
import tomllib
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.trace import SpanKind
from support.pages import ROOT
from support.real_time import spend

import spanwise
from spanwise import conventions as c
from spanwise.journal import reader
from spanwise.otel.context import current
from spanwise.process import contained
from spanwise.recording import run_attributes as run_end
from spanwise.recording import telemetry as runtime
from spanwise.recording.scope import with_span
from spanwise_profiling.analysis import profile_of
from spanwise_profiling.load import load
from spanwise_profiling.profile import BUCKETS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from spanwise.journal.reader import SpanRecord

BUDGET = "spanwise.budget."


@pytest.fixture(autouse=True)
def declared_entry_points(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take entry points as pyproject.toml declares them: what is installed may be older."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]

    def found(group: str) -> list[EntryPoint]:
        return [EntryPoint(name, value, group) for name, value in groups[group].items()]

    monkeypatch.setattr("importlib.metadata.entry_points", found)


def recorded(work: Callable[[], object], folder: Path, **settings: Any) -> list[SpanRecord]:
    """Return the spans that `work` wrote to a journal in `folder`."""
    telemetry = spanwise.configure(journal_dir=folder, **settings)
    work()
    assert telemetry.flush()
    return list(reader.read(folder))


def budget_in(span: SpanRecord) -> dict[str, float]:
    return {
        name.removeprefix(BUDGET): float(str(value))
        for name, value in span.attributes.items()
        if name.startswith(BUDGET)
    }


def desk() -> None:
    with spanwise.workflow("desk"), spanwise.agent("risk"), spanwise.tool("prices"):
        spend(0.012)


@pytest.mark.usefixtures("isolated_provider")
def test_a_workflows_span_says_what_its_run_waited_for(tmp_path: Path) -> None:
    spans = recorded(desk, tmp_path)
    [run] = load(tmp_path).runs
    found = budget_in(spans[-1])
    expected = {bucket: length / 1e9 for bucket, length in profile_of(run).budget_ns.items() if length}
    assert found == expected
    assert found["tool"] >= 0.012
    assert sum(found.values()) == pytest.approx(spans[-1].duration_ns / 1e9)
    assert not any(budget_in(span) for span in spans[:-1])


@pytest.mark.usefixtures("isolated_provider")
def test_each_run_of_a_batch_has_a_budget_of_its_own(tmp_path: Path) -> None:
    def batch() -> None:
        with spanwise.agent("batch"):
            desk()
            desk()

    spans = [span for span in recorded(batch, tmp_path) if span.name == "invoke_workflow desk"]
    assert len(spans) == 2
    for span in spans:
        assert sum(budget_in(span).values()) == pytest.approx(span.duration_ns / 1e9)


@pytest.mark.usefixtures("isolated_provider")
def test_a_run_that_encloses_others_has_their_time_by_what_it_went_to(tmp_path: Path) -> None:
    def nested() -> None:
        with spanwise.workflow("outer"), spanwise.agent("a"):
            with spanwise.workflow("middle", run_id="m"):
                with spanwise.workflow("inner", run_id="i"), spanwise.tool("prices"):
                    spend(0.012)
                with spanwise.llm_call("m"):
                    spend(0.012)
            with spanwise.workflow("other", run_id="o"), spanwise.retrieval("documents"):
                spend(0.012)

    budgets = {span.name: budget_in(span) for span in recorded(nested, tmp_path)}
    middle, outer = budgets["invoke_workflow middle"], budgets["invoke_workflow outer"]
    assert (middle["tool"], middle["model"]) == (outer["tool"], outer["model"])
    assert min(outer[bucket] for bucket in ("tool", "model", "retrieval")) >= 0.012
    [run] = load(tmp_path).runs
    assert outer == {bucket: length / 1e9 for bucket, length in profile_of(run).budget_ns.items() if length}


@pytest.mark.usefixtures("isolated_provider")
def test_enclosed_runs_of_too_many_spans_leave_the_enclosing_one_to_the_profile(tmp_path: Path) -> None:
    def nested() -> None:
        with spanwise.workflow("outer"):
            for number in range(3):
                with spanwise.workflow("inner", run_id=f"{number}"):
                    for _ in range(run_end.MOST_SPANS // 2):
                        with spanwise.tool("prices"):
                            pass
                    spend(0.012)

    spans = [span for span in recorded(nested, tmp_path) if span.name.startswith("invoke_workflow")]
    assert [bool(budget_in(span)) for span in spans] == [True, True, True, False]


@pytest.mark.usefixtures("isolated_provider")
def test_a_run_of_an_instant_is_left_to_the_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_end, "SHORTEST_NS", 60 * 10**9)
    assert not any(map(budget_in, recorded(desk, tmp_path)))


@pytest.mark.usefixtures("isolated_provider")
def test_a_run_of_too_many_spans_is_left_to_the_profile(tmp_path: Path) -> None:
    def many() -> None:
        with spanwise.workflow("desk"):
            for _ in range(run_end.MOST_SPANS + 1):
                with spanwise.tool("prices"):
                    pass
            spend(0.012)

    assert not any(map(budget_in, recorded(many, tmp_path)))


@pytest.mark.usefixtures("isolated_provider")
def test_a_call_says_what_it_cost_and_nothing_where_no_price_is_known(tmp_path: Path) -> None:
    def calls() -> None:
        for model in ("gpt-4.1", "nobody-knows"):
            with spanwise.llm_call(model) as call:
                call.usage(1_000_000, 500_000)

    priced, unknown = recorded(calls, tmp_path)
    assert priced.attributes[c.COST] == pytest.approx(2.00 + 0.5 * 8.00)
    assert priced.attributes[c.COST_CURRENCY] == "USD"
    assert c.COST not in unknown.attributes


@pytest.mark.usefixtures("isolated_provider")
def test_metrics_count_budget_and_cost_in_system_seconds(tmp_path: Path) -> None:
    telemetry = spanwise.configure(journal_dir=tmp_path, time_scale=20.0)
    with spanwise.workflow("desk"), spanwise.tool("prices"), spanwise.llm_call("gpt-4.1") as call:
        call.usage(1_000_000, 0)
        spend(0.012)
    assert telemetry.flush()
    assert telemetry.metrics is not None
    families = {metric.name: rows for metric, rows in telemetry.metrics.snapshot()}
    budget = {labels[-1]: total for labels, _, total, _, _ in families["spanwise_budget_seconds_total"]}
    workflow = list(reader.read(tmp_path))[-1]
    assert budget == pytest.approx({bucket: 20 * seconds for bucket, seconds in budget_in(workflow).items()})
    [(labels, _, total, _, _)] = families["spanwise_cost_total"]
    assert labels == ("desk", "", "gpt-4.1", "USD")
    assert total == pytest.approx(2.00)


@pytest.mark.usefixtures("isolated_provider")
def test_what_breaks_while_it_is_worked_out_costs_no_span(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = [EntryPoint("a", "nowhere.at:all", "x"), EntryPoint("b", "operator:truediv", "x")]
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: broken)
    contained.failures.clear()
    spans = recorded(desk, tmp_path)
    assert contained.failures[run_end.WORKING_OUT] == 2
    assert isinstance(contained.last[run_end.WORKING_OUT], TypeError)
    assert [span.name for span in spans] == ["execute_tool prices", "invoke_agent risk", "invoke_workflow desk"]
    assert not any(map(budget_in, spans))


def test_recording_and_profiling_name_the_same_buckets() -> None:
    assert c.BUDGET_BUCKETS == BUCKETS


class Watching(SpanProcessor):
    """A processor of the host that notes what ended spans hold when it is shown them."""

    def __init__(self) -> None:
        self.seen: dict[str, dict[str, Any]] = {}

    def on_end(self, span: ReadableSpan) -> None:
        self.seen[span.name] = dict(span.attributes or {})


def watched(work: Callable[[], object], folder: Path, **settings: Any) -> tuple[Watching, list[SpanRecord]]:
    """Return what a processor of the host saw of `work`, and what the journal says."""
    telemetry, watching = spanwise.configure(journal_dir=folder, **settings), Watching()
    assert telemetry.provider is not None
    telemetry.provider.add_span_processor(watching)
    return watching, recorded(work, folder, **settings)


def priced_desk() -> None:
    with spanwise.workflow("desk"), spanwise.agent("risk"), spanwise.llm_call("gpt-4.1") as call:
        call.usage(1_000_000, 500_000)
        spend(0.012)


@pytest.mark.usefixtures("isolated_provider")
def test_processors_of_the_host_see_what_the_journal_has_without_what_is_worked_out_later(tmp_path: Path) -> None:
    watching, spans = watched(priced_desk, tmp_path)
    later = (BUDGET, c.COST)
    plain = {
        span.name: {name: value for name, value in span.attributes.items() if not name.startswith(later)}
        for span in spans
    }
    assert watching.seen == plain
    call, workflow = spans[0], spans[-1]
    assert call.attributes[c.COST] == pytest.approx(2.00 + 0.5 * 8.00)
    assert sum(budget_in(workflow).values()) == pytest.approx(workflow.duration_ns / 1e9)
    assert budget_in(workflow)["model"] >= 0.012


@pytest.mark.usefixtures("isolated_provider")
@pytest.mark.parametrize("durability", ["interval", "sync"])
@pytest.mark.parametrize("is_watched", [False, True])
@pytest.mark.parametrize("in_loop", [False, True])
def test_a_budget_is_never_worked_out_on_a_thread_of_the_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durability: Any, *, is_watched: bool, in_loop: bool
) -> None:
    threads: list[str] = []

    def of_run(records: list[SpanRecord]) -> dict[str, Any]:
        threads.append(threading.current_thread().name)
        return {"app.spans": len(records)}

    async def in_a_loop() -> None:
        priced_desk()

    found: dict[str, list[Any]] = {"spanwise.call_end": [], "spanwise.workflow_end": [of_run]}
    monkeypatch.setattr(run_end, "_found", lambda group: found[group])
    work = (lambda: asyncio.run(in_a_loop())) if in_loop else priced_desk
    record = watched if is_watched else recorded
    record(work, tmp_path, durability=durability)
    assert threads == ["spanwise-recorder"]
    assert next(iter(reader.read(tmp_path))).name == "chat gpt-4.1"
    assert [span.attributes.get("app.spans") for span in reader.read(tmp_path)][-1] == 3


@pytest.mark.usefixtures("isolated_provider")
def test_nothing_is_worked_out_where_the_setting_says_so(tmp_path: Path) -> None:
    spans = recorded(priced_desk, tmp_path, run_budget=False)
    assert c.COST not in spans[0].attributes
    assert budget_in(spans[-1]) == {}


@pytest.mark.usefixtures("isolated_provider")
def test_what_is_worked_out_is_redacted_before_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found: dict[str, list[Any]] = {
        "spanwise.call_end": [lambda attributes, start_ns: {"app.mail": "ann@example.com"}],
        "spanwise.workflow_end": [],
    }
    monkeypatch.setattr(run_end, "_found", lambda group: found[group])
    spans = recorded(priced_desk, tmp_path)
    assert spans[0].attributes["app.mail"] == "[redacted:email]"


@pytest.mark.usefixtures("isolated_provider")
def test_a_processor_that_comes_amid_a_run_takes_nothing_from_its_budget(tmp_path: Path) -> None:
    watching = Watching()

    def joined() -> None:
        telemetry = runtime.active()
        assert telemetry is not None
        assert telemetry.provider is not None
        with spanwise.workflow("desk"):
            with spanwise.tool("early"):
                spend(0.006)
            telemetry.provider.add_span_processor(watching)
            with spanwise.tool("late"):
                spend(0.006)

    spans = recorded(joined, tmp_path)
    assert [span.name for span in spans] == ["execute_tool early", "execute_tool late", "invoke_workflow desk"]
    assert budget_in(spans[-1])["tool"] >= 0.012


@pytest.mark.usefixtures("isolated_provider")
def test_what_breaks_before_a_watched_span_ends_costs_no_span(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = [EntryPoint("a", "nowhere.at:all", "x"), EntryPoint("b", "operator:truediv", "x")]
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: broken)
    watching, spans = watched(desk, tmp_path)
    assert list(watching.seen) == [span.name for span in spans]
    assert not any(map(budget_in, spans))


@pytest.mark.usefixtures("isolated_provider")
def test_open_runs_beyond_what_is_kept_lose_their_oldest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_end, "_MOST_KEPT", 4)
    ends = run_end.RunAttributes()
    telemetry = spanwise.configure(journal_dir=tmp_path)
    runs = [spanwise.workflow(f"run {number}").start() for number in range(3)]
    for number, run in enumerate(runs):
        for _ in range(2):
            about = {c.WORKFLOW_NAME: "w"}
            child = runtime.start_span("step", SpanKind.INTERNAL, about, context=with_span(current(), run.span))
            child.end()
            ends.enriched(child, in_host=False)  # type: ignore[arg-type]
        assert number < 2 or list(ends._kept) == [runs[2].span.get_span_context().trace_id]
    for run in runs:
        run.end()
    assert telemetry.flush()


@pytest.mark.usefixtures("isolated_provider")
def test_a_run_of_which_spans_were_let_go_is_left_to_the_profile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_end, "_MOST_KEPT", 4)

    def work() -> None:
        with spanwise.workflow("long"):
            for _ in range(6):
                with spanwise.tool("prices"):
                    spend(0.003)
        desk()

    spans = recorded(work, tmp_path)
    budgets = {span.name: budget_in(span) for span in spans if span.name.startswith("invoke_workflow")}
    assert budgets["invoke_workflow long"] == {}
    assert budgets["invoke_workflow desk"]["tool"] > 0
