"""The first screen of a profile, whole and at four widths; what it says in sentences; and one finding explained."""

from __future__ import annotations

import ast
import json
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from rich.cells import cell_len
from support import screens
from support.profiles import SEQUENTIAL, desk_profile, profile
from support.screens import printed, recorded, screen
from support.traces import agent, chat, identifier, run_of, step, wait, workflow

from spanwise import conventions as c
from spanwise.errors import InputError
from spanwise.journal.reader import LinkRecord
from spanwise_cli.commands.explain import explain
from spanwise_profiling.advice import IDS, advised
from spanwise_profiling.advice.remedies import REMEDIES
from spanwise_profiling.analysis import profile_of
from spanwise_profiling.render.explanation import explanation
from spanwise_profiling.render.headline import biggest_win, dominated, path_certainty
from spanwise_profiling.render.numbers import fixed, rough
from spanwise_profiling.render.path_rows import rows_of

if TYPE_CHECKING:
    from pathlib import Path

    from spanwise.journal.reader import SpanRecord
    from spanwise_profiling.profile import Profile


@pytest.mark.parametrize(("view", "name", "width"), screens.cases())
def test_a_screen_is_what_it_was(view: str, name: str, width: int) -> None:
    """After a change on purpose: `PYTHONPATH=tests python -m support.screens`, and read the difference."""
    assert screens.text_of(view, name, width) == screens.path_of(view, name, width).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", screens.PROFILES)
@pytest.mark.parametrize("width", screens.WIDTHS)
def test_the_first_screen_fits_a_screen(name: str, width: int) -> None:
    lines = screens.text_of("profile", name, width).splitlines()
    assert len(lines) <= 45
    assert max(map(cell_len, lines)) <= width
    assert lines[-1].startswith("Next: spanwise ")


def crowded(count: int) -> Profile:
    """A run of many agents, each of a role of its own, with long names and as many findings."""
    spans = [agent(10 + n, n, n + 1, parent=1, name=f"agent number {n} of a very large crowd") for n in range(count)]
    calls = [chat(1000 + n, n, n + 1, parent=10 + n) for n in range(count)]
    run = run_of(workflow(1, 0, count), *spans, *calls)
    finding = replace(SEQUENTIAL, title="Do what takes many words to say " * 3, why="Because " * 20, fix="so " * 30)
    return profile(run, [(1000 + n, n, n + 1, "model", "inferred") for n in range(count)], findings=[finding] * 9)


def test_whatever_a_run_holds_its_first_screen_has_45_lines_at_most() -> None:
    lines = screen(crowded(60)).splitlines()
    assert len(lines) <= 45
    assert any("more rows" in line for line in lines)
    assert sum(line[:2] in {"1.", "2.", "3."} for line in lines) == 3


def test_rows_of_one_role_become_one_before_any_is_left_out() -> None:
    spans: list[SpanRecord] = [workflow(1, 0, 15)]
    for n in range(15):
        role = {c.STEP_ROLE: "risk"} if n % 5 == 4 else {}
        spans += [
            agent(10 + n, n, n + 1, parent=1, name=f"{n}_analyst", attributes=role),
            chat(100 + n, n, n + 1, parent=10 + n),
        ]
    shown, left_out = rows_of(profile_of(run_of(*spans)))
    assert (len(shown), len(left_out)) == (12, 1)
    assert [(row.name, row.on_path_ns) for row in shown if row.roles] == [("3 risk analysts", 3 * 10**9)]


def test_the_seconds_of_the_rows_and_of_what_is_between_add_up_to_the_run() -> None:
    baseline = recorded("trading-baseline")
    shown, _ = rows_of(baseline, most=None)
    assert sum(row.on_path_ns for row in shown) == pytest.approx(baseline.run.duration_ns, rel=0.01)


def test_each_moment_of_the_path_is_in_one_row_at_most() -> None:
    shown, _ = rows_of(recorded("trading-optimized"), most=None)
    segments = sorted((one.start_ns, one.end_ns) for row in shown for one in row.path)
    assert all(end <= start for (_, end), (start, _) in pairwise(segments))


def test_nodes_of_a_graph_are_rows_when_there_are_no_agents() -> None:
    nodes = [agent(n, n - 3, n - 2, parent=2, name="x") for n in (3, 4)]
    nodes = [replace(node, name=name, attributes={}) for node, name in zip(nodes, ("plan", "write"), strict=True)]
    outer = replace(agent(2, 0, 2, parent=1), name="LangGraph", attributes={})
    calls = [chat(5, 0, 1, parent=3), chat(6, 1, 2, parent=4), wait(7, 0, 2, parent=2)]
    shown, _ = rows_of(profile_of(run_of(workflow(1, 0, 2), outer, *nodes, *calls)))
    assert [row.name for row in shown] == ["plan", "write"]


def test_a_step_that_only_waited_for_others_has_no_row() -> None:
    spans = [
        workflow(1, 0, 2),
        step(2, 0, 1.9, name="debate", parent=1),
        agent(3, 0, 2, parent=1),
        chat(4, 0, 2, parent=3),
    ]
    assert [row.name for row in rows_of(profile_of(run_of(*spans)))[0]] == ["risk"]


def test_a_path_is_certain_where_nothing_else_was_going() -> None:
    alone = profile_of(run_of(workflow(1, 0, 4), chat(2, 0, 2, parent=1), chat(3, 2, 4, parent=1)))
    assert (alone.doubt_ns, {one.certainty for one in alone.path}) == (0, {"only"})
    assert path_certainty(alone) == "Path: certain, nothing overlapped."


