"""Our spans are OpenTelemetry's: parents, propagators, processors, samplers, limits, links, events, resource, scope."""

from __future__ import annotations

import asyncio
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import context as otel_context
from opentelemetry import propagate, trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    Decision,
    ParentBased,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.trace import SpanContext, StatusCode, TraceFlags, TraceState
from prometheus_client import CollectorRegistry

import spanwise
from spanwise.config.settings import Settings
from spanwise.journal.ledger import Counts
from spanwise.otel.span import OwnSpan
from spanwise.otlp import json_encoder as otlp_json
from spanwise.recording.metrics import SpanMetrics
from spanwise.recording.processor import RecordingProcessor
from spanwise.recording.telemetry import Telemetry, substituted
from spanwise.testing import capture

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REMOTE = SpanContext(7, 8, is_remote=True, trace_flags=TraceFlags(1), trace_state=TraceState([("vendor", "x")]))


class Kept(RecordingProcessor):
    """Keeps what it takes."""

    def __init__(self, metrics: SpanMetrics | None = None) -> None:
        super().__init__(metrics=metrics)
        self.spans: list[ReadableSpan] = []

    def take(self, span: ReadableSpan) -> None:
        self.spans.append(span)


def recording(
    recorder: RecordingProcessor,
    *processors: SpanProcessor,
    sampler: Sampler | None = None,
    limits: SpanLimits | None = None,
    exceptions: str = "type",
) -> Telemetry:
    provider = TracerProvider(
        sampler=sampler, resource=Resource({"service.name": "host"}), shutdown_on_exit=False, span_limits=limits
    )
    for processor in (*processors, recorder):
        provider.add_span_processor(processor)
    return Telemetry(Settings(exceptions=exceptions), {}, provider, recorder, recorder.metrics)


def by_name(spans: list[ReadableSpan]) -> dict[str, ReadableSpan]:
    return {span.name: span for span in spans}


def test_the_current_span_is_ours_and_children_of_any_library_parent_to_it() -> None:
    kept = Kept()
    telemetry = recording(kept)
    with substituted(telemetry), spanwise.step("outer") as outer:
        assert trace.get_current_span() is outer.span
        with telemetry.tracer().start_as_current_span("theirs"), spanwise.step("inner"):
            pass
    spans = by_name(kept.spans)
    theirs, inner = spans["theirs"], spans["step inner"]
    assert isinstance(outer.span, OwnSpan)
    assert [type(span).__name__ for span in kept.spans] == ["OwnSpan", "ReadableSpan", "OwnSpan"]
    assert (theirs.parent, theirs.context.trace_id) == (outer.context, outer.context.trace_id)
    assert (inner.parent, inner.context.trace_id) == (theirs.context, outer.context.trace_id)


def test_propagators_inject_it_and_a_remote_parent_is_followed_with_its_trace_state() -> None:
    kept = Kept()
    carrier: dict[str, str] = {}
    remote = trace.set_span_in_context(trace.NonRecordingSpan(REMOTE), otel_context.Context())
    token = otel_context.attach(remote)
    with substituted(recording(kept)), spanwise.step("server"), spanwise.step("below") as below:
        propagate.inject(carrier)
    otel_context.detach(token)
    assert carrier == {"traceparent": f"00-{7:032x}-{below.context.span_id:016x}-01", "tracestate": "vendor=x"}
    server, own = by_name(kept.spans)["step server"], by_name(kept.spans)["step below"]
    assert server.parent == REMOTE
    assert own.parent is not None
    assert (own.parent.span_id, own.parent.is_remote) == (server.context.span_id, False)
    [written] = [
        span
        for span in msgspec_spans(otlp_json.encode(kept.spans))
        if span["name"] == "step server"
    ]  # fmt: skip
    assert (written["traceState"], written["parentSpanId"], written["flags"]) == ("vendor=x", f"{8:016x}", 0x300)


def msgspec_spans(line: bytes) -> list[dict[str, Any]]:
    import msgspec  # noqa: PLC0415 - here only

    return [
        span for group in msgspec.json.decode(line)["resourceSpans"] for s in group["scopeSpans"] for span in s["spans"]
    ]


