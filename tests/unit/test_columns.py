from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.many_lines import columns_of
from support.traces import agent, cache_lookup, chat, identifier, line_of, span, step, tool, wait, workflow

from spanwise import conventions as c
from spanwise.journal.reader import ReadReport, Skipped, SpanRecord, read_file
from spanwise_profiling import columns, columns_join, dialects, kinds
from spanwise_profiling.normalise import normalised
from spanwise_profiling.runs import runs_of
from spanwise_profiling.sources import fast
from spanwise_profiling.trace import build_traces

if TYPE_CHECKING:
    from pathlib import Path

    from spanwise_profiling.columns import Columns


DESK = [
    workflow(1, 0, 9),
    agent(2, 1, 8, parent=1),
    chat(3, 2, 7, parent=2, attributes={c.RESPONSE_TIME_TO_FIRST_CHUNK: 0.25}),
    wait(4, 2, 3, parent=2),
    tool(5, 3, 4, parent=2, error="ValueError"),
    cache_lookup(6, 3, 4, parent=5),
    step(7, 4, 5, parent=1),
    span(8, 4, 5, parent=1),
]


def rows(table: Columns) -> list[dict[str, Any]]:
    """Return the rows of `table` with names for numbers, in order of their span ids."""

    def text(number: int) -> str | None:
        return table.strings[number] if number >= 0 else None

    found = [
        {
            "id": f"{int(table.span_id[row]):016x}", "trace": table.trace_ids[table.trace[row]],
            "parent": int(table.span_id[table.parent[row]]) if table.parent[row] >= 0 else None,
            "times": (int(table.start[row]), int(table.end[row])), "kind": columns.KINDS[table.kind[row]],
            "status": int(table.status[row]), "name": text(table.name[row]),
            "agent": text(table.agent[row]), "subject": text(table.subject[row]),
            "service": table.services[table.service[row]],
            "tokens": (int(table.input_tokens[row]), int(table.output_tokens[row])),
            "in run": bool(table.run[row] >= 0),
        }
        for row in range(len(table))
    ]  # fmt: skip
    return sorted(found, key=lambda row: (row["trace"], row["id"]))


def test_columns_hold_what_the_records_say() -> None:
    table = columns_of(DESK)
    assert [row["kind"] for row in rows(table)] == [kinds.kind_of(record) for record in DESK]
    assert [row["subject"] for row in rows(table)] == [kinds.subject_of(record) for record in DESK]
    assert [row["times"] for row in rows(table)] == [(record.start_ns, record.end_ns) for record in DESK]
    assert rows(table)[2] == {
        "id": identifier(3), "trace": identifier(1, 32), "parent": int(identifier(2), 16),
        "times": (DESK[2].start_ns, DESK[2].end_ns), "kind": "chat", "status": 0, "name": "chat sim-1",
        "agent": None, "subject": "sim-1", "service": "desk", "tokens": (100, 20), "in run": True,
    }  # fmt: skip
    assert (table.run_rows.tolist(), table.repairs) == ([0, 8], {})
    assert table.span_id[table.run_roots[0]] == int(identifier(1), 16)


def test_the_fast_loader_agrees_with_the_plain_one(tmp_path: Path) -> None:
    foreign = span(9, 5, 6, parent=1, attributes={"openinference.span.kind": "LLM", "llm.token_count.prompt": 7})
    odd = chat(10, 5, 6, parent=1, attributes={c.USAGE_INPUT_TOKENS: 7.0, c.CPU_SECONDS: 0.5})
    old = span(11, 5, 6, parent=1, attributes={c.OPERATION_NAME: "text_completion", "gen_ai.system": "x"})
    broken = [chat(12 + n, 5, 6, parent=1, tokens=(v, v)) for n, v in enumerate((7.5, -9, 1 << 40, "7", True))]  # type: ignore[arg-type]
    path = tmp_path / "x.jsonl"
    lines = (DESK[:3], [*DESK[3:], foreign], [odd, old], broken)
    path.write_text("\n".join(line_of(*line) for line in lines), encoding="utf-8")
    table = fast.load(path)
    plain = columns_of(dialects.translated(read_file(path)))
    assert rows(table) == rows(plain)
    assert [row["kind"] for row in rows(table)][8:11] == ["chat", "chat", "chat"]
    assert [row["tokens"][0] for row in rows(table)][11:] == [7, -1, (1 << 31) - 1, 7, -1]


def test_other_formats_are_loaded_as_columns_too(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(json.loads(line_of(*DESK)), indent=1), encoding="utf-8")
    assert rows(fast.load(path)) == rows(columns_of(read_file_of(path, DESK)))


