"""Files as programs and tools really leave them: what is whole is read, and what is not is said once."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import tarfile
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from support.traces import ONE_OF_EACH, agent, chat, line_of, span, workflow

from spanwise import conventions as c
from spanwise.errors import InputError
from spanwise.journal.reader import ReadReport, SpanRecord
from spanwise_profiling.load import load
from spanwise_profiling.sources import archives, chrome, documents, fast, otlp_json, recognise
from spanwise_profiling.sources.place import OTHER_SIGNALS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LINES = line_of(workflow(1, 0, 9), agent(2, 1, 8, parent=1)) + line_of(chat(3, 2, 7, parent=2))
NAMES = ["invoke_workflow trading", "invoke_agent risk", "chat sim-1"]
CONSOLE: dict[str, Any] = {
    "name": "chat m",
    "context": {"trace_id": "0x" + "1" * 32, "span_id": "0x" + "2" * 16, "trace_state": "[]"},
    "kind": "SpanKind.CLIENT",
    "parent_id": "0x" + "3" * 16,
    "start_time": "2026-11-30T14:15:42.197798Z",
    "end_time": "2026-11-30T14:15:42.218094Z",
    "status": {"status_code": "UNSET"},
    "attributes": {"gen_ai.operation.name": "chat", "odd": 'a } in "text" and \'another {'},
    "events": [],
    "links": [],
    "resource": {"attributes": {"service.name": "desk"}, "schema_url": ""},
}
AGENT = {**CONSOLE, "name": "invoke_agent a", "context": {"trace_id": "0x" + "1" * 32, "span_id": "0x" + "3" * 16},
         "parent_id": None, "attributes": {"gen_ai.operation.name": "invoke_agent"}}  # fmt: skip


def read(content: bytes | str) -> tuple[list[SpanRecord], ReadReport]:
    report = ReadReport()
    content = content.encode() if isinstance(content, str) else content
    return list(recognise.read_bytes(content, "it", report)), report


def names(records: list[SpanRecord]) -> list[str]:
    return [record.name for record in records]


def pretty(*values: object, indent: int | str = 4) -> str:
    return "".join(json.dumps(value, indent=indent) + "\n" for value in values)


# values one after another


@pytest.mark.parametrize("indent", [0, 2, 4, "\t"])
def test_indented_values_one_after_another_are_read(indent: int | str) -> None:
    records, report = read(pretty(CONSOLE, AGENT, indent=indent))
    assert names(records) == ["chat m", "invoke_agent a"]
    assert records[0].parent_id == records[1].span_id
    assert (report.skipped, report.noted, report.incomplete) == ([], {}, 0)
    document = json.loads(line_of(chat(3, 2, 7)))
    assert names(read(pretty(document, ONE_OF_EACH, indent=indent))[0])[0] == "chat sim-1"


def test_values_without_anything_between_them_are_read() -> None:
    records, _ = read(json.dumps(CONSOLE) + json.dumps(AGENT) + pretty(CONSOLE).strip() + json.dumps(AGENT))
    assert names(records) == ["chat m", "invoke_agent a"] * 2


def test_a_programs_own_output_between_the_spans_is_left_out_with_one_warning(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    path.write_text(
        "starting up\n[INFO] listening {port: 80\n"
        + pretty(CONSOLE)
        + 'it\'s "done" [1/2\n\n'
        + pretty(AGENT)
        + "bye\n"
    )
    recording = load(path)
    assert [run.totals.llm_calls for run in recording.runs] == [1]
    assert recording.warnings == (f"{path}: 4 {documents.TEXT}",)


def test_what_logs_put_before_a_value_is_left_out() -> None:
    line = json.dumps(json.loads(line_of(chat(3, 2, 7))))
    records, report = read(f"INFO 2026-11-30 exporter - {line}\nINFO: {line}\n\x1b[32mweb\x1b[0m {line}\n")
    assert names(records) == ["chat sim-1"] * 3
    assert report.noted == {}
    container = "".join(f"app-1  | {line}\n" for line in pretty(CONSOLE).splitlines())
    assert names(read(container)[0]) == ["chat m"]


def test_a_value_that_was_broken_off_costs_itself_and_not_its_neighbours() -> None:
    broken = pretty(CONSOLE)[:200]
    records, report = read(pretty(AGENT) + broken + "\nstarting again\n" + pretty(CONSOLE) + broken)
    assert names(records) == ["invoke_agent a", "chat m"]
    assert [str(one).rpartition("skipped: ")[2] for one in report.skipped] == [documents.DAMAGED]
    assert report.incomplete == 1


def test_a_damaged_line_of_many_costs_itself() -> None:
    lines = LINES.splitlines(keepends=True)
    records, report = read(lines[0][:300] + "\n" + LINES + lines[0][:300] + "\n" + LINES)
    assert names(records) == NAMES * 2
    assert [one.line for one in report.skipped] == [1, 4]  # type: ignore[union-attr]


def test_a_document_that_is_cut_off_gives_its_whole_records() -> None:
    for document in (json.loads(line_of(*(chat(n, 2, 7) for n in range(1, 50)))), {"data": [CONSOLE] * 50}):
        for indent in (None, 2):
            text = json.dumps(document, indent=indent)
            records, report = read(text[: len(text) // 2])
            assert 20 <= len(records) <= 25
            assert report.incomplete == 1


def test_javascripts_console_exporter_is_read() -> None:
    records, report = read(
        """> node app.js
{
  resource: { attributes: { 'service.name': 'desk', 'host.name': 'a' } },
  instrumentationScope: { name: 'x', version: '1.0.0', schemaUrl: undefined },
  traceId: '1111111111111111aaaaaaaaaaaaaaaa',
  parentSpanContext: {
    traceId: '1111111111111111aaaaaaaaaaaaaaaa',
    spanId: '00000000000000bb',
    traceFlags: 1
  },
  traceState: undefined,
  name: 'chat gpt-4o',
  id: '00000000000000aa',
  kind: 2,
  timestamp: 1790000000123456,
  duration: 1500.5,
  attributes: {
    'gen_ai.operation.name': 'chat',
    'gen_ai.usage.input_tokens': 7,
    note: 'it\\'s {odd}',
    long: 'one ' +
      'two',
    list: [ 'a', ... 3 more items ],
    deep: [Object]
  },
  status: { code: 2, message: 'no' },
  events: [ { name: 'e', attributes: {}, time: [ 1790000000, 5000 ], droppedAttributesCount: 0 } ],
  links: []
}
"""
    )
    [call] = records
    assert (call.name, call.kind, call.parent_id, call.scope_name) == ("chat gpt-4o", 3, "00000000000000bb", "x")
    assert (call.start_ns, call.duration_ns) == (1790000000123456000, 1500500)
    assert (call.status_code, call.status_message, call.resource["service.name"]) == (2, "no", "desk")
    assert call.attributes == {
        "gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 7, "note": "it's {odd}", "long": "one two",
        "list": ("a",), "deep": None,
    }  # fmt: skip
    assert call.events[0].time_ns == 1790000000000005000
    assert report.noted == {documents.TEXT: 1}


def test_gos_console_exporter_is_read() -> None:
    context = {"TraceID": "1" * 32, "SpanID": "2" * 16, "TraceFlags": "01", "TraceState": "", "Remote": False}
    go = {
        "Name": "chat", "SpanContext": context, "Parent": {**context, "SpanID": "0" * 16}, "SpanKind": 3,
        "StartTime": "2026-11-30T14:15:42.197798123+02:00", "EndTime": "2026-11-30T14:15:43.197798123+02:00",
        "Attributes": [{"Key": "gen_ai.usage.input_tokens", "Value": {"Type": "INT64", "Value": 7}}],
        "Events": [{"Name": "e", "Attributes": None, "Time": "2026-11-30T12:15:43Z"}], "Links": None,
        "Status": {"Code": "Error", "Description": "no"}, "ChildSpanCount": 0,
        "Resource": [{"Key": "service.name", "Value": {"Type": "STRING", "Value": "desk"}}],
        "InstrumentationScope": {"Name": "x", "Version": "", "SchemaURL": ""},
    }  # fmt: skip
    [call], report = read("Starting\n" + pretty(go, indent="\t"))
    assert (call.kind, call.parent_id, call.status_code, call.duration_ns) == (3, None, 2, 10**9)
    assert (dict(call.attributes), dict(call.resource)) == ({"gen_ai.usage.input_tokens": 7}, {"service.name": "desk"})
    assert call.start_ns % 10**9 == 197798123
    assert report.noted == {documents.TEXT: 1}


def test_what_javas_otlp_exporter_logs_is_read() -> None:
    resource = json.loads(line_of(chat(3, 2, 7)))["resourceSpans"][0]
    records, _ = read(f"Nov 30, 2026 2:15:42 PM io.opentelemetry export\nINFO: {json.dumps(resource)}\n")
    assert names(records) == ["chat sim-1"]
    assert names(read(json.dumps(resource))[0]) == ["chat sim-1"]


def test_zipkins_spans_and_those_of_jaegers_stores_are_read() -> None:
    zipkin = {"traceId": "1" * 32, "id": "2" * 16, "name": "get", "timestamp": 1790000000123456, "duration": 1500,
              "kind": "CLIENT", "localEndpoint": {"serviceName": "desk"}, "tags": {"error": "no"}}  # fmt: skip
    [call], _ = read(json.dumps([zipkin]))
    assert (call.kind, call.duration_ns, call.status_code, call.resource["service.name"]) == (3, 1_500_000, 2, "desk")
    jaeger = {"traceID": "1" * 32, "spanID": "2" * 16, "operationName": "get", "startTime": 1790000000123456,
              "duration": 1500, "process": {"serviceName": "desk", "tags": []}}  # fmt: skip
    [call], _ = read(json.dumps(jaeger))
    assert (call.name, call.duration_ns, call.resource["service.name"]) == ("get", 1_500_000, "desk")


# encodings and archives


@pytest.mark.parametrize(
    "encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be", "utf-8-sig"]
)
def test_text_in_other_encodings_is_read(tmp_path: Path, encoding: str) -> None:
    text = LINES.replace("sim-1", "模型")
    path = tmp_path / "x.jsonl"
    path.write_bytes(text.encode(encoding))
    records, report = read(path.read_bytes())
    assert names(records) == [*NAMES[:2], "chat 模型"]
    assert (report.skipped, report.noted) == ([], {})
    assert len(fast.load(path)) == 3
    assert names(read(pretty(CONSOLE).encode(encoding))[0]) == ["chat m"]


def _zipped(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


def _tarred(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


@pytest.mark.parametrize(
    "pack", [_zipped, _tarred, lambda f: gzip.compress(_tarred(f)), lambda f: bz2.compress(_tarred(f)),
             lambda f: lzma.compress(_tarred(f))],
)  # fmt: skip
def test_the_files_of_an_archive_are_read(tmp_path: Path, pack: Callable[[dict[str, bytes]], bytes]) -> None:
    first, second = LINES.splitlines(keepends=True)
    files = {"a/x.jsonl": first.encode(), "a/y.jsonl.gz": gzip.compress(second.encode()), "readme.md": b"# Hello\n",
             "__MACOSX/x": b"\x00", ".DS_Store": b"\x00"}  # fmt: skip
    path = tmp_path / "traces.zip"
    path.write_bytes(pack(files))
    recording = load(path)
    assert [run.totals.llm_calls for run in recording.runs] == [1]
    [warning] = recording.warnings
    assert f"1 file(s) of {path} left out, such as {path}/readme.md: is neither JSON nor protobuf" in warning
    assert len(fast.load(path)) == 3


def test_an_archive_without_a_trace_is_refused_in_one_line() -> None:
    for content in (_zipped({"readme.md": b"# Hello\n"}), _zipped({}), _tarred({"x": b"# Hello\n"}), b"PK\x03\x04zz"):
        with pytest.raises(InputError) as refused:
            read(content)
        assert "\n" not in str(refused.value)
    with pytest.raises(InputError, match="is an archive in an archive; unpack it"):
        read(_zipped({"inner.zip": _zipped({"x": LINES.encode()})}))
    assert archives.is_archive(_tarred({"x": b""}))


# one bad detail


def test_logs_and_metrics_between_the_traces_are_told_in_one_line(tmp_path: Path) -> None:
    other = '{"resourceLogs": []}\n{"resourceMetrics": []}\n{"resourceProfiles": []}\n'
    path = tmp_path / "x.jsonl"
    path.write_text((other + LINES) * 50)
    recording = load(path)
    assert recording.report.spans == 150
    assert recording.warnings == (f"{path}: 150 {OTHER_SIGNALS}",)
    path.write_text(LINES + other * 50)
    report = ReadReport()
    fast.load(path, report)
    assert report.noted == {OTHER_SIGNALS: 150}
    assert report.skipped == []


def _otlp(**changes: Any) -> str:
    document = json.loads(line_of(workflow(1, 0, 9), agent(2, 1, 8, parent=1), chat(3, 2, 7, parent=2)))
    document["resourceSpans"][0]["scopeSpans"][0]["spans"][2].update(changes)
    return json.dumps(document)


@pytest.mark.parametrize(
    "changes",
    [
        {"startTimeUnixNano": 1.79e18}, {"endTimeUnixNano": 1790000007000000000.0}, {"endTimeUnixNano": "soon"},
        {"kind": 3.0}, {"kind": {}}, {"status": 7}, {"status": {"code": "x", "message": 7}}, {"events": {}},
        {"events": [7, {"name": 7}]}, {"links": [{"traceId": 7}]}, {"attributes": {"a": 1}}, {"attributes": "x"},
        {"attributes": [{"key": "a", "value": {"intValue": "x"}}, {"value": {}}, 7]}, {"name": 7}, {"flags": "x"},
        {"attributes": [{"key": "a", "value": {"intValue": "9" * 5000}}]}, {"traceState": 7},
        {"parentSpanId": 7}, {"startTimeUnixNano": "1790000002000000000.0"},
    ],
)  # fmt: skip
def test_a_detail_that_cannot_be_read_costs_that_detail(tmp_path: Path, changes: dict[str, Any]) -> None:
    records, report = read(_otlp(**changes))
    assert len(records) == 3, report
    path = tmp_path / "x.jsonl"
    path.write_text(_otlp(**changes))
    assert len(fast.load(path)) == 3


@pytest.mark.parametrize(
    "changes",
    [{"startTimeUnixNano": "soon"}, {"startTimeUnixNano": [], "name": "x"}, {"spanId": {}}, {"traceId": None},
     {"startTimeUnixNano": 0}],
)  # fmt: skip
def test_a_span_without_its_id_or_its_start_is_skipped_alone(changes: dict[str, Any]) -> None:
    records, report = read(_otlp(**changes))
    assert names(records) == NAMES[:2]
    assert len(report.skipped) + sum(report.noted.values()) >= 1


def test_attributes_as_one_object_are_read() -> None:
    [*_, call], report = read(_otlp(attributes={"gen_ai.operation.name": "chat", "n": 7, "f": 1.5, "l": ["a", True]}))
    assert dict(call.attributes) == {"gen_ai.operation.name": "chat", "n": 7, "f": 1.5, "l": ("a", True)}
    assert report.noted == {}


def test_broken_characters_constants_and_numbers_cost_no_file() -> None:
    bad = LINES.splitlines()[1].replace('"sim-1"', '"\\ud800 sim"').replace('"status"', '"odd": NaN, "status"')
    assert "NaN" in bad
    for content in (bad, LINES + bad + "\n" + LINES, bad.replace("sim", "\tsim"), pretty(json.loads(bad))):
        records, report = read(content)
        assert any("sim" in str(record.attributes) for record in records)
        assert report.skipped == []
    assert len(read(LINES.encode().replace(b"risk", b"r\xffsk"))[0]) == 3


def test_a_detail_is_counted_once_whatever_the_number_of_spans() -> None:
    document = json.loads(line_of(*(span(n, 0, 1) for n in range(1, 300))))
    for one in document["resourceSpans"][0]["scopeSpans"][0]["spans"]:
        one["kind"] = "x"
        one["endTimeUnixNano"] = "soon"
    _, report = read(json.dumps(document))
    assert report.noted == {otlp_json.UNREADABLE: 299}


# Chrome's traces


def events(*what: dict[str, Any]) -> str:
    return json.dumps([{"pid": 1, "tid": 1, **one} for one in what])


def spans_of(content: str) -> dict[str, tuple[float, float, str | None]]:
    """Return start and duration in microseconds, and the parent's name, by name."""
    records, _ = read(content)
    by_id = {record.span_id: record.name for record in records}
    return {
        r.name: (r.start_ns / 1e3, r.duration_ns / 1e3 if r.end_ns else -1, by_id.get(r.parent_id or ""))
        for r in records
    }


