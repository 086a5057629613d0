from __future__ import annotations

import gc
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.traces import chat, identifier, line_of, record, run_of, span, workflow

from spanwise import conventions as c
from spanwise.errors import InputError
from spanwise_profiling import dialects
from spanwise_profiling.load import load, load_runs, open_run, require_runs, select, short_ids

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from spanwise.journal.reader import SpanRecord
    from spanwise_profiling.runs import Run


def run(number: int, run_id: str, title: str = "trading/baseline") -> Run:
    name, _, variant = title.partition("/")
    attributes = {c.RUN_ID: run_id, c.RUN_VARIANT: variant}
    return run_of(workflow(1, number, number + 1, trace=number, name=name, attributes=attributes))


RUNS = [
    run(1, "aaaa1111", "trading/baseline"),
    run(2, "aaaa2222", "trading/optimized"),
    run(3, "batch/2026", "matching/baseline"),
    run(4, "cccc4444", "trading/optimized"),
]


@pytest.mark.parametrize(
    ("reference", "number"),
    [
        ("last", 4),
        ("last~0", 4),
        ("last~3", 1),
        ("last:trading", 4),
        ("last:trading/baseline", 1),
        ("last~1:trading/optimized", 2),
        ("aaaa1111", 1),
        ("aaaa2", 2),
        ("batch/2026", 3),
        (identifier(3, 32), 3),
        ("0002", 2),
        ("0002AAAA", 2),
    ],
)
def test_a_run_is_found_by(reference: str, number: int) -> None:
    assert select(reference, RUNS) is RUNS[number - 1]


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("last~4", "last~4: only 4 run(s) are recorded; `spanwise runs` lists them"),
        ("last~1:matching", "last~1:matching: only 1 run(s) of matching are recorded; `spanwise runs` lists them"),
        (
            "last:trading/optimised",
            (
                "last:trading/optimised: no such run is recorded; did you mean last:trading/optimized? "
                "Recorded: matching/baseline, trading/baseline, trading/optimized"
            ),
        ),
        ("aaa", "run 'aaa': too short; give at least 4 characters of a run or trace id, or `last`"),
        (
            "aaaa",
            (
                "run 'aaaa' is ambiguous: aaaa1111 (trading/baseline), aaaa2222 (trading/optimized); "
                "give more characters of one"
            ),
        ),
        (
            "cccd4444",
            "run 'cccd4444': no such run; nearest: cccc4444 (trading/optimized); `spanwise runs` lists them",
        ),
        ("zzzzzzzz", "run 'zzzzzzzz': no such run; newest: cccc4444 (trading/optimized); `spanwise runs` lists them"),
    ],
)
def test_what_names_no_run_or_several_is_an_error_that_names_the_near_ones(reference: str, message: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        select(reference, RUNS)


def test_a_run_id_that_was_used_again_means_its_newest_run() -> None:
    again = [run(1, "same-id"), run(2, "same-id")]
    assert select("same-id", again) is again[1]
    assert select("same", again) is again[1]


def test_a_trace_of_several_runs_is_ambiguous_by_its_trace_id(tmp_path: Path) -> None:
    first = workflow(1, 0, 1, attributes={c.RUN_ID: "one-11111"})
    record(tmp_path, first, workflow(2, 1, 2, attributes={c.RUN_ID: "two-22222"}))
    with pytest.raises(InputError, match=r"is ambiguous: one-1111 \(trading\), two-2222 \(trading\)"):
        open_run(identifier(1, 32), tmp_path)


def test_short_ids_are_as_long_as_it_takes_to_tell_them_apart() -> None:
    runs = [run(1, "experiment-1"), run(2, "experiment-12"), run(3, "7d1f7d1f7d1f7d1f"), run(4, "x")]
    assert short_ids(runs) == {
        "7d1f7d1f7d1f7d1f": "7d1f7d1f",
        "experiment-1": "experiment-1",
        "experiment-12": "experiment-12",
        "x": "x",
    }


def test_a_journal_of_several_processes_is_one_list_newest_last(tmp_path: Path) -> None:
    record(tmp_path, workflow(1, 50, 60, trace=1, name="late"), file="a")
    record(tmp_path, workflow(1, 0, 60, trace=2, name="early"), chat(2, 1, 2, trace=2, parent=1), file="b")
    record(tmp_path, chat(3, 2, 3, trace=2, parent=1), file="c")
    assert [(run.workflow, run.totals.llm_calls) for run in load_runs(tmp_path)] == [("early", 2), ("late", 0)]


def test_what_could_not_be_read_is_told(tmp_path: Path) -> None:
    path = record(tmp_path, workflow(1, 0, 1))
    with path.open("a", encoding="utf-8") as file:
        file.write('{"damaged"\n{"unfinished')
    recording = load(tmp_path)
    assert len(recording.runs) == 1
    assert recording.warnings == (
        f"{path}:2: skipped: Input data was truncated",
        f"{tmp_path}: 1 incomplete last line(s) left out (still being written, or cut off)",
    )


def test_a_file_is_a_recording_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "from-the-collector.json"
    path.write_text(line_of(workflow(1, 0, 1, name="other")), encoding="utf-8")
    run, recording = open_run(str(path), tmp_path / "missing")
    assert (run.workflow, recording.source) == ("other", path)


def test_a_file_without_spans_is_an_input_error_that_says_what_is_wrong(tmp_path: Path) -> None:
    empty, other = tmp_path / "empty.jsonl", tmp_path / "other.jsonl"
    empty.write_text("", encoding="utf-8")
    other.write_text("[1]\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"empty.jsonl: is empty; give a file that holds a trace \(OTLP"):
        open_run(str(empty), tmp_path)
    with pytest.raises(InputError, match=r"other.jsonl:1: skipped: Expected `object`, got `int`; read here are: OTLP"):
        open_run(str(other), tmp_path)
    with pytest.raises(InputError, match=r"missing.jsonl: no such file; give a recorded trace, a run id"):
        open_run(str(tmp_path / "missing.jsonl"), tmp_path)


def test_an_empty_journal_says_how_to_record_a_run(tmp_path: Path) -> None:
    remedy = "record one with: spanwise run SCRIPT, or spanwise systems run trading (another folder: --journal DIR)"
    message = f"{tmp_path}: no runs recorded yet; {remedy}"
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        require_runs(load(tmp_path))
    with pytest.raises(InputError, match="no runs recorded yet"):
        open_run("last", tmp_path / "missing")


def test_a_trace_without_a_workflow_can_be_named_too(tmp_path: Path) -> None:
    record(tmp_path, span(1, name="GET /"))
    assert open_run("last:GET /", tmp_path)[0].run_id == identifier(1, 32)


def test_titles_in_errors_cannot_act_on_a_terminal() -> None:
    with pytest.raises(InputError) as caught:
        select("last:x", [run(1, "\x1b[2Jaaaa", "\x1b[31mred\n/x")])
    assert str(caught.value) == "last:x: no such run is recorded; Recorded: \\x1b[31mred\\n/x"
    with pytest.raises(InputError) as caught:
        select("zzzz", [run(1, "\x1b[2Jaaaa", "\x1b[31mred\n/x")])
    assert "\x1b" not in str(caught.value)


def test_a_word_that_names_no_run_is_a_file_where_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("review-7").write_text(line_of(workflow(1, 0, 1, name="other")), encoding="utf-8")
    assert open_run("review-7", "missing")[0].workflow == "other"
    record(Path("journal"), workflow(1, 0, 1, name="desk", attributes={c.RUN_ID: "review-7"}))
    assert open_run("review-7", "journal")[0].workflow == "desk"
    assert open_run("./review-7", "journal")[0].workflow == "other"


def test_the_garbage_collector_rests_while_runs_are_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record(tmp_path, workflow(1, 0, 9))
    running: list[bool] = []
    translated = dialects.translated

    def noted(records: Iterable[SpanRecord]) -> Iterator[SpanRecord]:
        running.append(gc.isenabled())
        return translated(records)

    monkeypatch.setattr(dialects, "translated", noted)
    load(tmp_path)
    open_run("last", tmp_path)
    with pytest.raises(InputError):
        open_run("last~9", tmp_path)
    assert (running, gc.isenabled()) == ([False] * 3, True)
    gc.disable()
    try:
        load(tmp_path)
        assert not gc.isenabled()
    finally:
        gc.enable()
