from __future__ import annotations

import contextlib
import http.server
import io
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from support.traces import agent, chat, identifier, line_of, record, run_of, span, workflow

from spanwise import conventions as c
from spanwise.errors import InputError, UnavailableError
from spanwise_profiling.load import open_run, select
from spanwise_profiling.normalise import normalised
from spanwise_profiling.runs import runs_of
from spanwise_profiling.sources import jaeger_api
from spanwise_profiling.trace import build_traces

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from spanwise.journal.reader import SpanRecord

RESUMED = {c.RUN_ID: "review-7"}
FIRST = [workflow(1, 0, 10, attributes=RESUMED), agent(2, 1, 9, parent=1)]
SECOND = [workflow(1, 60, 80, trace=2, attributes=RESUMED), chat(2, 61, 79, trace=2, parent=1)]


def test_workflows_with_one_run_id_are_segments_of_one_run() -> None:
    (run,) = runs_of(build_traces([*SECOND, *FIRST]))
    assert run.trace_ids == (identifier(1, 32), identifier(2, 32))
    assert (run.trace_id, run.run_id, run.seconds) == (identifier(1, 32), "review-7", 80.0)
    assert [s.trace_id for s in run.segments] == [identifier(1, 32), identifier(2, 32)]
    assert (run.totals.spans, run.totals.llm_calls, run.totals.agents) == (4, 1, 1)


def test_ids_that_were_used_in_both_traces_are_told_apart() -> None:
    (run,) = runs_of(build_traces([*FIRST, *SECOND]))
    second = identifier(2, 32)
    assert [(depth, s.span_id) for depth, s in run.walk()] == [
        (0, identifier(1)), (1, identifier(2)), (0, f"{identifier(1)}-{second}"), (1, f"{identifier(2)}-{second}"),
    ]  # fmt: skip
    assert normalised(run).totals == run.totals


def test_a_resumed_run_is_found_by_either_of_its_traces() -> None:
    runs = runs_of(build_traces([*FIRST, *SECOND, workflow(1, 200, 201, trace=3)]))
    assert select(identifier(2, 32), runs) is select(identifier(1, 32), runs) is select("review-7", runs)


def test_segments_in_one_trace_are_one_run_with_what_lost_its_parent() -> None:
    run = run_of(*FIRST, workflow(5, 60, 80, attributes=RESUMED), chat(6, 61, 62, parent=99))
    assert [s.span_id[:4] for s in run.tops] == ["0001", "0005", "0006"]
    assert (run.seconds, run.trace_ids) == (80.0, (identifier(1, 32),))


def test_workflows_without_a_run_id_stay_runs_of_their_own() -> None:
    assert len(runs_of(build_traces([workflow(1, 0, 1), workflow(2, 0, 1), workflow(1, 0, 1, trace=2)]))) == 3


def test_a_run_is_merged_out_of_folders_and_files(tmp_path: Path) -> None:
    here, there, file = tmp_path / "here", tmp_path / "there", tmp_path / "more.json"
    record(here, FIRST[0])
    record(there, FIRST[0], *SECOND)
    file.write_text(line_of(FIRST[1]), encoding="utf-8")
    alone, _ = open_run("review-7", here)
    whole, recording = open_run("review-7", here, [str(there), str(file)])
    assert (alone.totals.spans, whole.totals.spans, whole.seconds) == (1, 4, 80.0)
    assert whole.warnings == ()  # what both have is no repair
    assert recording.warnings == ()


def test_a_run_that_only_another_folder_has_is_found_there(tmp_path: Path) -> None:
    record(tmp_path / "there", *FIRST)
    assert open_run("last", tmp_path / "missing", [str(tmp_path / "there")])[0].run_id == "review-7"
    with pytest.raises(InputError, match="nowhere: no such file or folder; give a journal, a trace file or a Jaeger"):
        open_run("last", tmp_path / "there", ["nowhere"])