RUN = {"run": (0, 1000, None), "call": (100, 500, "run")}
HALVES = (
    {"name": "run", "ph": "B", "ts": 0},
    {"name": "call", "ph": "X", "ts": 100, "dur": 500},
    {"name": "run", "ph": "E", "ts": 1000},
)


@pytest.mark.parametrize("cut", [1, 2])
@pytest.mark.parametrize("comma", ["", ",", ",\n", "\n"])
def test_an_array_of_chromes_events_needs_no_end(cut: int, comma: str) -> None:
    for text in (events(*HALVES), "[\n" + ",\n".join(json.dumps({"pid": 1, "tid": 1, **one}) for one in HALVES) + "]"):
        assert spans_of(text[:-1] + comma) == RUN
        assert spans_of(text[:-1] + comma.strip() + "]") == RUN
        document = '{"displayTimeUnit":"ms","traceEvents":' + text
        assert spans_of(document[:-1] + comma) == RUN
        records, report = read(document[: -10 * cut])
        assert names(records) == ["run", "call"][:2]
        assert report.incomplete == 1


def test_chromes_events_may_come_in_any_order() -> None:
    text = events(
        {"name": "run", "ph": "E", "ts": 1000}, {"name": "call", "ph": "E", "ts": 600},
        {"name": "run", "ph": "B", "ts": 0}, {"name": "call", "ph": "B", "ts": 100},
    )  # fmt: skip
    assert spans_of(text) == RUN
    assert read(text)[1].noted == {chrome.UNORDERED: 1}


