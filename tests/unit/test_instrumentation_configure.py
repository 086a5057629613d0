"""`configure` beside whatever the host has set up, once, twice, changed, switched off, and where it cannot work."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from support.journal_files import requests

import spanwise
from spanwise.journal import ledger
from spanwise.journal.ledger import Counts
from spanwise.recording import run_attributes as run_end
from spanwise.recording import telemetry as runtime

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("isolated_provider")


def without_times(given: dict[str, Any]) -> dict[str, Any]:
    """Leave out what a busy machine adds to: the parts of a run that took over ten milliseconds."""
    return {name: value for name, value in given.items() if not name.startswith("spanwise.budget.")}


def recorded(folder: Path) -> list[tuple[str, dict[str, Any], str]]:
    """Return (name, attributes but for times, service name) of each span in the journal, by name."""
    found: list[tuple[str, dict[str, Any], str]] = []
    for request in requests(folder):
        for group in request["resourceSpans"]:
            service = attributes(group["resource"])["service.name"]
            for scope in group["scopeSpans"]:
                found += [(span["name"], without_times(attributes(span)), service) for span in scope["spans"]]
    return sorted(found, key=lambda one: one[0])


def attributes(entry: dict[str, Any]) -> dict[str, Any]:
    return {one["key"]: next(iter(one["value"].values())) for one in entry.get("attributes", [])}


def test_configuring_twice_with_the_same_settings_changes_nothing(tmp_path: Path) -> None:
    first = spanwise.configure(service_name="desk", journal_dir=tmp_path)
    assert spanwise.configure(service_name="desk", journal_dir=str(tmp_path)) is first


def test_a_relative_folder_stays_the_same_one_after_the_working_folder_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    telemetry = spanwise.configure(journal_dir="runs")
    monkeypatch.chdir(tmp_path / "elsewhere")
    telemetry.go_on_in_child()  # what a forked child does first
    with spanwise.step("one"):
        pass
    spanwise.shutdown()
    assert [name for name, _, _ in recorded(tmp_path / "runs")] == ["step one"]
    assert not (tmp_path / "elsewhere" / "runs").exists()


def test_configuring_anew_moves_recording_and_keeps_what_was_recorded(tmp_path: Path) -> None:
    first = spanwise.configure(service_name="desk", journal_dir=tmp_path / "a")
    with spanwise.step("one"):
        pass
    second = spanwise.configure(service_name="desk", journal_dir=tmp_path / "b")
    with spanwise.step("two"):
        pass
    spanwise.shutdown()
    assert [name for name, _, _ in recorded(tmp_path / "a")] == ["step one"]
    assert [name for name, _, _ in recorded(tmp_path / "b")] == ["step two"]
    assert (first.ledger(), second.ledger()) == (Counts(started=1, journaled=1), Counts(started=1, journaled=1))


def test_each_new_service_name_takes_effect_also_for_tracers_that_exist(tmp_path: Path) -> None:
    spanwise.configure(service_name="a", journal_dir=tmp_path / "a")
    old = trace.get_tracer("host")
    for name in ("b", "c"):
        spanwise.configure(service_name=name, journal_dir=tmp_path / name)
        with spanwise.step("ours"), old.start_as_current_span("theirs"):
            pass
    spanwise.shutdown()
    assert [(name, service) for name, _, service in recorded(tmp_path / "c")] == [("step ours", "c"), ("theirs", "a")]


def test_a_span_that_is_open_while_recording_moves_is_counted_where_it_was_started(tmp_path: Path) -> None:
    first = spanwise.configure(journal_dir=tmp_path / "a")
    with spanwise.step("across"):
        second = spanwise.configure(journal_dir=tmp_path / "b")
    spanwise.shutdown()
    assert (first.ledger(), second.ledger()) == (Counts(started=1, dropped={"crash": 1}), Counts())
    assert ledger.read(tmp_path / "a") == first.ledger()


def test_a_provider_of_the_host_is_kept_and_its_spans_are_recorded_with_our_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_end, "SHORTEST_NS", 10**12)  # a run of over 10 ms has a budget beside its names
    foreign = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource({"service.name": "host"}), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(foreign))
    trace.set_tracer_provider(provider)

    telemetry = spanwise.configure(service_name="ignored", journal_dir=tmp_path)
    tracer = trace.get_tracer("host")
    with spanwise.workflow("desk", run_id="1" * 32), spanwise.agent("risk"), tracer.start_as_current_span("SELECT"):
        pass
    spanwise.shutdown()

    assert trace.get_tracer_provider() is provider is telemetry.provider
    assert recorded(tmp_path) == [
        ("SELECT", {"gen_ai.workflow.name": "desk", "gen_ai.agent.name": "risk"}, "host"),
        (
            "invoke_agent risk",
            {"gen_ai.workflow.name": "desk", "gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "risk"},
            "host",
        ),
        (
            "invoke_workflow desk",
            {
                "gen_ai.operation.name": "invoke_workflow",
                "gen_ai.workflow.name": "desk",
                "spanwise.run.id": "1" * 32,
            },
            "host",
        ),
    ]
    assert [span.name for span in foreign.get_finished_spans()] == [
        "SELECT", "invoke_agent risk", "invoke_workflow desk",
    ]  # fmt: skip


def test_the_hosts_provider_gets_our_processors_once_however_often_recording_is_configured(tmp_path: Path) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    trace.set_tracer_provider(provider)
    for name in ("a", "b", "c"):
        spanwise.configure(journal_dir=tmp_path / name)
    assert len(provider._active_span_processor._span_processors) == 2


def test_spans_of_the_host_after_shutdown_are_none_of_our_business(tmp_path: Path) -> None:
    trace.set_tracer_provider(TracerProvider(shutdown_on_exit=False))
    telemetry = spanwise.configure(journal_dir=tmp_path)
    spanwise.shutdown()
    with trace.get_tracer("host").start_as_current_span("later"):
        pass
    assert telemetry.ledger() == Counts()


def test_disabled_records_writes_sends_and_serves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    telemetry = spanwise.configure(journal_dir=tmp_path / "j", endpoint="http://127.0.0.1:1", metrics_port=0)
    with spanwise.workflow("desk") as run, spanwise.waiting("lock", "l"):
        run.grade("A", 90)
    assert (telemetry.provider, telemetry.processor, telemetry.metrics, telemetry.metrics_port) == (None,) * 4
    assert (telemetry.flush(), telemetry.ledger(), list(tmp_path.iterdir())) == (True, Counts(), [])
    assert not run.span.is_recording()
    assert not isinstance(trace.get_tracer_provider(), TracerProvider)


def test_without_configure_the_helpers_work_and_record_nothing() -> None:
    with spanwise.workflow("desk") as run, spanwise.agent("a"), spanwise.llm_call("m") as call:
        call.usage(1, 2)
    assert (run.span.is_recording(), runtime.active()) == (False, None)


def test_a_port_that_is_taken_is_one_error_and_leaves_no_thread(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        before = threading.active_count()
        with pytest.raises(spanwise.UnavailableError) as error:
            spanwise.configure(journal_dir=tmp_path, endpoint="http://127.0.0.1:1", metrics_port=port)
    assert str(error.value) == (
        f"port {port}: metrics cannot be served there (Address already in use); free it, or set "
        "SPANWISE_METRICS_PORT to another one (0 takes a free one)"
    )
    assert (threading.active_count(), runtime.active()) == (before, None)


def test_a_journal_folder_that_cannot_be_made_is_one_error_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(spanwise.UnavailableError) as error:
        spanwise.configure(journal_dir=tmp_path / "file" / "journal")
    assert str(error.value) == (
        f"{tmp_path}/file/journal: runs cannot be recorded here (Not a directory); free or unlock the disk, or name "
        "another folder with --journal or SPANWISE_JOURNAL_DIR"
    )


def test_a_bad_setting_leaves_recording_as_it_was(tmp_path: Path) -> None:
    telemetry = spanwise.configure(journal_dir=tmp_path)
    with pytest.raises(spanwise.InputError):
        spanwise.configure(time_scale=-1)
    assert runtime.active() is telemetry


def test_the_time_scale_is_an_attribute_of_the_resource_unless_it_is_one(tmp_path: Path) -> None:
    scaled = spanwise.configure(journal_dir=tmp_path / "a", time_scale=20).provider
    real = spanwise.configure(journal_dir=tmp_path / "b").provider
    assert scaled is not None
    assert real is not None
    assert scaled.resource.attributes["spanwise.time.scale"] == 20.0
    assert "spanwise.time.scale" not in real.resource.attributes


def test_shutting_down_twice_is_the_same_as_once(tmp_path: Path) -> None:
    telemetry = spanwise.configure(journal_dir=tmp_path, metrics_port=0)
    spanwise.shutdown()
    spanwise.shutdown()
    telemetry.shutdown()
    assert (runtime.active(), telemetry.metrics_port) == (None, None)