def test_of_a_file_the_newest_run_is_completed(tmp_path: Path) -> None:
    file = tmp_path / "first.json"
    file.write_text(line_of(*FIRST), encoding="utf-8")
    record(tmp_path / "there", *SECOND)
    assert open_run(str(file), tmp_path, [str(tmp_path / "there")])[0].seconds == 80.0


def test_a_trace_is_read_from_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(line_of(*FIRST).encode())))
    run, recording = open_run("-", tmp_path)
    assert (run.run_id, recording.source) == ("review-7", "-")


@contextlib.contextmanager
def jaeger(traces: Mapping[str, list[SpanRecord]]) -> Iterator[tuple[str, list[str]]]:
    """Serve `traces` as Jaeger does; yields its address and the paths that were asked for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            trace_id = self.path.removeprefix("/api/v3/traces/").removesuffix("?raw_traces=true")
            known = trace_id in traces
            body = f'{{"result":{line_of(*traces[trace_id])}}}' if known else "<html>" if "x" in trace_id else ""
            self.send_response(200 if body else 404)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_trace_is_read_from_jaeger_without_letting_it_change_what_it_stores(tmp_path: Path) -> None:
    trace_id = identifier(1, 32)
    with jaeger({trace_id: FIRST}) as (address, asked):
        for path in (f"/trace/{trace_id}", f"/api/v3/traces/{trace_id}", f"/{trace_id.upper()}"):
            run, recording = open_run(address + path, tmp_path)
            assert (run.run_id, recording.source) == ("review-7", address + path)
    assert asked == [f"/api/v3/traces/{trace_id}?raw_traces=true"] * 3


def test_a_run_is_completed_from_jaeger(tmp_path: Path) -> None:
    record(tmp_path, FIRST[0], SECOND[0])
    with jaeger({identifier(1, 32): FIRST, identifier(2, 32): SECOND}) as (address, _):
        assert open_run("review-7", tmp_path, [address])[0].totals.spans == 4
        assert open_run(identifier(2, 32), tmp_path / "missing", [address])[0].seconds == 20.0


def test_what_jaeger_does_not_have_is_an_input_error_and_no_jaeger_is_unavailable(tmp_path: Path) -> None:
    with jaeger({}) as (address, _):
        with pytest.raises(InputError, match=f"Jaeger has no trace {'7' * 32}; check the id and how long it keeps"):
            open_run(f"{address}/trace/{'7' * 32}", tmp_path)
        with pytest.raises(InputError, match="names no trace; give http://HOST:16686/trace/ID"):
            open_run(address, tmp_path)
    with pytest.raises(UnavailableError, match=r"cannot be reached \(.*refused\); is Jaeger running there\?"):
        open_run(f"{address}/trace/{'7' * 32}", tmp_path)
    with pytest.raises(InputError, match="http://: is no address; give http://HOST:16686/trace/ID"):
        open_run("http://", tmp_path)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("http://h:16686", jaeger_api.Address("http://h:16686", None)),
        ("http://h:16686/api/v3/", jaeger_api.Address("http://h:16686", None)),
        (
            "https://h/jaeger/trace/0123456789abcdef?uiFind=x",
            jaeger_api.Address("https://h/jaeger", "0123456789abcdef"),
        ),
    ],
)
def test_addresses_are_taken_apart(text: str, address: jaeger_api.Address) -> None:
    assert jaeger_api.parse(text) == address


def test_a_span_that_started_in_one_store_and_ended_in_another_has_its_end(tmp_path: Path) -> None:
    record(tmp_path / "here", workflow(1, 0, -1_790_000_000, attributes=RESUMED))
    record(tmp_path / "there", *FIRST)
    assert open_run("review-7", tmp_path / "here", [str(tmp_path / "there")])[0].seconds == 10.0
    assert run_of(span(1, 0, 3), span(1, 0, -1_790_000_000)).seconds == 3.0