def test_times_of_chromes_events_may_be_text_and_durations_odd() -> None:
    text = events(
        {"name": "run", "ph": "X", "ts": "0", "dur": "1000"}, {"name": "call", "ph": "X", "ts": "100", "dur": "500"},
        {"name": "odd", "ph": "X", "ts": 50, "dur": -5, "tid": 2}, {"name": "none", "ph": "X", "ts": "soon"},
    )  # fmt: skip
    found, report = read(text)
    assert spans_of(text) == {**RUN, "odd": (50, 0, None)}
    assert (len(found), len(report.skipped), report.noted) == (3, 1, {chrome.LENGTHS: 1})


def test_ends_without_a_beginning_and_beginnings_without_an_end_are_told_and_kept() -> None:
    text = events(
        {"name": "lost", "ph": "E", "ts": 0}, {"name": "run", "ph": "B", "ts": 1}, {"name": "in", "ph": "B", "ts": 2},
        {"name": "run", "ph": "E", "ts": 5}, {"name": "open", "ph": "B", "ts": 6}, {"name": "now", "ph": "B", "ts": 7},
        {"name": "now", "ph": "E", "ts": 7},
    )  # fmt: skip
    found = spans_of(text)
    assert found == {"run": (1, 4, None), "in": (2, 3, "run"), "open": (6, -1, None), "now": (7, 0, "open")}
    assert read(text)[1].noted == {chrome.UNMATCHED: 1}


