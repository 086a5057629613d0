from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pytest
from support.many_lines import lines
from support.traces import agent, chat, line_of, workflow

from spanwise import conventions as c
from spanwise.journal.reader import ReadReport
from spanwise_profiling import big_files
from spanwise_profiling.load import load, open_run

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from spanwise.journal.reader import SpanRecord


@pytest.fixture(autouse=True)
def every_file_is_big(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(big_files, "LEAST", 1)


@pytest.fixture
def no_other_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let reading record by record fail."""

    def refuse(*_: object) -> list[SpanRecord]:
        raise AssertionError("read record by record")

    monkeypatch.setattr("spanwise_profiling.load._spans", refuse)


def run(number: int, begin: float, run_id: str) -> list[SpanRecord]:
    """Return the spans of a run, in a trace of its own."""
    first = number * 10
    return [
        workflow(first, begin, begin + 9, trace=number, attributes={c.RUN_ID: run_id}),
        agent(first + 1, begin + 1, begin + 8, parent=first, trace=number),
        chat(first + 2, begin + 2, begin + 7, parent=first + 1, trace=number),
    ]


def written(path: Path, *runs: Sequence[SpanRecord]) -> Path:
    """Write each of `runs` as a line; its last span comes in another line at the end of the file."""
    content = [line_of(*spans[:-1]) for spans in runs] + [line_of(spans[-1]) for spans in runs]
    path.write_text("".join(content), encoding="utf-8")
    return path


@pytest.mark.parametrize("seed", range(10))
def test_the_newest_run_is_the_one_of_all_records(seed: int, tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(lines(seed, 40))
    whole = load(path)
    found, recording = open_run(str(path), tmp_path)
    assert list(found.walk()) == list(whole.runs[-1].walk())
    assert (found.totals, found.warnings) == (whole.runs[-1].totals, whole.runs[-1].warnings)
    assert (recording.source, recording.warnings) == (whole.source, whole.warnings)


@pytest.mark.usefixtures("no_other_way")
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_only_the_trace_of_the_newest_run_is_read_in_full(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    path = written(tmp_path / "x.jsonl", run(1, 0, "a"), run(3, 20, "c"), run(2, 10, "b"))
    path.write_bytes(pack(path.read_bytes()))
    told: list[str] = []
    found, recording = open_run(str(path), tmp_path, progress=told.append)
    assert (found.run_id, found.totals.spans) == ("c", 3)
    assert [one.run_id for one in recording.runs] == ["c"]
    assert told[-1] == "0 MB of x.jsonl"


def test_a_run_in_several_traces_is_read_record_by_record(tmp_path: Path) -> None:
    path = written(tmp_path / "x.jsonl", run(1, 0, "a"), run(2, 10, "b"), run(3, 20, "a"))
    assert big_files.newest_run(path, ReadReport()) is None
    # It began before the other one did.
    assert open_run(str(path), tmp_path)[0].run_id == "b"


def test_a_trace_whose_id_is_written_in_two_ways_is_read_record_by_record(tmp_path: Path) -> None:
    path = written(tmp_path / "x.jsonl", run(10, 0, "a"))
    trace_id = run(10, 0, "a")[0].trace_id
    first, last = path.read_text(encoding="utf-8").splitlines(keepends=True)
    assert trace_id.upper() != trace_id
    path.write_text(first + last.replace(trace_id, trace_id.upper()), encoding="utf-8")
    assert big_files.newest_run(path, ReadReport()) is None
    assert open_run(str(path), tmp_path)[0].totals.spans == 3


def test_a_file_of_another_format_is_read_record_by_record(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text("[" + line_of(*run(1, 0, "a")) + "]", encoding="utf-8")
    assert big_files.newest_run(path, ReadReport()) is None
    assert open_run(str(path), tmp_path)[0].run_id == "a"
