from __future__ import annotations

import base64
import gzip
import json
import struct
import sys
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf import json_format
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData
from support.traces import BEGIN_NS, ONE_OF_EACH, ONE_PARENT, ONE_SPAN, ONE_TRACE, agent, chat, line_of, span, workflow

from spanwise import conventions as c
from spanwise.journal.reader import EventRecord, LinkRecord, ReadReport, SpanRecord, read_file
from spanwise_profiling.sources import recognise

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SPANS = [workflow(1, 0, 9), agent(2, 1, 8, parent=1), chat(3, 2, 7, parent=2)]
MILLISECOND = 1_000_000


def read(content: object) -> list[SpanRecord]:
    """Return the spans of a document (or of bytes), of which nothing may be skipped."""
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    report = ReadReport()
    records = list(recognise.read_bytes(raw, "it", report))
    assert report == ReadReport(files=1, spans=len(records))
    return records


def as_protobuf(document: dict[str, Any]) -> TracesData:
    """Return OTLP/JSON (ids in hexadecimal) as a message."""
    copy = json.loads(json.dumps(document))
    for of_resource in copy["resourceSpans"]:
        for one in of_resource["scopeSpans"][0]["spans"]:
            for part in (one, *one.get("links", ())):
                for name in ("traceId", "spanId", "parentSpanId"):
                    if part.get(name):
                        part[name] = base64.b64encode(bytes.fromhex(part[name])).decode()
    return json_format.ParseDict(copy, TracesData(), ignore_unknown_fields=True)


@pytest.fixture
def one_of_each(tmp_path: Path) -> SpanRecord:
    """What the journal's reader says of a span with every field."""
    path = tmp_path / "one.jsonl"
    path.write_text(json.dumps(ONE_OF_EACH) + "\n", encoding="utf-8")
    (record,) = read_file(path)
    return record


@pytest.mark.parametrize("indent", [None, 2])
def test_otlp_json_is_read_in_lines_and_as_one_document(one_of_each: SpanRecord, indent: int | None) -> None:
    assert read(json.dumps(ONE_OF_EACH, indent=indent).encode()) == [one_of_each]
    assert read(json.dumps(ONE_OF_EACH).encode() + b"\n\n" + json.dumps(ONE_OF_EACH).encode()) == [one_of_each] * 2


@pytest.mark.parametrize(
    "wrap", [lambda d: [d], lambda d: {"result": d}, lambda d: {"trace": d}, lambda d: {"data": [d]}]
)
def test_otlp_json_is_read_in_what_servers_put_around_it(one_of_each: SpanRecord, wrap: Any) -> None:
    assert read(wrap(ONE_OF_EACH)) == [one_of_each]


def test_tempos_batches_are_otlp() -> None:
    assert read({"batches": ONE_OF_EACH["resourceSpans"]}) == read(ONE_OF_EACH)


def test_otlp_json_as_protobuf_libraries_write_it_has_base64_ids_and_names_of_enumerations() -> None:
    message = as_protobuf(ONE_OF_EACH)
    for snake_case in (False, True):
        document = json_format.MessageToJson(message, preserving_proto_field_name=snake_case)
        assert "SPAN_KIND_CLIENT" in document
        assert read(document.encode()) == read(ONE_OF_EACH)


def test_one_protobuf_request_is_read(one_of_each: SpanRecord) -> None:
    assert read(as_protobuf(ONE_OF_EACH).SerializeToString()) == [one_of_each]


@pytest.mark.parametrize("pack", [lambda raw: raw, zstd.compress])
@pytest.mark.parametrize(
    "encode", [lambda: as_protobuf(ONE_OF_EACH).SerializeToString(), lambda: json.dumps(ONE_OF_EACH).encode()]
)
def test_the_collectors_files_of_messages_with_lengths_are_read(
    one_of_each: SpanRecord, encode: Any, pack: Any
) -> None:
    message = pack(encode())
    assert read((struct.pack(">I", len(message)) + message) * 3) == [one_of_each] * 3


