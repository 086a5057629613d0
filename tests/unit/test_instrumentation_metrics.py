"""The metrics of built spans, as whole families: values at both time scales, exemplars, the limit on series."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import SpanContext, TraceFlags
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.exposition import generate_latest

import spanwise
from spanwise import conventions as c
from spanwise.journal.ledger import Ledger
from spanwise.recording import metrics as metrics_module
from spanwise.recording.metrics import SpanMetrics
from spanwise.recording.processor import RecordingProcessor

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SECOND = 10**9
NAMES = {"gen_ai.workflow.name": "w", "gen_ai.agent.name": "a"}
BASE = {"gen_ai_workflow_name": "w", "gen_ai_agent_name": "a"}
CALL = {
    "gen_ai.operation.name": "chat",
    "gen_ai.request.model": "m",
    "gen_ai.provider.name": "p",
    "gen_ai.usage.input_tokens": 100,
    "gen_ai.usage.output_tokens": 20,
    "gen_ai.response.time_to_first_chunk": 0.5,
    "spanwise.stream.chunks": 4,
}
CALL_LABELS = BASE | {
    "gen_ai_operation_name": "chat", "gen_ai_request_model": "m", "gen_ai_provider_name": "p", "error_type": "",
}  # fmt: skip
CACHE = {"spanwise.cache.name": "r", "spanwise.cache.tier": "memory", "spanwise.cache.result": "hit"}

Sample = tuple[str, dict[str, str], float]


def built(attributes: Mapping[str, Any], *, seconds: float = 2.0, scale: float | None = 1.0) -> ReadableSpan:
    return ReadableSpan(
        "built",
        context=SpanContext(0xABC, 0xDEF, is_remote=False, trace_flags=TraceFlags(1)),
        resource=Resource({} if scale is None else {"spanwise.time.scale": scale}),
        attributes=NAMES | dict(attributes),
        start_time=SECOND,
        end_time=SECOND + round(seconds * SECOND),
    )


def observed(*spans: ReadableSpan) -> SpanMetrics:
    metrics = SpanMetrics(CollectorRegistry())
    for span in spans:
        metrics.observe(span)
    return metrics


def samples(metrics: SpanMetrics) -> list[Sample]:
    """Return sums, counts and totals (not the buckets and creation times), by name."""
    return sorted(
        (
            (sample.name, sample.labels, sample.value)
            for family in metrics.registry.collect()
            for sample in family.samples
            if not sample.name.endswith(("_bucket", "_created"))
        ),
        key=str,
    )


def buckets(metrics: SpanMetrics, family: str) -> dict[str, float]:
    return {
        sample.labels["le"]: sample.value
        for one in metrics.registry.collect()
        for sample in one.samples
        if sample.name == f"{family}_bucket"
    }


def open_metrics(metrics: SpanMetrics) -> str:
    exposition: Any = generate_latest  # it has no annotations
    return str(exposition(metrics.registry), "utf-8")


def histogram(name: str, labels: dict[str, str], value: float) -> list[Sample]:
    return [(f"{name}_count", labels, 1.0), (f"{name}_sum", labels, value)]


@pytest.mark.parametrize("scale", [1.0, 20.0])
def test_a_model_call_is_counted_with_its_tokens_and_its_stream(scale: float) -> None:
    model = BASE | {"gen_ai_request_model": "m"}
    assert samples(observed(built(CALL, scale=scale))) == sorted(
        [
            *histogram("gen_ai_client_operation_duration_seconds", CALL_LABELS, 2.0 * scale),
            *histogram("gen_ai_client_operation_time_per_output_chunk_seconds", model, 0.5 * scale),
            *histogram("gen_ai_client_operation_time_to_first_chunk_seconds", model, 0.5 * scale),
            *histogram("gen_ai_client_token_usage", CALL_LABELS | {"gen_ai_token_type": "input"}, 100.0),
            *histogram("gen_ai_client_token_usage", CALL_LABELS | {"gen_ai_token_type": "output"}, 20.0),
            *histogram("spanwise_output_tokens_per_second", model, 20.0 / (1.5 * scale)),
            ("spanwise_attempts_total", BASE | {"error_type": ""}, 1.0),
        ],
        key=str,
    )


@pytest.mark.parametrize("scale", [1.0, 20.0])
@pytest.mark.parametrize(
    ("attributes", "name", "labels"),
    [
        ({"gen_ai.operation.name": "invoke_agent"}, "gen_ai_invoke_agent_duration_seconds", {"error_type": ""}),
        (
            {"gen_ai.operation.name": "invoke_workflow", "error.type": "ValueError"},
            "gen_ai_invoke_workflow_duration_seconds",
            {"error_type": "ValueError"},
        ),
        (
            {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "t"},
            "gen_ai_execute_tool_duration_seconds",
            {"gen_ai_tool_name": "t", "error_type": ""},
        ),
    ],
)
def test_durations_are_scaled(attributes: dict[str, Any], name: str, labels: dict[str, str], scale: float) -> None:
    assert samples(observed(built(attributes, scale=scale))) == histogram(name, BASE | labels, 2.0 * scale)


@pytest.mark.parametrize("scale", [1.0, 20.0])
def test_a_cache_lookup_is_counted_by_its_result_with_what_it_saved(scale: float) -> None:
    lookup = CACHE | {"spanwise.cache.saved_seconds": 3.0, "spanwise.cache.saved_tokens": 50}
    cache = BASE | {"spanwise_cache_name": "r"}
    assert samples(observed(built(lookup, scale=scale))) == sorted(
        [
            *histogram("spanwise_cache_lookup_duration_seconds", cache, 2.0 * scale),
            (
                "spanwise_cache_lookups_total",
                cache | {"spanwise_cache_tier": "memory", "spanwise_cache_result": "hit"},
                1.0,
            ),
            ("spanwise_cache_saved_seconds_total", cache, 3.0 * scale),
            ("spanwise_cache_saved_tokens_total", cache, 50.0),
        ],
        key=str,
    )


@pytest.mark.parametrize("scale", [1.0, 20.0])
def test_waits_add_up_by_kind_and_resource(scale: float) -> None:
    wait = {"spanwise.wait.kind": "lock", "spanwise.wait.resource": "l"}
    labels = BASE | {"spanwise_wait_kind": "lock", "spanwise_wait_resource": "l"}
    assert samples(observed(*[built(wait, scale=scale)] * 3)) == [("spanwise_wait_seconds_total", labels, 6.0 * scale)]


def test_an_attempt_that_is_tried_again_is_a_retry_and_the_last_one_is_not() -> None:
    failed = {"error.type": "429", "spanwise.retry.scheduled": True}
    found = samples(observed(built(failed), built({"error.type": "429"})))
    assert found == [("spanwise_retries_total", BASE | {"error_type": "429"}, 1.0)]


@pytest.mark.parametrize(("scale", "rate"), [(1.0, 60.0), (20.0, 3.0)])
def test_tokens_per_second_of_a_workflow_are_divided_by_the_scale(scale: float, rate: float) -> None:
    run = {
        "gen_ai.operation.name": "invoke_workflow",
        "spanwise.usage.input_tokens": 100, "spanwise.usage.output_tokens": 20,
    }  # fmt: skip
    found = samples(observed(built(run, scale=scale)))
    assert [one for one in found if "tokens_per_second" in one[0]] == histogram(
        "spanwise_workflow_tokens_per_second", BASE, rate
    )


def test_a_resource_without_a_scale_is_in_real_time() -> None:
    agent = {"gen_ai.operation.name": "invoke_agent"}
    assert samples(observed(built(agent, scale=None))) == samples(observed(built(agent, scale=1.0)))


def test_each_request_of_a_call_counts_as_an_attempt_and_the_call_once() -> None:
    several = CALL | {"spanwise.attempts": 2}
    requests: list[dict[str, Any]] = [
        {"spanwise.retry.attempt": 1, "error.type": "429", "spanwise.retry.scheduled": True}
    ]
    found = samples(observed(built(several), *map(built, [*requests, {"spanwise.retry.attempt": 2}])))
    assert [
        one for one in found if one[0].endswith(("attempts_total", "retries_total", "operation_duration_seconds_count"))
    ] == [
        ("gen_ai_client_operation_duration_seconds_count", CALL_LABELS, 1.0),
        ("spanwise_attempts_total", BASE | {"error_type": ""}, 1.0),
        ("spanwise_attempts_total", BASE | {"error_type": "429"}, 1.0),
        ("spanwise_retries_total", BASE | {"error_type": "429"}, 1.0),
    ]


def test_a_stream_of_one_chunk_has_no_time_between_chunks() -> None:
    names = {name for name, _, _ in samples(observed(built(CALL | {"spanwise.stream.chunks": 1})))}
    assert "gen_ai_client_operation_time_to_first_chunk_seconds_sum" in names
    assert "gen_ai_client_operation_time_per_output_chunk_seconds_sum" not in names


def test_tokens_read_from_the_prompt_cache_are_counted_by_model() -> None:
    found = samples(observed(built(CALL | {"gen_ai.usage.cache_read.input_tokens": 60})))
    model = BASE | {"gen_ai_request_model": "m"}
    assert ("spanwise_prompt_cache_read_tokens_total", model, 60.0) in found


@pytest.mark.parametrize("changed", [{"gen_ai.usage.output_tokens": 0}, {"gen_ai.response.time_to_first_chunk": 2.0}])
def test_a_stream_that_decodes_nothing_or_in_no_time_has_no_rate(changed: dict[str, float]) -> None:
    names = {name for name, _, _ in samples(observed(built(CALL | changed)))}
    assert "spanwise_output_tokens_per_second_sum" not in names


def test_other_spans_are_not_counted() -> None:
    assert samples(observed(built({}), built({"gen_ai.operation.name": "retrieval"}))) == []


def test_the_buckets_are_the_ones_of_the_conventions() -> None:
    counted = buckets(
        observed(built({"gen_ai.operation.name": "invoke_agent"})), "gen_ai_invoke_agent_duration_seconds"
    )
    assert counted == {str(bound): float(bound >= 2.0) for bound in c.AGENT_SECONDS_BUCKETS} | {"+Inf": 1.0}


def test_every_family_is_there_from_the_start_with_its_help() -> None:
    text = open_metrics(SpanMetrics(CollectorRegistry()))
    assert all(f"# HELP {metric.name.removesuffix('_total')} {metric.help}" in text for metric in c.METRICS)


def test_exemplars_carry_the_trace_of_a_sampled_span() -> None:
    text = open_metrics(observed(built({"gen_ai.operation.name": "invoke_agent"}), built(CACHE)))
    exemplar = f'# {{span_id="{0xDEF:016x}",trace_id="{0xABC:032x}"}}'
    lines = [line for line in text.splitlines() if exemplar in line]
    assert sorted(line.partition("{")[0] for line in lines) == [
        "gen_ai_invoke_agent_duration_seconds_bucket",
        "spanwise_cache_lookup_duration_seconds_bucket",
        "spanwise_cache_lookups_total",
    ]


class RecordOnly(Sampler):
    def should_sample(self, *arguments: Any, **more: Any) -> SamplingResult:
        return SamplingResult(Decision.RECORD_ONLY, {"gen_ai.operation.name": "invoke_agent"})

    def get_description(self) -> str:
        return "RecordOnly"


def test_a_span_that_is_not_sampled_is_counted_without_an_exemplar() -> None:
    metrics = SpanMetrics(CollectorRegistry())
    recorder = RecordingProcessor(metrics=metrics)
    provider = TracerProvider(sampler=RecordOnly(), shutdown_on_exit=False)
    provider.add_span_processor(recorder)
    provider.get_tracer("t").start_span("s").end()
    recorder.shutdown()
    text = open_metrics(metrics)
    assert (
        'gen_ai_invoke_agent_duration_seconds_count{error_type="",gen_ai_agent_name="",gen_ai_workflow_name=""} 1.0'
        in text
    )
    assert "trace_id" not in text


def test_beyond_the_limit_series_go_to_one_that_is_called_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_module, "SERIES_LIMIT", 3)
    agents = [built({"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": f"a{i}"}) for i in range(6)]
    found = samples(observed(*agents, *agents))
    other = {"gen_ai_workflow_name": "other", "gen_ai_agent_name": "other", "error_type": "other"}
    counts = {labels["gen_ai_agent_name"]: value for name, labels, value in found if name.endswith("_count")}
    assert counts == {"a0": 2.0, "a1": 2.0, "a2": 2.0, "other": 6.0}
    assert ("gen_ai_invoke_agent_duration_seconds_count", other, 6.0) in found


@pytest.mark.parametrize("saved", [-1.0, float("nan"), float("inf"), 10**400, "many", True, None, (1.0,)])
def test_a_value_that_cannot_be_counted_is_left_out_and_raises_nothing(saved: object) -> None:
    found = samples(observed(built(CACHE | {"spanwise.cache.saved_seconds": saved})))
    assert {name for name, _, _ in found} == {
        "spanwise_cache_lookups_total",
        "spanwise_cache_lookup_duration_seconds_count",
        "spanwise_cache_lookup_duration_seconds_sum",
    }


def test_a_label_that_python_cannot_write_is_called_other() -> None:
    agent = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": 10**5000}
    labels = {"gen_ai_workflow_name": "w", "gen_ai_agent_name": "other", "error_type": ""}
    assert samples(observed(built(agent))) == histogram("gen_ai_invoke_agent_duration_seconds", labels, 2.0)


def test_a_label_that_holds_a_secret_is_counted_under_what_may_be_shown_and_never_remembered() -> None:
    mail = "ann@example.com"
    metrics = SpanMetrics(CollectorRegistry(), shown=lambda text: text.replace(mail, "[mail]"))
    for name in (mail, "b", mail, "b"):
        metrics.observe(built({"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": name}))
    counts = {labels["gen_ai_agent_name"]: one for name, labels, one in samples(metrics) if name.endswith("_count")}
    assert counts == {"[mail]": 2.0, "b": 2.0}
    assert [values for kind in metrics._by_operation.values() for values in kind.known] == [("w", "b", "")]


def test_a_forked_child_counts_from_nothing() -> None:
    agent = built({"gen_ai.operation.name": "invoke_agent"})
    metrics = observed(agent, agent)
    metrics.renew()
    assert samples(metrics) == []
    metrics.observe(agent)
    assert [value for name, _, value in samples(metrics) if name.endswith("_count")] == [1.0]


def test_labels_of_any_type_are_counted_under_their_text() -> None:
    agents = [built({"gen_ai.operation.name": "invoke_agent", "error.type": kind}) for kind in ("1", 429, 429.5)]
    found = {labels["error_type"]: one for name, labels, one in samples(observed(*agents)) if name.endswith("_count")}
    assert found == {"1": 1.0, "429": 1.0, "429.5": 1.0}


def shown_by(metrics: SpanMetrics) -> list[str]:
    show: Any = generate_latest
    lines: list[str] = show(metrics.registry).decode().splitlines()
    return lines


@pytest.mark.usefixtures("isolated_provider")
def test_the_ledger_is_among_the_metrics(tmp_path: Path) -> None:
    telemetry = spanwise.configure(journal_dir=tmp_path)
    assert telemetry.metrics is not None
    open_one = spanwise.step("open").start()
    with spanwise.step("ended"):
        pass
    telemetry.flush()
    shown = shown_by(telemetry.metrics)
    assert [line for line in shown if line.startswith("spanwise_spans")] == [
        'spanwise_spans_total{destination="",reason="",state="started"} 2.0',
        'spanwise_spans_total{destination="",reason="",state="journaled"} 1.0',
        'spanwise_spans_current{destination="",state="open"} 1.0',
        'spanwise_spans_current{destination="",state="buffered"} 0.0',
    ]
    own = Ledger(("otlp",))
    for _ in range(3):
        own.start()
        own.take(1)
    own.journal(2)
    own.deliver("otlp", 1)
    own.drop("disk_full", 1)
    telemetry.metrics.ledger = own.counts
    shown = shown_by(telemetry.metrics)
    assert {
        'spanwise_spans_total{destination="",reason="disk_full",state="dropped"} 1.0',
        'spanwise_spans_total{destination="otlp",reason="",state="delivered"} 1.0',
        'spanwise_spans_current{destination="otlp",state="pending"} 1.0',
    } < set(shown)
    open_one.end()
