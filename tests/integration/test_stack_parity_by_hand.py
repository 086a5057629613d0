"""One trace with every kind of span, written by hand, through the real servers: nothing of the toolkit takes part.

It proves what otel-collector.yaml derives before anything else relies on it: every metric family, exactly.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from support.otlp_json import export_request
from support.servers import eventually, fetch_json, jaeger_trace, post_otlp, query_prometheus, start_stack

from spanwise.conventions import METRICS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.servers import StackAddresses

pytestmark = [pytest.mark.slow, pytest.mark.servers, pytest.mark.alone]

TRACE = "0af7651916cd43dd8448eb211c80319c"
SCALE = 20
WORKFLOW = {"gen_ai.workflow.name": "desk"}
CALL = {"gen_ai.request.model": "small", "gen_ai.provider.name": "simulated"}
BOTH = WORKFLOW | {"gen_ai.agent.name": "risk"}

# name, milliseconds of real time, attributes
SPANS: tuple[tuple[str, int, dict[str, Any]], ...] = (
    ("invoke_workflow desk", 5000, WORKFLOW
     | {"gen_ai.operation.name": "invoke_workflow", "spanwise.usage.input_tokens": 700,
        "spanwise.usage.output_tokens": 300, "spanwise.budget.model": 3.0, "spanwise.budget.tool": 2.0}),
    ("invoke_agent risk", 1000, BOTH | {"gen_ai.operation.name": "invoke_agent"}),
    ("chat small", 500, BOTH | CALL
     | {"gen_ai.operation.name": "chat", "gen_ai.response.time_to_first_chunk": 0.1, "spanwise.stream.chunks": 5,
        "gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 50, "spanwise.cost": 0.25,
        "gen_ai.usage.cache_read.input_tokens": 60,
        "spanwise.cost.currency": "USD"}),
    ("chat small", 250, BOTH | CALL | {"gen_ai.operation.name": "chat", "error.type": "429", "spanwise.attempts": 2}),
    ("attempt", 100, BOTH
     | {"error.type": "429", "spanwise.retry.attempt": 1, "spanwise.retry.scheduled": True}),
    ("attempt", 100, BOTH | {"error.type": "429", "spanwise.retry.attempt": 2}),
    ("embeddings small", 50, BOTH | CALL | {"gen_ai.operation.name": "embeddings", "gen_ai.usage.input_tokens": 7}),
    ("execute_tool prices", 100, BOTH | {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "prices"}),
    ("cache_lookup market", 1, BOTH
     | {"spanwise.cache.name": "market", "spanwise.cache.tier": "memory", "spanwise.cache.result": "hit",
        "spanwise.cache.saved_seconds": 0.25, "spanwise.cache.saved_tokens": 40}),
    ("cache_lookup market", 2, BOTH
     | {"spanwise.cache.name": "market", "spanwise.cache.tier": "memory", "spanwise.cache.result": "miss"}),
    ("wait llm", 250, BOTH | {"spanwise.wait.kind": "rate_limit", "spanwise.wait.resource": "llm"}),
    ("plan risk", 10, BOTH | {"gen_ai.operation.name": "plan", "note": "key sk-abcdefghijklmnopqrstuvwx stays out"}),
)  # fmt: skip

_RISK = {"gen_ai_workflow_name": "desk", "gen_ai_agent_name": "risk", "job": "hand"}
_DESK = {"gen_ai_workflow_name": "desk", "job": "hand"}
_CHAT = _RISK | {
    "gen_ai_operation_name": "chat", "gen_ai_request_model": "small", "gen_ai_provider_name": "simulated",
}  # fmt: skip
_EMBED = _CHAT | {"gen_ai_operation_name": "embeddings"}
_MODEL = _RISK | {"gen_ai_request_model": "small"}
_CACHE = _RISK | {"spanwise_cache_name": "market"}
_LOOKUP = _CACHE | {"spanwise_cache_tier": "memory"}

# family -> list of (labels, values in system seconds or tokens)
EXPECTED: dict[str, list[tuple[dict[str, str], tuple[float, ...]]]] = {
    "gen_ai_client_operation_duration_seconds": [
        (_CHAT, (10.0,)), (_CHAT | {"error_type": "429"}, (5.0,)), (_EMBED, (1.0,)),
    ],
    "gen_ai_client_token_usage": [
        (_CHAT | {"gen_ai_token_type": "input"}, (100.0,)), (_CHAT | {"gen_ai_token_type": "output"}, (50.0,)),
        (_EMBED | {"gen_ai_token_type": "input"}, (7.0,)),
    ],
    "gen_ai_client_operation_time_to_first_chunk_seconds": [(_MODEL, (2.0,))],
    "gen_ai_client_operation_time_per_output_chunk_seconds": [(_MODEL, (2.0,))],
    "spanwise_output_tokens_per_second": [(_MODEL, (6.25,))],
    "spanwise_prompt_cache_read_tokens_total": [(_MODEL, (60.0,))],
    "gen_ai_invoke_agent_duration_seconds": [(_RISK, (20.0,))],
    "gen_ai_invoke_workflow_duration_seconds": [(_DESK, (100.0,))],
    "gen_ai_execute_tool_duration_seconds": [(_RISK | {"gen_ai_tool_name": "prices"}, (2.0,))],
    "spanwise_cache_lookups_total": [
        (_LOOKUP | {"spanwise_cache_result": "hit"}, (1.0,)), (_LOOKUP | {"spanwise_cache_result": "miss"}, (1.0,)),
    ],
    "spanwise_cache_lookup_duration_seconds": [(_CACHE, (0.02, 0.04))],
    "spanwise_cache_saved_seconds_total": [(_CACHE, (5.0,))],
    "spanwise_cache_saved_tokens_total": [(_CACHE, (40.0,))],
    "spanwise_wait_seconds_total": [
        (_RISK | {"spanwise_wait_kind": "rate_limit", "spanwise_wait_resource": "llm"}, (5.0,)),
    ],
    "spanwise_attempts_total": [(_RISK, (2.0,)), (_RISK | {"error_type": "429"}, (2.0,))],
    "spanwise_retries_total": [(_RISK | {"error_type": "429"}, (1.0,))],
    "spanwise_workflow_tokens_per_second": [(_DESK, (10.0,))],
    "spanwise_budget_seconds_total": [
        (_DESK | {"spanwise_budget_bucket": "model"}, (60.0,)), (_DESK | {"spanwise_budget_bucket": "tool"}, (40.0,)),
    ],
    "spanwise_cost_total": [(_MODEL | {"currency": "USD"}, (0.25,))],
}  # fmt: skip


def request(instance: str, trace: str, **resource: object) -> dict[str, Any]:
    return export_request(trace, SPANS, {"service.name": "hand", "service.instance.id": instance, **resource})


def expected_series(jobs: int) -> dict[frozenset[tuple[str, str]], float]:
    """Every sample that Prometheus is to have after `jobs` equal jobs, written out from the conventions' buckets."""
    series: dict[frozenset[tuple[str, str]], float] = {}
    for metric in METRICS:
        for labels, values in EXPECTED[metric.name]:
            samples = {metric.name: sum(values)} if metric.kind == "counter" else {
                f"{metric.name}_sum": sum(values), f"{metric.name}_count": len(values),
            }  # fmt: skip
            for name, value in samples.items():
                series[frozenset((labels | {"__name__": name}).items())] = value * jobs
            for bound in (*metric.buckets, float("inf")) if metric.kind == "histogram" else ():
                bucket = labels | {"__name__": f"{metric.name}_bucket", "le": str(float(bound))}
                series[frozenset(bucket.items())] = sum(value <= bound for value in values) * jobs
    return series


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackAddresses]:
    with start_stack(tmp_path_factory.mktemp("stack")) as addresses:
        yield addresses


