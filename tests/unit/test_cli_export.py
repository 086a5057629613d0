"""`spanwise export` and `spanwise import`: what is recorded goes out and comes in, and the ledger knows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import typer
from support import journal_files
from support.deliveries import ACCEPTED, AWAY, Line, payload, write
from support.otlp_json import export_request
from support.segments import write_segments
from support.traces import line_of, tool, wait
from typer.testing import CliRunner

from spanwise.destinations import factory
from spanwise.destinations.transport import Reply
from spanwise.errors import InputError, UnavailableError
from spanwise.journal import cursor as cursors
from spanwise.journal import ledger as ledgers
from spanwise.journal import reader
from spanwise.journal.cursor import CursorState
from spanwise.journal.format import END, WAIT
from spanwise.journal.ledger import Counts
from spanwise.journal.stream import Stream
from spanwise_cli.commands import export, importing

if TYPE_CHECKING:
    from pathlib import Path

    from typer.testing import Result

TRACE, OTHER = "0af7651916cd43dd8448eb211c80319c", "1af7651916cd43dd8448eb211c80319c"
WORKFLOW = {"gen_ai.operation.name": "invoke_workflow", "gen_ai.workflow.name": "desk", "spanwise.run.id": "run-one"}


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("SPANWISE_ENDPOINT", "SPANWISE_JOURNAL_DIR", "OTEL_EXPORTER_OTLP_ENDPOINT", "LANGSMITH_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Line:
    """The connection that every export uses."""
    line = Line()
    monkeypatch.setattr(factory, "transport_of", lambda settings, name: line)
    monkeypatch.setenv("SPANWISE_ENDPOINT", "http://127.0.0.1:9")
    return line


def spanwise(*arguments: object) -> Result:
    app = typer.Typer()
    app.callback()(lambda: None)
    export.register(app)
    importing.register(app)
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200"})


def said(*arguments: object) -> str:
    result = spanwise(*arguments)
    assert (result.exit_code, result.stderr, result.exception) == (0, "", None)
    return result.stdout


def document(*arguments: object) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(said(*arguments, "--json"))
    return found


def journal(folder: Path) -> Path:
    """Record two runs of two spans each, in streams of their own."""
    for trace, run_id in ((TRACE, "run-one"), (OTHER, "run-two")):
        about = {**WORKFLOW, "spanwise.run.id": run_id}
        spans: list[tuple[str, int, Any]] = [
            (f"invoke_workflow {run_id}", 20, about),
            (f"chat {run_id}", 10, {"n": 2**40}),
        ]
        with Stream(folder) as stream:
            stream.add(json.dumps(export_request(trace, spans, {"service.name": "desk"})).encode(), 2)
    return folder


def test_everything_pending_is_sent_once(tmp_path: Path, line: Line) -> None:
    folder = journal(tmp_path / "j")
    assert document("export", "--all", "--to", "otlp", "--journal", folder) == {
        "schema": "spanwise.export/1", "to": "otlp", "delivered": 4, "set_aside": 0, "filtered": 0, "expired": 0,
        "busy": 0, "failure": None,
    }  # fmt: skip
    assert said("export", "--all", "--to", "otlp", "--journal", folder) == "0 spans delivered to otlp.\n"
    assert sorted(line.accepted) == [
        "chat run-one",
        "chat run-two",
        "invoke_workflow run-one",
        "invoke_workflow run-two",
    ]
    fates = {"delivered": 4, "pending": 0, "set_aside": 0, "filtered": 0, "expired": 0}
    assert ledgers.read(folder) == Counts(started=4, journaled=4, destinations={"otlp": fates})


def test_chosen_runs_are_sent_though_they_were_sent_before(tmp_path: Path, line: Line) -> None:
    folder = journal(tmp_path / "j")
    for _ in range(2):
        assert said("export", "run-two", "--to", "otlp", "--journal", folder) == "2 spans delivered to otlp.\n"
    assert line.accepted == ["invoke_workflow run-two", "chat run-two"] * 2
    assert cursors.read_all(folder) == {}


def test_a_stream_that_its_own_process_sends_is_left_to_it(tmp_path: Path, line: Line) -> None:
    folder = journal(tmp_path / "j")
    with Stream(folder) as stream:
        stream.add(payload(["mine"]), 1)
        held = cursors.open_cursor(folder, "otlp", stream.name)
        assert held is not None
        assert "1 processes are sending their own." in said("export", "--all", "--to", "otlp", "--journal", folder)
        held.close()
    assert "mine" not in line.accepted


def test_what_a_process_goes_on_to_record_is_sent_the_next_time(tmp_path: Path, line: Line) -> None:
    with Stream(tmp_path / "j") as stream:
        stream.add(payload(["a"]), 1)
        said("export", "--all", "--to", "otlp", "--journal", tmp_path / "j")
        stream.add(payload(["b"]), 1)
    said("export", "--all", "--to", "otlp", "--journal", tmp_path / "j")
    assert line.accepted == ["a", "b"]
    [states] = cursors.read_all(tmp_path / "j").values()
    assert [(state.delivered, state.done) for state in states.values()] == [(2, True)]


def test_a_receiver_that_is_away_is_an_error_and_nothing_is_lost(tmp_path: Path, line: Line) -> None:
    folder = journal(tmp_path / "j")
    line.reply = lambda _: AWAY
    result = spanwise("export", "--all", "--to", "otlp", "--patience", "0", "--journal", folder)
    assert isinstance(result.exception, UnavailableError)
    assert str(result.exception) == "otlp: not reachable; what is left stays pending, run it again when it is back"
    line.reply = lambda _: ACCEPTED
    assert said("export", "--all", "--to", "otlp", "--journal", folder) == "4 spans delivered to otlp.\n"


def test_what_is_refused_is_told(tmp_path: Path, line: Line) -> None:
    folder = journal(tmp_path / "j")
    line.reply = lambda names: Reply("refused", "HTTP 413") if "chat run-one" in names else ACCEPTED
    assert "1 span not taken (HTTP 413 1)." in said("export", "run-one", "--to", "otlp", "--journal", folder)
    assert "1 span not taken" in said("export", "--all", "--to", "otlp", "--journal", folder)
    assert len(list((folder / "set-aside" / "otlp").iterdir())) == 1


def test_a_file_holds_what_was_recorded_and_can_be_imported(tmp_path: Path) -> None:
    folder = journal(tmp_path / "j")
    assert said("export", "--all", "--to", "all.jsonl", "--journal", folder) == "4 spans written to all.jsonl.\n"
    assert said("import", "all.jsonl", "--journal", tmp_path / "k") == f"4 spans imported into {tmp_path / 'k'}.\n"
    assert list(reader.read(tmp_path / "k")) == list(reader.read(folder))
    assert ledgers.read(tmp_path / "k") == Counts(started=4, journaled=4)


def test_waits_are_waits_again_when_what_was_exported_is_imported(tmp_path: Path) -> None:
    recorded = [wait(1, 0, 1, parent=3), wait(2, 1, 2, parent=3), tool(3, 0, 4)]
    write_segments(tmp_path / "j", [recorded[:2], recorded[2:]])
    said("export", "--all", "--to", "all.jsonl", "--journal", tmp_path / "j")
    said("import", "all.jsonl", "--journal", tmp_path / "k")
    assert list(reader.read(tmp_path / "k")) == recorded
    assert journal_files.names(tmp_path / "k", WAIT) == ["wait llm", "wait llm"]
    assert ledgers.read(tmp_path / "k") == Counts(started=3, journaled=3)


def test_waits_in_a_line_of_another_tool_become_records_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "collector.jsonl").write_text(line_of(tool(3, 0, 4), wait(1, 0, 1, parent=3)))
    assert document("import", "collector.jsonl", "--journal", tmp_path / "k")["spans"] == 2
    assert list(reader.read(tmp_path / "k")) == [wait(1, 0, 1, parent=3), tool(3, 0, 4)]
    assert journal_files.names(tmp_path / "k", WAIT) == ["wait llm"]
    assert ledgers.read(tmp_path / "k") == Counts(started=2, journaled=2)


def test_a_run_of_a_file_can_be_exported(tmp_path: Path) -> None:
    folder = journal(tmp_path / "j")
    said("export", "--all", "--to", "all.jsonl", "--journal", folder)
    assert said("export", "all.jsonl", "--to", "one.jsonl") == "2 spans written to one.jsonl.\n"


def test_a_run_of_a_segment_can_be_exported(tmp_path: Path) -> None:
    folder = journal(tmp_path / "j")
    segment = min(folder.glob("*.seg"))
    said("export", segment, "--to", "one.jsonl", "--journal", tmp_path / "none")
    assert list(reader.read_file(tmp_path / "one.jsonl")) == list(reader.read_file(segment))


def test_standard_output_gets_nothing_but_the_spans(tmp_path: Path) -> None:
    folder = journal(tmp_path / "j")
    [request] = said("export", "run-one", "--to", "-", "--journal", folder).splitlines()
    [of_resource] = json.loads(request)["resourceSpans"]
    assert [span["name"] for span in of_resource["scopeSpans"][0]["spans"]] == [
        "invoke_workflow run-one",
        "chat run-one",
    ]


def test_a_file_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "all.jsonl").write_text("mine")
    result = spanwise("export", "--all", "--to", "all.jsonl", "--journal", journal(tmp_path / "j"))
    assert isinstance(result.exception, InputError)
    assert (tmp_path / "all.jsonl").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.jsonl", "j"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--to", "otlp"], "name the runs, or give --all"),
        (["last", "--all", "--to", "otlp"], "name the runs, or give --all"),
        (["--all", "--to", "otlp"], "set SPANWISE_ENDPOINT"),
        (["--all", "--to", "langsmith"], "set SPANWISE_LANGSMITH_PROJECT"),
        (["--all", "--to", "-", "--json"], "both want standard output"),
    ],
)
def test_what_cannot_be_done_is_said(tmp_path: Path, arguments: list[str], words: str) -> None:
    result = spanwise("export", *arguments, "--journal", journal(tmp_path / "j"))
    assert isinstance(result.exception, InputError)
    assert words in str(result.exception)


def test_importing_segments_of_another_journal_keeps_their_spans(tmp_path: Path) -> None:
    write(tmp_path / "j", "s", ["a"], ["b", "c"]).close()
    [segment] = (tmp_path / "j").glob("*.seg")
    found = document("import", segment, "--journal", tmp_path / "k")
    assert (found["spans"], found["files"], found["skipped"]) == (3, {str(segment): 3}, [])
    assert [span.name for span in reader.read(tmp_path / "k")] == ["a", "b", "c"]


def test_importing_what_another_tool_wrote_makes_spans_of_it(tmp_path: Path) -> None:
    span = {"traceID": "7" * 32, "spanID": "8" * 16, "operationName": "GET", "startTime": 1_700_000_000_000_000,
            "duration": 5_000, "processID": "p1"}  # fmt: skip
    (tmp_path / "jaeger.json").write_text(
        json.dumps({"data": [{"traceID": "7" * 32, "spans": [span], "processes": {"p1": {"serviceName": "shop"}}}]})
    )
    found = document("import", "jaeger.json", "--journal", tmp_path / "k")
    [read] = reader.read(tmp_path / "k")
    assert (found["spans"], read.name, read.duration_ns) == (1, "GET", 5_000_000)
    assert dict(read.resource)["service.name"] == "shop"


def test_ids_that_otlp_has_no_room_for_become_the_same_ones_each_time(tmp_path: Path) -> None:
    root, child = "2f1b3a8e-93a7-4b9c-9b1e-0123456789ab", "2f1b3a8e-93a7-4b9c-9b1e-0123456789ac"
    run = {"id": root, "trace_id": root, "name": "desk", "run_type": "chain", "start_time": "2026-09-21T14:13:20",
           "end_time": "2026-09-21T14:13:29"}  # fmt: skip
    runs = [run, {**run, "id": child, "parent_run_id": root, "name": "ask", "run_type": "llm"}]
    (tmp_path / "runs.json").write_text(json.dumps(runs))
    for _ in range(2):
        assert document("import", tmp_path / "runs.json", "--journal", tmp_path / "k")["spans"] == 2
    report = reader.ReadReport()
    desk, ask, *again = reader.read(tmp_path / "k", report)
    assert (report.skipped, again) == ([], [desk, ask])
    assert (desk.trace_id, ask.trace_id, ask.parent_id) == (root.replace("-", ""), desk.trace_id, desk.span_id)


def test_of_files_of_which_one_holds_no_span_none_is_imported(tmp_path: Path) -> None:
    (tmp_path / "good.jsonl").write_bytes(payload(["a"]))
    (tmp_path / "bad.jsonl").write_text("no spans\n")
    result = spanwise("import", "good.jsonl", "bad.jsonl", "--journal", tmp_path / "k")
    assert isinstance(result.exception, InputError)
    assert "bad.jsonl: is neither JSON nor protobuf" in str(result.exception)
    assert not (tmp_path / "k").exists()


def test_lines_that_are_damaged_are_told_and_the_others_imported(tmp_path: Path) -> None:
    (tmp_path / "some.jsonl").write_bytes(payload(["a"]) + b"{\n" + payload(["b"]))
    result = spanwise("import", "some.jsonl", "--journal", tmp_path / "k")
    assert "some.jsonl:2: skipped" in result.stderr
    assert [span.name for span in reader.read(tmp_path / "k")] == ["a", "b"]


def test_a_span_read_from_anywhere_is_the_same_in_the_journal(tmp_path: Path) -> None:
    values: list[dict[str, Any]] = [
        {"key": "list", "value": {"arrayValue": {"values": [{"stringValue": "a"}, {"intValue": "1"}]}}},
        {"key": "map", "value": {"kvlistValue": {"values": [{"key": "k", "value": {"boolValue": True}}]}}},
        {"key": "nan", "value": {"doubleValue": "Infinity"}}, {"key": "float", "value": {"doubleValue": 0.1}},
        {"key": "bytes", "value": {"bytesValue": "AP8="}}, {"key": "none", "value": {}},
    ]  # fmt: skip
    request = export_request(TRACE, [("s", 5, {})], {"service.name": "x"})
    [span] = request["resourceSpans"][0]["scopeSpans"][0]["spans"]
    span |= {
        "attributes": values,
        "status": {"code": 2, "message": "no"},
        "events": [{"timeUnixNano": "7", "name": "e", "attributes": values}],
        "links": [{"traceId": OTHER, "spanId": "0102030405060708", "attributes": values}],
    }
    (tmp_path / "one.jsonl").write_text(json.dumps(request) + "\n")
    said("import", "one.jsonl", "--journal", tmp_path / "k")
    assert list(reader.read(tmp_path / "k")) == list(reader.read_file(tmp_path / "one.jsonl"))


def test_lines_are_kept_to_the_last_flag(tmp_path: Path) -> None:
    request = export_request(TRACE, [("s", 5, {})], {})
    request["resourceSpans"][0]["schemaUrl"] = "https://schema.example"
    request["resourceSpans"][0]["scopeSpans"][0]["spans"][0] |= {
        "flags": 769,
        "traceState": "a=b",
        "droppedLinksCount": 3,
    }
    (tmp_path / "one.jsonl").write_text(json.dumps(request))
    said("import", "one.jsonl", "--journal", tmp_path / "k")
    said("export", "--all", "--to", "again.jsonl", "--journal", tmp_path / "k")
    assert json.loads((tmp_path / "again.jsonl").read_text()) == request


def test_a_line_of_very_many_spans_is_taken_in_portions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "_MOST", 1_000)
    names = [str(number) for number in range(1_200)]
    (tmp_path / "one.jsonl").write_bytes(payload(names))
    said("import", "one.jsonl", "--journal", tmp_path / "k")
    assert [span.name for span in reader.read(tmp_path / "k")] == names


def test_cursors_of_a_damaged_stream_say_what_they_could_not_read(tmp_path: Path, line: Line) -> None:
    writer = write(tmp_path / "j", "s", ["a"])
    writer.append(END, b"[]", 1)
    writer.close()
    assert "1 span not taken (refused 1)." in said("export", "--all", "--to", "otlp", "--journal", tmp_path / "j")
    [states] = cursors.read_all(tmp_path / "j").values()
    assert [(state.delivered, state.set_aside) for state in states.values()] == [(1, 1)]
    assert isinstance(states["s"], CursorState)


def test_what_was_set_aside_is_sent_again_whole(tmp_path: Path, line: Line) -> None:
    line.reply = lambda names: Reply("refused", "HTTP 400") if any("bad" in name for name in names) else ACCEPTED
    with Stream(tmp_path / "j") as stream:
        for trace in (TRACE, OTHER):
            spans: list[tuple[str, int, Any]] = [(f"good {trace}", 10, {}), (f"bad {trace}", 20, {})]
            stream.add(json.dumps(export_request(trace, spans, {"service.name": "desk"})).encode(), 2)
    found = document("export", "--all", "--to", "otlp", "--journal", tmp_path / "j")
    assert (found["delivered"], found["set_aside"]) == (2, 2)
    line.reply = lambda _: ACCEPTED
    [refused] = (tmp_path / "j" / "set-aside" / "otlp").iterdir()
    assert document("export", refused, "--to", "otlp")["delivered"] == 2
    assert line.accepted[-2:] == [f"bad {TRACE}", f"bad {OTHER}"]
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes(refused.read_bytes())
    assert document("export", copy, "--to", "otlp")["delivered"] == 1  # of other files with several runs, the newest