def read_file_of(path: Path, spans: list[SpanRecord]) -> list[SpanRecord]:
    """Return `spans` as the journal's reader gives them back (without links, which `line_of` does not write)."""
    line = path.with_suffix(".line")
    line.write_text(line_of(*spans), encoding="utf-8")
    return list(read_file(line))


def test_odd_spans_of_a_line_are_skipped_or_mended_and_the_others_kept(tmp_path: Path) -> None:
    document = json.loads(line_of(*DESK))
    spans = document["resourceSpans"][0]["scopeSpans"][0]["spans"]
    spans[1]["startTimeUnixNano"] = str(1 << 70)
    spans[2]["parentSpanId"] = "0x1"
    spans[3]["status"] = {"code": 99}
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps(document) + "\n" + '{"resourceSpans": 7}\n' + line_of(*DESK)[:50], encoding="utf-8")
    report, done = ReadReport(), list[int]()
    table = fast.load(path, report, done.append)
    assert len(table) == 7
    assert [(skipped.line, skipped.reason[:40]) for skipped in report.skipped if isinstance(skipped, Skipped)] == [
        (1, f"span '{identifier(2)}': 118059162071741"),
        (2, "resourceSpans: 7 is no list"),
    ]
    assert (report.incomplete, report.spans, done) == (1, 7, [path.stat().st_size])


def test_rows_of_one_run_stand_together_however_they_came() -> None:
    records = [
        span(1, 0, 99), workflow(2, 1, 5, parent=1), workflow(3, 2, 9, parent=1), chat(4, 3, 4, parent=3),
        chat(5, 2, 3, parent=2), chat(6, 4, 5, parent=2), span(1, 0, 5, trace=2), span(2, 1, 2, trace=2, parent=1),
    ]  # fmt: skip
    table = columns_of([records[index] for index in (7, 3, 0, 5, 1, 6, 2, 4)])
    assert table.run_rows.tolist() == [0, 2, 5, 7]
    by_run = {tuple(sorted(f"{i:016x}"[:4] for i in table.span_id[table.run == run].tolist())) for run in range(3)}
    assert by_run == {("0001", "0002"), ("0002", "0005", "0006"), ("0003", "0004")}
    assert table.span_id[table.run == -1].tolist() == [int(identifier(1), 16)]
    assert [f"{i:016x}"[:4] for i in table.span_id[table.run_roots].tolist()].count("0003") == 1


def test_what_is_bent_is_counted() -> None:
    records = [
        workflow(1, 0, 9), chat(2, 1, 2, parent=1), chat(2, 1, 3, parent=1), chat(3, 5, 4, parent=1),
        chat(4, 1, 2, parent=99), chat(5, 3, -1_790_000_000, parent=1), chat(6, 1, 2, parent=7),
        chat(7, 0, 2, parent=6),
    ]  # fmt: skip
    table = columns_of(records)
    assert table.repairs == {
        "came more than once": 1, "without a recorded parent": 1, "in a circle of parents": 1,
        "without an end": 1, "ended before starting": 1,
    }  # fmt: skip
    assert bool(np.all(table.end >= table.start))


NUMBERS = st.integers(1, 9)
RECORDS = st.lists(
    st.builds(
        lambda number, parent, start, end, trace, is_workflow: (workflow if is_workflow else span)(
            number, start, end, parent=parent, trace=trace
        ),
        NUMBERS, st.none() | NUMBERS, st.integers(0, 9), st.integers(0, 9), st.integers(1, 3), st.booleans(),
    ),
    min_size=1,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(RECORDS, st.integers(1, 20))
def test_columns_make_the_runs_that_the_plain_form_makes(records: list[SpanRecord], stretch: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(columns_join, "_STRETCH", stretch)
        table = columns_of(records)
    found = [
        {(int(t), int(i)) for t, i in zip(table.trace[low:high], table.span_id[low:high], strict=True)}
        for low, high in zip(table.run_rows[:-1], table.run_rows[1:], strict=True)
    ]
    traces = {trace_id: number for number, trace_id in enumerate(table.trace_ids)}
    runs = [normalised(run) for run in runs_of(build_traces(records))]
    expected = [{(traces[s.trace_id], int(s.span_id, 16)) for _, s in run.walk()} for run in runs]
    assert sorted(map(sorted, found)) == sorted(map(sorted, expected))
    roots = {(int(table.trace[row]), int(table.span_id[row])) for row in table.run_roots}
    assert roots == {(traces[run.trace_id], int(run.root.span_id, 16)) for run in runs}