def test_a_bare_span_is_read() -> None:
    line = json.loads(line_of(span(1)))
    (bare,) = line["resourceSpans"][0]["scopeSpans"][0]["spans"]
    (record,) = read(bare)
    assert (record.span_id, record.start_ns, record.name) == (span(1).span_id, BEGIN_NS, "work")


JAEGER: dict[str, Any] = {
    "data": [
        {
            "traceID": ONE_TRACE,
            "processes": {
                "p1": {"serviceName": "desk", "tags": [{"key": "host.name", "type": "string", "value": "a"}]}
            },
            "spans": [
                {
                    "traceID": ONE_TRACE,
                    "spanID": ONE_SPAN,
                    "operationName": "chat sim-1",
                    "references": [
                        {"refType": "FOLLOWS_FROM", "traceID": ONE_TRACE, "spanID": "00000000000000aa"},
                        {"refType": "CHILD_OF", "traceID": ONE_TRACE, "spanID": ONE_PARENT},
                    ],
                    "startTime": BEGIN_NS // 1000,
                    "duration": 1500,
                    "tags": [
                        {"key": "span.kind", "type": "string", "value": "client"},
                        {"key": "otel.status_code", "type": "string", "value": "ERROR"},
                        {"key": "otel.status_description", "type": "string", "value": "too many"},
                        {"key": "otel.scope.name", "type": "string", "value": "spanwise"},
                        {"key": "gen_ai.request.model", "type": "string", "value": "sim-1"},
                        {"key": "gen_ai.usage.input_tokens", "type": "int64", "value": 7},
                        {"key": "@jaeger@warnings", "type": "string", "value": "not the span's"},
                    ],
                    "logs": [{"timestamp": BEGIN_NS // 1000 + 1, "fields": [{"key": "event", "value": "first"}]}],
                    "processID": "p1",
                    "warnings": None,
                }
            ],
        }
    ],
    "total": 0,
    "errors": None,
}


def test_jaegers_json_is_read() -> None:
    expected = SpanRecord(
        trace_id=ONE_TRACE, span_id=ONE_SPAN, parent_id=ONE_PARENT, name="chat sim-1", kind=3,
        start_ns=BEGIN_NS, end_ns=BEGIN_NS + 1_500_000,
        attributes={"gen_ai.request.model": "sim-1", "gen_ai.usage.input_tokens": 7},
        links=(LinkRecord(ONE_TRACE, "00000000000000aa", {}),),
        events=(EventRecord(BEGIN_NS + 1000, "first", {}),),
        status_code=2, status_message="too many",
        resource={"service.name": "desk", "host.name": "a"}, scope_name="spanwise",
    )  # fmt: skip
    assert read(JAEGER) == [expected]
    assert read(JAEGER["data"][0]) == [expected]


def test_what_follows_from_a_span_of_its_trace_is_its_child_where_nothing_else_is_its_parent() -> None:
    only = [{"refType": "FOLLOWS_FROM", "traceID": ONE_TRACE, "spanID": ONE_PARENT}]
    (record,) = read({"spans": [{**JAEGER["data"][0]["spans"][0], "references": only}], "processes": {}})
    assert (record.parent_id, record.links) == (ONE_PARENT, ())


RUN, CHILD = "2f1b3a8e-93a7-4b9c-9b1e-0123456789ab", "00000000-0000-0000-00f0-67aa0ba902b7"
LANGSMITH = [
    {"id": RUN, "trace_id": RUN, "name": "agent", "run_type": "chain", "start_time": "2026-09-21T14:13:20",
     "end_time": "2026-09-21T14:13:29.000001Z", "session_name": "desk", "total_tokens": 120, "prompt_tokens": 100,
     "dotted_order": f"20260921T141320000000Z{RUN}"},
    {"id": CHILD, "trace_id": RUN, "name": "ChatOpenAI", "run_type": "llm", "start_time": "2026-09-21T14:13:21.5+00:00",
     "end_time": "2026-09-21T16:13:22+02:00", "first_token_time": "2026-09-21T14:13:21.75Z", "error": "Timeout\ntrace",
     "prompt_tokens": 100, "completion_tokens": 20,
     "dotted_order": f"20260921T141320000000Z{RUN}.20260921T141321500000Z{CHILD}",
     "extra": {"metadata": {"ls_model_name": "sim-1", "ls_provider": "openai", "spanwise.step.name": "ask", "team": 7}},
     "outputs": {"text": "yes"}},
]  # fmt: skip


def expected_runs() -> list[SpanRecord]:
    trace = RUN.replace("-", "")
    top = SpanRecord(
        trace_id=trace, span_id=trace, parent_id=None, name="agent", kind=0, start_ns=BEGIN_NS,
        end_ns=BEGIN_NS + 9_000_001_000, attributes={"langsmith.span.kind": "chain"},
        resource={"service.name": "desk"}, scope_name="langsmith",
    )  # fmt: skip
    attributes: dict[str, Any] = {
        "langsmith.span.kind": "llm", "langsmith.model": "sim-1", "langsmith.provider": "openai",
        "langsmith.usage.input_tokens": 100, "langsmith.usage.output_tokens": 20,
        "langsmith.time_to_first_token": 0.25, "langsmith.outputs": '{"text":"yes"}', "langsmith.metadata.team": 7,
        "langsmith.metadata.ls_model_name": "sim-1", "langsmith.metadata.ls_provider": "openai",
        "spanwise.step.name": "ask",
    }  # fmt: skip
    call = SpanRecord(
        trace_id=trace, span_id="00f067aa0ba902b7", parent_id=trace, name="ChatOpenAI", kind=0,
        start_ns=BEGIN_NS + 1500 * MILLISECOND, end_ns=BEGIN_NS + 2000 * MILLISECOND, attributes=attributes,
        status_code=2, status_message="Timeout", scope_name="langsmith",
    )  # fmt: skip
    return [top, call]


@pytest.mark.parametrize("form", ["list", "lines", "runs", "items"])
def test_langsmiths_runs_are_read_from_every_export(form: str) -> None:
    lines = b"\n".join(json.dumps(run).encode() for run in LANGSMITH)
    content = {
        "list": LANGSMITH,
        "lines": lines,
        "runs": {"runs": LANGSMITH},
        "items": {"items": LANGSMITH, "next_cursor": None},
    }
    assert read(content[form]) == expected_runs()


def test_a_run_that_came_over_opentelemetry_has_its_trace_its_resource_and_its_tokens_back() -> None:
    metadata = {
        "spanwise.trace.id": ONE_TRACE, "service.name": "desk", "spanwise.time.scale": 20.0, "spanwise.run.id": "r1",
        "usage_metadata": {"input_tokens": 70, "output_tokens": 7, "input_token_details": {"cache_read": 50}},
    }  # fmt: skip
    run = {**LANGSMITH[1], "run_type": "LLM", "status": "ERROR", "error": None, "extra": {"metadata": metadata}}
    [call] = read([run])
    assert (call.trace_id, call.is_error) == (ONE_TRACE, True)
    assert call.resource == {"service.name": "desk", "spanwise.time.scale": 20.0}
    told = {key: value for key, value in call.attributes.items() if not key.startswith("langsmith.metadata.")}
    assert told == {
        "langsmith.span.kind": "llm", "langsmith.usage.input_tokens": 70, "langsmith.usage.output_tokens": 7,
        "langsmith.usage.cache_read_input_tokens": 50, "langsmith.time_to_first_token": 0.25,
        "langsmith.outputs": '{"text":"yes"}', "spanwise.run.id": "r1",
    }  # fmt: skip


@pytest.mark.parametrize("details", [{"cache_read": 60}, {"raw": {"cache_read": 60}}])
def test_cached_tokens_are_read_as_each_api_writes_them(details: dict[str, Any]) -> None:
    [call] = read([{**LANGSMITH[1], "prompt_token_details": details}])
    assert call.attributes["langsmith.usage.cache_read_input_tokens"] == 60


def test_runs_nested_in_a_run_are_read() -> None:
    top, child = LANGSMITH
    assert read([{**top, "child_runs": [child]}]) == expected_runs()


PHOENIX = {
    "data": [
        {"id": "U3BhbjoxMQ==", "name": "ChatCompletion", "context": {"trace_id": ONE_TRACE, "span_id": ONE_SPAN},
         "span_kind": "LLM", "parent_id": ONE_PARENT, "start_time": "2026-09-21T14:13:20+00:00",
         "end_time": "2026-09-21T14:13:21.000000+00:00", "status_code": "OK", "status_message": "",
         "attributes": {"llm.model_name": "sim-1", "llm": {"token_count": {"prompt": 7}}},
         "events": [{"name": "first", "timestamp": "2026-09-21T14:13:20.5+00:00", "attributes": {}}]},
    ],
    "next_cursor": None,
}  # fmt: skip


def test_phoenix_spans_are_read_from_its_api_and_from_its_data_frames() -> None:
    expected = SpanRecord(
        trace_id=ONE_TRACE, span_id=ONE_SPAN, parent_id=ONE_PARENT, name="ChatCompletion", kind=0, start_ns=BEGIN_NS,
        end_ns=BEGIN_NS + 1000 * MILLISECOND, status_code=1,
        attributes={"llm.model_name": "sim-1", "llm.token_count.prompt": 7, "openinference.span.kind": "LLM"},
        events=(EventRecord(BEGIN_NS + 500 * MILLISECOND, "first", {}),),
    )  # fmt: skip
    assert read(PHOENIX) == [expected]
    row = {
        "name": "ChatCompletion", "context.trace_id": ONE_TRACE, "context.span_id": ONE_SPAN, "span_kind": "LLM",
        "parent_id": ONE_PARENT, "start_time": BEGIN_NS // MILLISECOND, "end_time": BEGIN_NS // MILLISECOND + 1000,
        "status_code": "OK", "attributes.llm.model_name": "sim-1", "attributes.llm.token_count": {"prompt": 7},
        "attributes.llm.tools": None, "events": [{"name": "first", "timestamp": BEGIN_NS // MILLISECOND + 500}],
    }  # fmt: skip
    assert read([row]) == [expected]


def test_what_opentelemetrys_console_exporter_prints_is_read() -> None:
    printed = {
        "name": "work", "context": {"trace_id": f"0x{ONE_TRACE}", "span_id": f"0x{ONE_SPAN}", "trace_state": "[]"},
        "kind": "SpanKind.CLIENT", "parent_id": None, "start_time": "2026-09-21T14:13:20.000000Z",
        "end_time": "2026-09-21T14:13:21.000000Z", "status": {"status_code": "ERROR", "description": "no"},
        "attributes": {"a": [1]}, "events": [], "resource": {"attributes": {"service.name": "desk"}},
        "links": [{"context": {"trace_id": f"0x{ONE_TRACE}", "span_id": f"0x{ONE_PARENT}"}, "attributes": {}}],
    }  # fmt: skip
    assert read(printed) == [
        SpanRecord(
            trace_id=ONE_TRACE, span_id=ONE_SPAN, parent_id=None, name="work", kind=3, start_ns=BEGIN_NS,
            end_ns=BEGIN_NS + 1000 * MILLISECOND, attributes={"a": (1,)}, status_code=2, status_message="no",
            links=(LinkRecord(ONE_TRACE, ONE_PARENT, {}),), resource={"service.name": "desk"},
        )
    ]  # fmt: skip


@pytest.mark.parametrize("pack", [gzip.compress, zstd.compress], ids=["gzip", "zstd"])
def test_any_format_is_read_from_compressed_files(pack: Callable[[bytes], bytes]) -> None:
    for content in (line_of(*SPANS), json.dumps(JAEGER), json.dumps(LANGSMITH), json.dumps(PHOENIX)):
        raw = content.encode()
        assert read(pack(raw)) == read(raw) != []
        assert read(pack(raw + b"\n") + pack(raw)) == read(raw + b"\n" + raw)  # as log rotation appends them
    message = as_protobuf(ONE_OF_EACH).SerializeToString()
    assert read(pack(message)) == read(message)


def test_langfuse_traces_are_read_with_their_observations() -> None:
    observations = [
        {"id": "b" * 16, "traceId": ONE_TRACE, "type": "GENERATION", "name": "ask", "startTime": "2026-09-21T14:13:21Z",
         "endTime": "2026-09-21T14:13:23Z", "completionStartTime": "2026-09-21T14:13:21.5Z", "model": "sim-1",
         "parentObservationId": "a" * 16, "level": "ERROR", "statusMessage": "no",
         "usageDetails": {"input": 7, "output": 3},
         "input": [{"role": "user"}], "output": "yes", "metadata": None},
        {"id": "a" * 16, "trace_id": ONE_TRACE, "type": "SPAN", "name": "desk", "start_time": "2026-09-21T14:13:20Z",
         "end_time": "2026-09-21T14:13:29Z", "parent_observation_id": None, "metadata": {"team": 7}},
    ]  # fmt: skip
    root, call, inner = read({"id": ONE_TRACE, "name": "review", "sessionId": "s", "observations": observations})
    assert (root.name, root.parent_id, root.start_ns, root.end_ns) == ("review", None, BEGIN_NS, BEGIN_NS + 9 * 10**9)
    assert (inner.parent_id, inner.attributes) == (root.span_id, {"langfuse.observation.type": "SPAN", "team": 7})
    assert (call.parent_id, call.status_code, call.status_message) == (inner.span_id, 2, "no")
    assert call.attributes == {
        "langfuse.observation.type": "GENERATION", "langfuse.model": "sim-1", c.USAGE_INPUT_TOKENS: 7,
        c.USAGE_OUTPUT_TOKENS: 3, "langfuse.time_to_first_token": 0.5,
        "langfuse.input": '[{"role":"user"}]', "langfuse.output": "yes",
    }  # fmt: skip
    assert [record.parent_id for record in read({"data": observations, "meta": {}})] == ["a" * 16, None]


@pytest.mark.parametrize(
    ("details", "counted"),
    [
        ({"input": 10, "input_cached_tokens": 60, "output": 5, "output_reasoning_tokens": 2, "total": 77}, (70, 7, 60)),
        ({"input": 10, "cache_read_input_tokens": 50, "cache_creation_input_tokens": 10, "output": 7}, (70, 7, 50)),
        ({"prompt_tokens": 70, "completion_tokens": 7}, (70, 7, None)),
    ],
)
def test_langfuses_usage_types_are_added_up(details: dict[str, int], counted: tuple[int | None, ...]) -> None:
    [call] = read({"id": "b" * 16, "traceId": ONE_TRACE, "type": "GENERATION", "startTime": "2026-09-21T14:13:21Z",
                   "usageDetails": details})  # fmt: skip
    names = (c.USAGE_INPUT_TOKENS, c.USAGE_OUTPUT_TOKENS, c.USAGE_CACHE_READ_INPUT_TOKENS)
    assert tuple(call.attributes.get(name) for name in names) == counted


def test_chromes_trace_events_are_nested_by_what_encloses_them() -> None:
    events = [
        {"ph": "M", "name": "process_name", "pid": 1, "args": {"name": "desk"}},
        {"ph": "M", "name": "thread_name", "pid": 1, "tid": 2, "args": {"name": "worker"}},
        {"ph": "X", "name": "outer", "pid": 1, "tid": 2, "ts": 1000, "dur": 100, "cat": "io", "args": {"a": {"b": 1}}},
        {"ph": "B", "name": "inner", "pid": 1, "tid": 2, "ts": 1010.5},
        {"ph": "E", "pid": 1, "tid": 2, "ts": 1020},
        {"ph": "X", "name": "after", "pid": 1, "tid": 2, "ts": 1100, "dur": 1},
        {"ph": "b", "name": "request", "cat": "net", "id": "0x1", "pid": 1, "tid": 9, "ts": 5},
        {"ph": "e", "name": "request", "cat": "net", "id": "0x1", "pid": 1, "tid": 8, "ts": 6},
        {"ph": "i", "name": "instant", "pid": 1, "tid": 2, "ts": 3},
    ]
    expected = [
        ("outer", None, 1_000_000, 1_100_000, {"chrome.category": "io", "a.b": 1}),
        ("inner", "outer", 1_010_500, 1_020_000, {}),
        ("after", None, 1_100_000, 1_101_000, {}),
        ("request", None, 5000, 6000, {"chrome.category": "net"}),
    ]
    for content in (events, {"traceEvents": events, "displayTimeUnit": "ms"}):
        records = read(content)
        names: dict[str | None, str | None] = {None: None, **{record.span_id: record.name for record in records}}
        assert [(r.name, names[r.parent_id], r.start_ns, r.end_ns, r.attributes) for r in records] == expected
        assert records[0].resource == {"service.name": "desk", "thread.name": "worker"}


def test_openai_agents_traces_are_read() -> None:
    items = [
        {"object": "trace", "id": f"trace_{ONE_TRACE}", "workflow_name": "review", "group_id": None, "metadata": None},
        {"object": "trace.span", "id": "span_aa", "trace_id": f"trace_{ONE_TRACE}", "parent_id": None,
         "started_at": "2026-09-21T14:13:20+00:00", "ended_at": "2026-09-21T14:13:29+00:00", "error": None,
         "span_data": {"type": "agent", "name": "risk", "tools": ["prices"]}},
        {"object": "trace.span", "id": "span_bb", "trace_id": f"trace_{ONE_TRACE}", "parent_id": "span_aa",
         "started_at": "2026-09-21T14:13:21+00:00", "ended_at": "2026-09-21T14:13:22+00:00",
         "error": {"message": "no", "data": None},
         "span_data": {"type": "function", "name": "prices", "input": "{}", "output": "7"}},
        {"object": "trace.span", "id": "span_cc", "trace_id": f"trace_{ONE_TRACE}", "parent_id": "span_aa",
         "started_at": "2026-09-21T14:13:23+00:00", "ended_at": None, "error": None,
         "span_data": {"type": "generation", "model": "sim-1", "usage": {"input_tokens": 7, "output_tokens": 3}}},
        {"object": "trace.span", "id": "span_dd", "trace_id": f"trace_{ONE_TRACE}", "parent_id": "span_aa",
         "started_at": "2026-09-21T14:13:23+00:00", "ended_at": None, "error": None,
         "span_data": {"type": "speech", "model": "voice", "first_content_at": "2026-09-21T14:13:23.25+00:00"}},
    ]  # fmt: skip
    risk, prices, call, speech = read({"data": items})
    assert (risk.span_id, risk.trace_id, risk.name) == ("span_aa", ONE_TRACE, "risk")
    assert risk.attributes == {"openai_agents.type": "agent", "openai_agents.agent": "risk"}
    assert (prices.parent_id, prices.status_code, prices.status_message) == ("span_aa", 2, "no")
    assert prices.attributes == {
        "openai_agents.type": "function", "openai_agents.function": "prices", "openai_agents.input": "{}",
        "openai_agents.output": "7",
    }  # fmt: skip
    assert (call.name, call.end_ns) == ("generation", 0)
    assert call.attributes == {
        "openai_agents.type": "generation", "openai_agents.model": "sim-1", "openai_agents.usage.input_tokens": 7,
        "openai_agents.usage.output_tokens": 3,
    }  # fmt: skip
    assert speech.attributes == {
        "openai_agents.type": "speech", "openai_agents.model": "voice", "openai_agents.time_to_first_token": 0.25,
    }  # fmt: skip