def test_a_marker_over_a_whole_recording_is_the_parent_of_the_threads() -> None:
    marker = {"ph": "X", "cat": "Trace", "name": "PyTorch Profiler (0)", "pid": "Spans", "tid": "PyTorch Profiler",
              "ts": 3, "dur": 900}  # fmt: skip
    work = [{"name": "a", "ph": "X", "ts": 1, "dur": 500}, {"name": "b", "ph": "X", "ts": 2, "dur": 100},
            {"name": "c", "ph": "X", "ts": 600, "dur": 400, "tid": 2}]  # fmt: skip
    found = spans_of(events(marker, *work))
    assert found == {
        "PyTorch Profiler (0)": (1, 999, None), "a": (1, 500, "PyTorch Profiler (0)"), "b": (2, 100, "a"),
        "c": (600, 400, "PyTorch Profiler (0)"),
    }  # fmt: skip
    assert read(events(marker, *work))[1].noted == {chrome.MARKER: 1}
    other = {**marker, "cat": "x", "name": "recording", "ts": 0, "dur": 1000}
    assert spans_of(events(other, *work))["c"][2] == "recording"
    assert spans_of(events({**other, "dur": 900}, *work))["c"][2] is None


# Langfuse


def _downloaded(**more: Any) -> dict[str, Any]:
    return {
        "id": "1" * 16, "traceId": "a" * 32, "type": "GENERATION", "name": "answer", "model": "gpt-4o",
        "startTime": "2026-03-01T10:00:00Z", "endTime": "2026-03-01T10:00:05Z",
        "usageDetails": {"input": 100, "output": 20, "total": 120}, "metadata": "{}", **more,
    }  # fmt: skip