def test_a_path_is_in_doubt_as_long_as_something_beside_it_or_above_it_was_going() -> None:
    spans = [
        workflow(1, 0, 10), agent(2, 0, 8, parent=1), chat(3, 0, 8, parent=2), agent(4, 5, 9, parent=1),
        chat(5, 5, 9, parent=4),
    ]  # fmt: skip
    shown = profile_of(run_of(*spans))
    assert [(one.certainty, one.doubt_ns / 1e9) for one in shown.path] == [
        ("only", 0.0), ("inferred", 3.0), ("only", 0.0),
    ]  # fmt: skip
    assert path_certainty(shown).startswith("Path: in doubt for 30 %: siblings overlapped")


def test_what_outlives_its_parent_or_waits_for_another_brings_no_doubt() -> None:
    detached = chat(5, 1, 9, parent=2)
    waits = wait(6, 0, 4, kind="task", parent=7)
    released = replace(waits, links=(LinkRecord(identifier(1, 32), identifier(3), {c.LINK_REASON: "waits_on"}),))
    spans = [
        workflow(1, 0, 9),
        agent(2, 0, 4, parent=1),
        chat(3, 0, 4, parent=2),
        detached,
        agent(7, 0, 4, parent=1),
        released,
    ]
    assert profile_of(run_of(*spans)).doubt_ns == 0


def test_sentences_say_what_dominated_and_what_to_do() -> None:
    desk = desk_profile()
    assert dominated(desk) == "97 % is model time, and little overlapped (1.19x parallel)."
    assert biggest_win(desk) == "Biggest win: let bull work once on both inputs, about 38 s less (32 %)."
    doubtful = desk_profile(findings=[replace(SEQUENTIAL, confidence="low")])
    assert biggest_win(doubtful).startswith("Worth a look: ")
    mixed = profile(
        run_of(workflow(1, 0, 10), chat(2, 0, 4, parent=1)),
        [(2, 0, 4, "model", "inferred"), (1, 4, 7, "queue", "inferred"), (1, 7, 10, "cpu", "inferred")],
    )
    assert (
        dominated(mixed)
        == "40 % is model time and 30 % waiting for limits, and almost nothing overlapped (0.40x parallel)."
    )
    assert dominated(profile(run_of(workflow(1, 0, 0)), [])) == "It took no time."


def test_numbers_are_as_long_as_one_can_be_sure_of_them() -> None:
    assert [rough(value) for value in (0, 0.0617, 0.613, 3.66, 19.7, 139.6, 1234)] == [
        "0 s", "0.062 s", "0.61 s", "3.7 s", "20 s", "140 s", "1,200 s",
    ]  # fmt: skip
    assert [fixed(value, 300) for value in (300, 5.25)] == ["300.0 s", "5.2 s"]
    assert (fixed(0.5, 2.0), fixed(0.0123, 0.5)) == ("0.50 s", "0.012 s")


def test_rules_that_lack_what_they_read_are_blind_and_say_what_records_it() -> None:
    plain = advised(profile_of(run_of(workflow(1, 0, 2), chat(2, 0, 2, parent=1))))
    assert plain.rules == len(IDS) == 16
    assert [(one.lacks, len(one.rules)) for one in plain.blind] == [
        ("prompt fingerprints", 8), ("recorded waits", 2), ("new connections", 1),
    ]  # fmt: skip
    assert plain.blind[0].remedy == "SPANWISE_FINGERPRINTS=true"
    assert advised(profile_of(run_of(workflow(1, 0, 2)))).blind == ()
    assert recorded("trading-baseline").blind == ()


def test_a_finding_is_explained_with_its_spans_the_replay_and_three_ways_to_do_it() -> None:
    text = printed(explanation(recorded("trading-baseline"), 1, 80), 80)
    for part in (
        "1. Run the 4 analysts together.\n",
        "\nSpans, and the seconds of the path that are meant\n",
        "agent market_analyst [",
        "\n  before   302.4 s  ████",
        "\n  after ",
        "\nPlain asyncio: ",
        "\nLangGraph:\n    builder.add_edge(START,",
        "\nspanwise_pipeline: ",
    ):
        assert part in text
    assert max(map(cell_len, text.splitlines())) <= 80


def test_of_a_connection_its_opening_is_meant_and_not_the_whole_call() -> None:
    baseline = recorded("trading-baseline")
    [number] = [n for n, one in enumerate(baseline.findings, start=1) if one.id == "connection-churn"]
    finding = baseline.findings[number - 1]
    assert sum(one.on_path_ns for one in finding.evidence) < 0.02 * baseline.run.duration_ns
    text = " ".join(printed(explanation(baseline, number, 80), 80).split())
    assert "chat desk-large of dispatcher, opened a connection [" in text


def test_every_finding_has_a_remedy_whose_code_is_python() -> None:
    assert set(REMEDIES) == set(IDS)
    for remedy in REMEDIES.values():
        for code in (remedy.asyncio, remedy.langgraph, remedy.pipeline):
            compile(code, "remedy", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            assert max(map(len, code.splitlines())) <= 76


def test_the_command_explains_and_refuses_a_number_that_is_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(screens.GOLDEN / "recordings" / "trading-baseline.jsonl.gz")
    explain(number=1, run=file, json=True, journal=tmp_path)
    document = json.loads(capsys.readouterr().out)
    assert (document["schema"], document["number"], document["finding"]["id"]) == (
        "spanwise.explain/1", 1, "sequential-calls",
    )  # fmt: skip
    assert document["after_s"] == pytest.approx(document["before_s"] - document["finding"]["saves_s"])
    explain(number=1, run=file, json=False, journal=tmp_path)
    assert capsys.readouterr().out.startswith("1. Run the 4 analysts together.\n")
    with pytest.raises(InputError, match=r"explain 99: trading/baseline has \d findings; see: spanwise profile"):
        explain(number=99, run=file, journal=tmp_path)