def test_two_jobs_in_a_row_give_every_family_the_sum_of_both(stack: StackAddresses) -> None:
    post_otlp(stack.otlp_http, request("first", TRACE, **{"spanwise.time.scale": float(SCALE)}))
    post_otlp(stack.otlp_http, request("second", "b" * 32, **{"spanwise.time.scale": str(SCALE)}))
    expected = expected_series(jobs=2)

    def look() -> dict[frozenset[tuple[str, str]], float]:
        return query_prometheus(stack.prometheus, '{job="hand",__name__!~"spanwise_span_.*|target_info"}')

    seen = eventually(look, lambda found: found == pytest.approx(expected))

    assert {dict(key)["__name__"] for key in seen} == {dict(key)["__name__"] for key in expected}
    assert set(seen) == set(expected)
    assert seen == pytest.approx(expected)


def test_jaeger_returns_the_spans_as_they_were_sent_but_for_secrets(stack: StackAddresses) -> None:
    trace = "c" * 32
    sent = request("third", trace, **{"spanwise.time.scale": float(SCALE), "service.name": "store"})
    post_otlp(stack.otlp_http, sent)

    stored = eventually(lambda: jaeger_trace(stack.jaeger_api, trace))

    spans = {span["spanId"]: span for group in stored for scope in group["scopeSpans"] for span in scope["spans"]}
    for span in sent["resourceSpans"][0]["scopeSpans"][0]["spans"]:
        kept = spans.pop(span["spanId"])
        assert (kept["name"], kept["startTimeUnixNano"], kept["endTimeUnixNano"]) == (
            span["name"], span["startTimeUnixNano"], span["endTimeUnixNano"],
        )  # fmt: skip
        assert kept.get("parentSpanId", "") == span["parentSpanId"]
        values = {entry["key"]: entry["value"] for entry in kept["attributes"]}
        wanted = {entry["key"]: entry["value"] for entry in span["attributes"]}
        if "note" in wanted:
            wanted["note"] = {"stringValue": "key **** stays out"}
        assert values == wanted
    assert spans == {}
    about = {entry["key"]: entry["value"] for entry in stored[0]["resource"]["attributes"]}
    assert about == {
        "service.name": {"stringValue": "store"}, "service.instance.id": {"stringValue": "third"},
        "spanwise.time.scale": {"doubleValue": 20},
    }  # fmt: skip