def test_langfuses_download_is_read_in_each_of_its_forms() -> None:
    outer = {"id": "a" * 32, "name": "desk", "timestamp": "2026-03-01T10:00:00Z", "metadata": '{"team": "x"}'}
    tool = _downloaded(id="2" * 16, type="SPAN", name="Agent", usageDetails={}, parentObservationId=None,
                       metadata='{"attributes": {"openinference.span.kind": "AGENT", "agent.name": "a"}}')  # fmt: skip
    call = _downloaded(parentObservationId="2" * 16)
    for document in (
        {"trace": {**outer, "observations": []}, "observations": [tool, call]},
        {"trace": {**outer, "observations": [tool, call], "scores": []}, "observations": [tool, call]},
        {**outer, "observations": [tool, call]},
        {"observations": [{**tool, "traceName": "desk"}, {**call, "traceName": "desk"}], "scores": []},
    ):
        root, inner, generation = read(json.dumps(document, indent=2))[0]
        assert (root.name, root.parent_id, inner.parent_id) == ("desk", None, root.span_id)
        assert (inner.attributes["openinference.span.kind"], generation.parent_id) == ("AGENT", inner.span_id)
        assert generation.attributes[c.USAGE_INPUT_TOKENS] == 100


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"usageDetails": {}, "inputUsage": 50, "outputUsage": 10}, (50, 10, None, None, None)),
        ({"usageDetails": '{"input": 50, "output": 10}'}, (50, 10, None, None, None)),
        ({"usageDetails": None, "promptTokens": 50, "completionTokens": 10}, (50, 10, None, None, None)),
        ({"usageDetails": None, "usage": {"input": 50.0, "output": "10"}}, (50, 10, None, None, None)),
        (
            {"usageDetails": {"input": 5, "input_cached_tokens": 45, "output": 4, "output_reasoning_tokens": 6}},
            (50, 10, 45, None, 6),
        ),
        (
            {"usageDetails": {"input": 50, "input_cached_tokens": 45, "output": 10, "total": 60}},
            (50, 10, 45, None, None),
        ),
        (
            {"usageDetails": {"input": 5, "cache_read_input_tokens": 40, "cache_creation_input": 5, "output": 10}},
            (50, 10, 40, 5, None),
        ),
        ({"usageDetails": {"input": -1, "output": None}}, (None, None, None, None, None)),
        (
            {"metadata": {"attributes": {"gen_ai.usage.input_tokens": "7", "gen_ai.usage.output_tokens": "3"}}},
            (100, 20, None, None, None),
        ),
        (
            {"metadata": {"attributes.gen_ai.usage.input_tokens": "7", "resourceAttributes.service.name": "x"},
             "usageDetails": {}},
            ("7", None, None, None, None),
        ),
    ],
)  # fmt: skip
def test_langfuses_counts_are_taken_from_wherever_they_are(more: dict[str, Any], expected: tuple[Any, ...]) -> None:
    [call], _ = read(json.dumps(_downloaded(**more)))
    assert tuple(call.attributes.get(name) for name in (
        c.USAGE_INPUT_TOKENS, c.USAGE_OUTPUT_TOKENS, c.USAGE_CACHE_READ_INPUT_TOKENS, c.USAGE_CACHE_WRITE_INPUT_TOKENS,
        c.USAGE_REASONING_OUTPUT_TOKENS,
    )) == expected  # fmt: skip


