"""Runs that have no end: open while their process lives, interrupted when it is gone."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import typer
from support.segments import OTHER_STREAM, STREAM, begin, end, living
from support.traces import agent, chat, record, span, workflow
from typer.testing import CliRunner

from spanwise.journal.segment import SegmentWriter
from spanwise_cli.commands import runs as runs_command
from spanwise_cli.commands import show as show_command
from spanwise_profiling.load import load
from spanwise_profiling.runs import runs_of
from spanwise_profiling.trace import build_traces
from spanwise_profiling.unfinished import so_far

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from spanwise.journal.reader import SpanRecord


def unfinished(one: SpanRecord, *, is_open: bool = True) -> SpanRecord:
    return replace(one, end_ns=0, state="open" if is_open else "interrupted")


def ran(*arguments: str | Path) -> str:
    app = typer.Typer()
    runs_command.register(app)
    show_command.register(app)
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "80"})
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout


def listed(*arguments: str | Path) -> dict[str, str]:
    document: dict[str, Any] = json.loads(ran("runs", "--json", *arguments))
    return {run["workflow"]: run["state"] for run in document["runs"]}


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Path]:
    """A run that ended, one that goes on, and one whose process is gone."""
    record(tmp_path, workflow(1, 0, 5, name="finished"))
    for stream, trace, name in ((STREAM, 2, "going on"), (OTHER_STREAM, 3, "killed")):
        writer = SegmentWriter(tmp_path, stream)
        begin(writer, workflow(1, 10, 99, trace=trace, name=name), agent(2, 11, 99, trace=trace, parent=1))
        end(writer, chat(3, 12, 15, trace=trace, parent=2))
        writer.close()
    with living(tmp_path, STREAM):
        yield tmp_path


def test_runs_say_whether_they_go_on_or_were_interrupted(journal: Path) -> None:
    assert listed("--journal", journal) == {"killed": "interrupted", "going on": "open", "finished": "ended"}
    assert listed("--journal", journal, "--open") == {"going on": "open"}
    rows = [line.split() for line in ran("runs", "--journal", journal).splitlines()]
    assert [(row[3], row[-1]) for row in rows[1:]] == [("killed", "interrupted"), ("going", "open"), ("finished", "-")]


def test_a_run_without_an_end_is_shown_up_to_its_last_recorded_moment(journal: Path) -> None:
    shown = json.loads(ran("show", "last:going on", "--journal", journal, "--json"))["run"]
    assert (shown["state"], shown["duration_s"]) == ("open", 5.0)
    assert [(one["kind"], one["state"], one["duration_s"]) for one in shown["spans"]] == [
        ("workflow", "open", 5.0), ("agent", "open", 4.0), ("chat", "ended", 3.0),
    ]  # fmt: skip
    assert "open: it goes on; shown up to the last recorded moment" in ran(
        "show", "last:going on", "--journal", journal
    )
    assert "interrupted: its process ended" in ran("show", "last:killed", "--journal", journal)


def test_a_span_that_came_again_when_it_ended_counts_once(journal: Path) -> None:
    whole, start = workflow(1, 0, 9), unfinished(workflow(1, 0, 9))
    assert so_far([start, whole]) == so_far([whole, start]) == [whole]
    assert so_far([start, unfinished(whole, is_open=False)])[0].state == "interrupted"


def test_an_unfinished_span_lasts_until_anything_of_its_trace_is_recorded() -> None:
    (root, _, _) = sorted(
        so_far([unfinished(workflow(1, 0, 9)), span(2, 1, 3, parent=1), unfinished(span(3, 7, 9, parent=1))]),
        key=lambda one: one.start_ns,
    )
    assert root.duration_ns == 7_000_000_000


def test_a_trace_without_a_workflow_is_open_while_any_of_its_roots_is() -> None:
    (run,) = runs_of(build_traces([span(1, 0, 1, name="GET /"), unfinished(span(2, 0, 9, parent=77))]))
    assert run.state == "open"


def test_a_segment_can_be_shown_as_a_file(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(journal)
    assert "interrupted: its process ended" in ran("show", f"{OTHER_STREAM}-000001.seg", "--journal", journal / "none")


def test_what_a_later_version_wrote_is_told(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, STREAM)
    writer.append(77, b"?")
    writer.close()
    assert load(tmp_path).warnings == (f"{tmp_path}: 1 record(s) left out that only a later version knows",)