def test_batches_that_arrive_at_the_same_time_are_all_counted(stack: StackAddresses) -> None:
    """Deltas that overtake each other would be dropped as out of order; here, one in fifty."""
    spans = [("invoke_workflow desk", 5, {"gen_ai.operation.name": "invoke_workflow"} | WORKFLOW)]
    batch = export_request("f" * 32, spans, {"service.name": "crowd"})
    senders, each = 8, 100

    def send(_: int) -> None:
        for _ in range(each):
            post_otlp(stack.otlp_http, batch)

    with ThreadPoolExecutor(senders) as pool:
        list(pool.map(send, range(senders)))

    def look() -> list[float]:
        count = 'gen_ai_invoke_workflow_duration_seconds_count{job="crowd"}'
        return list(query_prometheus(stack.prometheus, count).values())

    assert eventually(look, lambda seen: seen == [senders * each], within=10) == [senders * each]


@pytest.mark.parametrize("scale", [None, "fast", 0.0, -2])
def test_without_a_usable_scale_seconds_are_real_seconds(stack: StackAddresses, scale: object) -> None:
    service = f"scale-{scale}"
    extra = {} if scale is None else {"spanwise.time.scale": scale}
    post_otlp(stack.otlp_http, request("only", "d" * 32, **extra, **{"service.name": service}))

    def look() -> list[float]:
        found = query_prometheus(stack.prometheus, f'gen_ai_invoke_workflow_duration_seconds_sum{{job="{service}"}}')
        return list(found.values())

    assert eventually(look) == pytest.approx([5.0])


def test_exemplars_lead_from_a_bucket_to_the_trace(stack: StackAddresses) -> None:
    trace = "e" * 32
    post_otlp(stack.otlp_http, request("exemplar", trace, **{"service.name": "exemplar"}))

    def look() -> list[Any]:
        url = f"{stack.prometheus}/api/v1/query_exemplars"
        query = 'spanwise_span_duration_seconds_bucket{job="exemplar",span_name="invoke_workflow desk"}'
        now = time.time()
        return list(fetch_json(url, query=query, start=str(now - 300), end=str(now + 60))["data"])

    found = eventually(look)

    assert {exemplar["labels"]["trace_id"] for entry in found for exemplar in entry["exemplars"]} == {trace}