# LangSmith's data frames


def _run(**more: Any) -> dict[str, Any]:
    return {
        "id": "00000000-0000-4000-8000-000000000003", "trace_id": "00000000-0000-4000-8000-000000000001",
        "name": "ChatOpenAI", "run_type": "llm", "start_time": "2026-03-01T10:00:02.000000",
        "end_time": "2026-03-01T10:00:07.000000", "status": "success", "error": None, "inputs": {"q": 1},
        "extra": {"metadata": {"ls_model_name": "gpt-4o"}}, "prompt_tokens": 100, "completion_tokens": 20, **more,
    }  # fmt: skip


@pytest.mark.parametrize(
    "more",
    [
        {"prompt_tokens": 100.0, "completion_tokens": 20.0}, {"prompt_tokens": "100", "completion_tokens": "20.0"},
        {"extra": '{"metadata": {"ls_model_name": "gpt-4o"}}', "inputs": '{"q": 1}', "parent_run_ids": "[]"},
        {"error": ""}, {"error": float("nan")}, {"start_time": 1772359202000, "end_time": 1772359207000},
        {"start_time": "2026-03-01 10:00:02.000000+00", "end_time": "2026-03-01 10:00:07 UTC"},
        {"tags": float("nan"), "parent_run_id": float("nan"), "session_name": None, "name": None},
        {"outputs": json.dumps({"usage_metadata": {"input_tokens": 100, "output_tokens": 20}}), "prompt_tokens": 0},
        {"child_runs": None, "run_type": "LLM", "status": None}, {"dotted_order": 7, "first_token_time": None},
    ],
)  # fmt: skip
def test_langsmiths_runs_are_read_as_data_frames_and_databases_write_them(more: dict[str, Any]) -> None:
    [call], report = read(json.dumps(_run(**more)))
    assert (call.is_error, call.duration_ns, report.skipped) == (False, 5 * 10**9, [])
    assert call.attributes["langsmith.model"] == "gpt-4o"
    counts = [call.attributes[f"langsmith.usage.{name}_tokens"] for name in ("input", "output")]
    assert counts == [100, 20]


def test_a_run_without_its_start_costs_itself() -> None:
    records, report = read(json.dumps([_run(), _run(start_time=None), _run(start_time="soon", id="x")]))
    assert (len(records), len(report.skipped)) == (1, 2)