class Watching(SpanProcessor):
    """Notes what a processor of the host sees, and adds an attribute."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    def on_start(self, span: Any, parent_context: otel_context.Context | None = None) -> None:
        self.seen.append(("start", span.name))
        span.set_attribute("host.mark", trace.get_current_span(parent_context).get_span_context().is_valid)

    def on_end(self, span: ReadableSpan) -> None:
        self.seen.append(("end", span.name))


def test_processors_and_exporters_of_the_host_receive_a_readable_span() -> None:
    kept, watching, exporter = Kept(), Watching(), InMemorySpanExporter()
    with (
        substituted(recording(kept, watching, SimpleSpanProcessor(exporter), exceptions="message")),
        spanwise.step("outer") as outer,
        spanwise.step("inner", links=[spanwise.waits_on(outer.context)]) as inner,
    ):
        inner.span.add_event("tick", {"n": 1}, timestamp=5)
        inner.span.set_status(StatusCode.ERROR, "broken")
    assert watching.seen == [
        ("start", "step outer"), ("start", "step inner"), ("end", "step inner"), ("end", "step outer"),
    ]  # fmt: skip
    span = exporter.get_finished_spans()[0]
    assert isinstance(span, ReadableSpan)
    assert span.resource.attributes == {"service.name": "host"}
    assert span.instrumentation_scope is not None
    assert span.instrumentation_scope.name == "spanwise"
    assert dict(span.attributes or {}) == {"spanwise.step.name": "inner", "host.mark": True}
    assert [(event.name, dict(event.attributes or {}), event.timestamp) for event in span.events] == [
        ("tick", {"n": 1}, 5)
    ]
    assert [link.context for link in span.links] == [outer.context]
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "broken")
    assert '"name": "step inner"' in span.to_json()
    [request] = encode_spans([span]).resource_spans[0].scope_spans[0].spans
    assert (request.name, request.parent_span_id) == ("step inner", outer.context.span_id.to_bytes(8, "big"))


class Broken(SpanProcessor):
    def on_start(self, span: Any, parent_context: otel_context.Context | None = None) -> None:
        raise OSError("start")

    def on_end(self, span: ReadableSpan) -> None:
        raise OSError("end")


class BrokenSampler(Sampler):
    def should_sample(self, *arguments: Any, **more: Any) -> SamplingResult:
        raise OSError("sampler")

    def get_description(self) -> str:
        return "broken"


def test_a_processor_and_a_sampler_that_fail_cost_the_host_nothing() -> None:
    kept = Kept()
    with substituted(recording(kept, Broken(), sampler=BrokenSampler())), spanwise.step("s"):
        pass
    assert [span.name for span in kept.spans] == ["step s"]


def agents(number: int) -> Iterator[OwnSpan]:
    for _ in range(number):
        with spanwise.agent("a") as outer, spanwise.tool("t") as inner:
            yield from (span for span in (outer.span, inner.span) if isinstance(span, OwnSpan))


def counted(metrics: SpanMetrics, family: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(
        f"{family}_count", {"gen_ai_workflow_name": "", "gen_ai_agent_name": "a", "error_type": ""} | labels
    )


def test_metrics_count_every_span_and_the_record_keeps_whole_traces_at_a_ratio_of_a_tenth(tmp_path: Path) -> None:
    metrics = SpanMetrics(CollectorRegistry())
    recorder = RecordingProcessor(metrics=metrics)
    exporter = InMemorySpanExporter()
    sampler = ParentBased(TraceIdRatioBased(0.1))
    with substituted(recording(recorder, SimpleSpanProcessor(exporter), sampler=sampler)):
        spans = list(agents(500))
    assert counted(metrics, "gen_ai_invoke_agent_duration_seconds") == 500.0
    assert counted(metrics, "gen_ai_execute_tool_duration_seconds", gen_ai_tool_name="t") == 500.0
    recorder.force_flush()
    kept = {span.trace_id for span in spans if not span.measured_only}
    assert 15 <= len(kept) <= 110
    assert all((span.trace_id in kept) == bool(span.flags & 1) for span in spans)
    assert {span.context.trace_id for span in exporter.get_finished_spans()} == kept
    assert len(exporter.get_finished_spans()) == 2 * len(kept)
    assert recorder.ledger.counts() == Counts(
        started=1000, journaled=2 * len(kept), dropped={"sampled": 1000 - 2 * len(kept)}
    )
    recorder.shutdown()


@pytest.mark.usefixtures("isolated_provider")
def test_the_sampler_of_the_environment_holds_also_for_spans_of_other_libraries_below_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off")
    telemetry = spanwise.configure(journal_dir=tmp_path)
    with spanwise.agent("a") as agent, telemetry.tracer().start_as_current_span("theirs") as theirs:
        assert agent.span.is_recording()
        assert not theirs.is_recording()
    telemetry.flush()
    assert telemetry.ledger() == Counts(started=1, dropped={"sampled": 1})
    assert telemetry.metrics is not None
    assert counted(telemetry.metrics, "gen_ai_invoke_agent_duration_seconds") == 1.0
    assert list(tmp_path.glob("*.otlp.jsonl")) == []


def test_a_remote_parent_that_was_not_sampled_keeps_its_children_out() -> None:
    metrics = SpanMetrics(CollectorRegistry())
    recorder = RecordingProcessor(metrics=metrics)
    unsampled = trace.NonRecordingSpan(SpanContext(7, 8, is_remote=True, trace_flags=TraceFlags(0)))
    token = otel_context.attach(trace.set_span_in_context(unsampled, otel_context.Context()))
    with substituted(recording(recorder)), spanwise.agent("a"):
        pass
    otel_context.detach(token)
    recorder.force_flush()
    recorder.shutdown()
    assert recorder.ledger.counts() == Counts(started=1, dropped={"sampled": 1})


class Marking(Sampler):
    def should_sample(self, *arguments: Any, **more: Any) -> SamplingResult:
        return SamplingResult(Decision.RECORD_ONLY, {"mark": 1}, TraceState([("s", "1")]))

    def get_description(self) -> str:
        return "marking"


def test_a_sampler_may_add_attributes_and_a_trace_state_and_record_without_sampling() -> None:
    kept = Kept()
    with substituted(recording(kept, sampler=Marking())), spanwise.step("s"):
        pass
    [span] = kept.spans
    assert (dict(span.attributes or {}), span.context.trace_flags.sampled, span.context.trace_state.to_header()) == (
        {"spanwise.step.name": "s", "mark": 1}, False, "s=1",
    )  # fmt: skip


def test_a_scrape_right_after_a_span_sees_it() -> None:
    metrics = SpanMetrics(CollectorRegistry())
    recorder = RecordingProcessor(metrics=metrics)
    with substituted(recording(recorder)):
        for number in range(1, 200):
            with spanwise.agent("a"):
                pass
            assert counted(metrics, "gen_ai_invoke_agent_duration_seconds") == number
    recorder.shutdown()


def test_limits_refuse_new_attributes_cut_long_ones_and_push_out_the_oldest_events_and_links() -> None:
    kept = Kept()
    limits = SpanLimits(
        max_span_attributes=3, max_span_attribute_length=5, max_events=2, max_links=1, max_event_attributes=1,
        max_attribute_length=4,
    )  # fmt: skip
    with substituted(recording(kept, limits=limits)), spanwise.step("s", role="a long role") as step:
        step.set("one", "123456").set("two", 2).set("one", [1, 2])
        for number in range(3):
            step.span.add_event(str(number), {"a": "123456", "b": 1})
            step.span.add_link(SpanContext(1, number + 1, is_remote=False))
        step.span.add_link(trace.INVALID_SPAN_CONTEXT)
    [span] = kept.spans
    assert dict(span.attributes or {}) == {"spanwise.step.name": "s", "spanwise.step.role": "a lon", "one": (1, 2)}
    assert [(event.name, dict(event.attributes or {}), event.dropped_attributes) for event in span.events] == [
        ("1", {"a": "1234"}, 1), ("2", {"a": "1234"}, 1),
    ]  # fmt: skip
    assert [link.context.span_id for link in span.links] == [3]
    assert (span.dropped_attributes, span.dropped_events, span.dropped_links) == (1, 1, 2)
    [written] = msgspec_spans(otlp_json.encode(kept.spans))
    assert (written["droppedAttributesCount"], written["droppedEventsCount"], written["droppedLinksCount"]) == (1, 1, 2)


@pytest.mark.parametrize("most", [None, 4])
def test_attributes_set_together_are_those_set_one_by_one(most: int | None) -> None:
    given: dict[Any, Any] = {
        "text": "a", "number": 1, "float": 0.5, "truth": True, "long": "x" * 20, "one": ("stop",), "two": ("a", "b"),
        "long one": ("x" * 20,), "list": ["a"], "": 1, 3: "no name", "number one": (1,), "none": None,
    }  # fmt: skip
    kept = Kept()
    limits = SpanLimits(max_span_attributes=most, max_span_attribute_length=8)
    with substituted(recording(kept, limits=limits)):
        with spanwise.step("s") as together:
            together.span.set_attributes(given)
        with spanwise.step("s") as apart:
            for name, value in given.items():
                apart.span.set_attribute(name, value)
        together.span.set_attributes({"text": "late"})
    first, second = kept.spans
    assert (first.attributes, first.dropped_attributes) == (second.attributes, second.dropped_attributes)
    assert first.dropped_attributes >= 2  # a name that is none, and one that is no text


def test_nothing_changes_a_span_that_has_ended() -> None:
    with capture() as spans, spanwise.step("s") as step:
        pass
    before, span = spans(), step.span
    span.set_attribute("late", 1)
    span.add_event("late")
    span.update_name("late")
    span.set_status(StatusCode.ERROR)
    span.end()
    assert (spans(), span.is_recording()) == (before, False)


def test_ok_is_final_and_a_name_can_change() -> None:
    with capture() as spans, spanwise.step("s") as step:
        step.span.update_name("renamed")
        step.span.set_status(StatusCode.OK)
        step.fail("late")
    assert [(span["name"], span["status"]) for span in spans()] == [("renamed", "OK")]


def test_an_exception_that_a_program_records_itself_keeps_its_message_as_in_the_sdk() -> None:
    kept = Kept()
    with substituted(recording(kept, exceptions="stacktrace")), spanwise.step("s") as step:
        step.span.record_exception(ValueError("why"), {"more": 1})
    [event] = kept.spans[0].events
    about = dict(event.attributes or {})
    assert "ValueError: why" in str(about.pop("exception.stacktrace"))
    assert (event.name, about) == (
        "exception",
        {"exception.type": "ValueError", "exception.message": "why", "exception.escaped": "False", "more": 1},
    )


def test_a_span_that_two_threads_end_ends_once() -> None:
    kept = Kept()
    with substituted(recording(kept)):
        for _ in range(200):
            span = spanwise.step("s").start()
            barrier = threading.Barrier(2)

            def end(span: Any = span, barrier: threading.Barrier = barrier) -> None:
                barrier.wait()
                span.span.end()

            threads = [threading.Thread(target=end) for _ in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    assert len(kept.spans) == 200


def test_context_reaches_executors_task_groups_and_callbacks() -> None:
    def leaf(name: str) -> None:
        with spanwise.step(name):
            pass

    async def task() -> None:
        leaf("task group")

    async def main() -> None:
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def callback() -> None:
            leaf("callback")
            done.set()

        with spanwise.workflow("w"):
            async with asyncio.TaskGroup() as group:
                group.create_task(task())
            loop.call_soon(callback)
            await done.wait()
            await asyncio.to_thread(leaf, "to_thread")

    with capture() as spans:
        asyncio.run(main())
    root, *below = spans()
    assert [(span["name"], span["parent_id"]) for span in below] == [
        ("step task group", root["span_id"]), ("step callback", root["span_id"]), ("step to_thread", root["span_id"]),
    ]  # fmt: skip


def test_a_bare_executor_starts_without_a_context_as_everywhere_in_python() -> None:
    with capture() as spans, spanwise.step("outer"), ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: spanwise.step("inside").start().end()).result()
    assert [span["parent_id"] for span in spans()] == [None, None]


def test_the_fast_encoder_and_the_general_one_write_the_same_line() -> None:
    kept = Kept()
    with substituted(recording(kept)), spanwise.workflow('a "quoted" \\ nämé\n', run_id="1" * 32), spanwise.agent("ü"):
        with spanwise.llm_call("m", temperature=0.5, max_tokens=3) as call:
            call.set("long", "é\t" * 100).set("big", 2**70).set("nan", float("nan"))
            call.set("lone", "\ud800").set("long lone", "\ud800" * 100)
            more: dict[str, Any] = {
                "yes": True,
                "none": None,
                "list": [1, "a"],
                "map": {"a": {"b": 1.5}},
                "raw": b"\xff",
            }
            call.span.set_attributes(more)
        with spanwise.tool("t") as tool:
            tool.fail("boom")
            tool.span.set_status(StatusCode.ERROR, "words")
    fast = [msgspec_spans(otlp_json.encode([span])) for span in kept.spans]
    general = [msgspec_spans(otlp_json.encode([snapshot(span)])) for span in kept.spans]
    assert fast == general
    assert [list(span[0]) for span in fast] == [list(span[0]) for span in general]


def snapshot(span: ReadableSpan) -> ReadableSpan:
    """Return the SDK's own kind of span that says the same."""
    return ReadableSpan(
        span.name, span.context, span.parent, span.resource, span.attributes, span.events, span.links, span.kind,
        status=span.status, start_time=span.start_time, end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )  # fmt: skip


def test_always_off_is_honoured() -> None:
    recorder = RecordingProcessor()
    with substituted(recording(recorder, sampler=ALWAYS_OFF)), spanwise.step("s"):
        pass
    recorder.force_flush()
    recorder.shutdown()
    assert recorder.ledger.counts() == Counts(started=1, dropped={"sampled": 1})


@pytest.mark.usefixtures("isolated_provider")
def test_a_host_that_seeds_its_random_numbers_keeps_them_and_gets_new_ids() -> None:
    spanwise.configure()
    found: list[tuple[float, int, str]] = []
    for _ in range(2):
        random.seed(7)
        with spanwise.workflow("w") as run:
            found.append((random.random(), run.context.trace_id, run.run_id))
    (one, first, first_run), (other, second, second_run) = found
    assert one == other
    assert (first != second, first_run != second_run) == (True, True)
