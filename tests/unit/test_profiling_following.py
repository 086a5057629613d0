"""A run is shown while it goes on: what of it has ended, and what must be open above that."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from typing import TYPE_CHECKING

import pytest
import typer
from rich.console import Console
from support.traces import BEGIN_NS, agent, chat, identifier, line_of, record, tool, workflow
from typer.testing import CliRunner

from spanwise import conventions as c
from spanwise.errors import InputError
from spanwise.journal.reader import ReadReport, Skipped
from spanwise_cli.commands import show as show_command
from spanwise_cli.live import followed
from spanwise_profiling.following import QUIET_POLLS, STILL_OPEN, Growing, follow

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from spanwise.journal.reader import SpanRecord
    from spanwise_profiling.following import Snapshot

NOW_NS = BEGIN_NS + 10 * 10**9


def grown(*spans: SpanRecord, wanted: str | None = None, news: tuple[SpanRecord, ...] = ()) -> Growing:
    growing = Growing(wanted)
    for span in spans:
        growing.add(span)
    growing.settle()
    for span in news:
        growing.add(span)
    growing.settle()
    return growing


def tree(growing: Growing) -> list[tuple[int, str, float]]:
    """Depth, name and recorded seconds of each span that is shown."""
    snapshot = shown(growing)
    return [(depth, span.name, span.duration_ns / 1e9) for depth, span in snapshot.run.walk()]


def shown(growing: Growing, now_ns: int = NOW_NS) -> Snapshot:
    snapshot = growing.snapshot(now_ns)
    assert snapshot is not None
    return snapshot


def script(*steps: Callable[[], object]) -> Callable[[float], bool]:
    """A `wait` that does one step a look and then ends."""
    left = list(steps)

    def wait(_: float) -> bool:
        if not left:
            return True
        left.pop(0)()
        return False

    return wait


def test_what_is_above_an_ended_span_and_not_on_record_is_shown_as_open() -> None:
    growing = grown(chat(3, 1, 2, parent=2), tool(4, 2, 3, parent=2))
    assert tree(growing) == [(0, STILL_OPEN, 9.0), (1, "chat sim-1", 1.0), (1, "execute_tool prices", 1.0)]
    assert shown(growing).open_ids == {identifier(2)}
    assert not shown(growing).is_over


def test_the_tree_grows_until_its_root_has_ended() -> None:
    growing = grown(chat(3, 1, 2, parent=2), news=(agent(2, 1, 4, parent=1),))
    assert [name for _, name, _ in tree(growing)] == [STILL_OPEN, "invoke_agent risk", "chat sim-1"]
    growing.add(workflow(1, 0, 5))
    growing.settle()
    assert tree(growing) == [(0, "invoke_workflow trading", 5.0), (1, "invoke_agent risk", 3.0), (2, "chat sim-1", 1.0)]
    assert shown(growing).is_over
    assert shown(growing).open_ids == frozenset()


def test_a_span_that_is_on_record_from_its_start_is_shown_with_its_name_until_its_end_comes() -> None:
    begun = replace(workflow(1, 0, 1), end_ns=0)
    growing = grown(begun, chat(2, 1, 2, parent=1))
    assert tree(growing) == [(0, "invoke_workflow trading", 10.0), (1, "chat sim-1", 1.0)]
    assert shown(growing).open_ids == {identifier(1)}
    growing.add(workflow(1, 0, 5))
    assert shown(growing).is_over


def test_without_a_name_the_newest_run_that_goes_on_is_followed_and_a_finished_one_is_not() -> None:
    finished = workflow(1, 0, 1, trace=1)
    assert grown(finished).snapshot(NOW_NS) is None
    older, newer = chat(3, 2, 3, parent=2, trace=2), chat(3, 4, 5, parent=2, trace=3)
    assert shown(grown(finished, older, newer)).run.trace_id == identifier(3, 32)


def test_news_of_a_run_count_more_than_one_that_was_left_open_by_a_crash() -> None:
    crashed, running = chat(3, 4, 5, parent=2, trace=3), chat(3, 2, 3, parent=2, trace=2)
    assert shown(grown(crashed, news=(running,))).run.trace_id == identifier(2, 32)
    # Even one that is over before the next look.
    assert shown(grown(crashed, news=(workflow(1, 1, 2, trace=4),))).is_over


def test_a_run_is_named_by_the_first_characters_of_its_own_or_its_trace_s_id() -> None:
    first, second = workflow(1, 0, 1, trace=1, attributes={c.RUN_ID: "abcdef"}), workflow(1, 2, 3, trace=2)
    assert shown(grown(first, second, wanted="abcd")).run.run_id == "abcdef"
    assert shown(grown(first, second, wanted=identifier(2, 32)[:6])).is_over
    assert grown(first, second, wanted="nothing").snapshot(NOW_NS) is None


def test_a_run_below_somebody_s_request_is_over_when_nothing_more_comes() -> None:
    growing = grown(news=(workflow(2, 0, 1, parent=1),))
    assert not shown(growing).is_over
    for _ in range(QUIET_POLLS - 1):
        growing.settle()
    growing.add(chat(3, 1, 2, parent=1))  # somebody was still at work
    for _ in range(QUIET_POLLS):
        growing.settle()
    assert not shown(growing).is_over
    growing.settle()
    assert shown(growing).is_over


def test_records_come_as_they_are_written_and_each_once(tmp_path: Path) -> None:
    path = record(tmp_path, chat(2, 0, 1, parent=1))

    def append() -> None:
        with path.open("a", encoding="utf-8") as file:
            file.write(line_of(chat(3, 1, 2, parent=1)) + "{broken\n" + line_of(workflow(1, 0, 3))[:-20])

    def complete() -> None:
        with path.open("a", encoding="utf-8") as file:
            file.write(line_of(workflow(1, 0, 3))[-20:])

    report = ReadReport()
    wait = script(append, complete, lambda: record(tmp_path, chat(9, 0, 1), file="b"), lambda: None)
    came = [span.span_id for span in follow(tmp_path, wait=wait, report=report)]
    assert came == [identifier(number) for number in (2, 3, 1, 9)]
    assert [skipped.line for skipped in report.skipped if isinstance(skipped, Skipped)] == [3]


def test_a_folder_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    folder = tmp_path / "later"
    assert [span.span_id for span in follow(folder, wait=script(lambda: record(folder, chat(2, 0, 1))))] == [
        identifier(2)
    ]


def growing_journal(folder: Path) -> Callable[[float], object]:
    """A sleep that writes a run step by step."""
    return script(
        lambda: record(folder, chat(3, 0, 1, parent=2), file="a"),
        lambda: record(folder, agent(2, 0, 2, parent=1), file="b"),
        lambda: record(folder, workflow(1, 0, 3), tool(4, 2, 3, parent=1), file="c"),
    )


def test_on_a_terminal_the_tree_is_drawn_anew_and_wiped_at_the_end(tmp_path: Path) -> None:
    stream = StringIO()
    out = Console(file=stream, width=80, height=24, force_terminal=True, color_system=None)
    run = followed("last", tmp_path, out, sleep=growing_journal(tmp_path))
    drawn = stream.getvalue()
    assert run.totals.spans == 4
    assert f"waiting for last in {tmp_path}" in drawn.replace("\r\n", "").replace("\n", "")
    assert drawn.index("waiting") < drawn.index(f"{STILL_OPEN} …") < drawn.index("└─ agent risk")
    assert "2 spans, 120 tokens so far; Ctrl-C ends" in drawn
    assert "\x1b[2K" in drawn[drawn.rindex("so far") :]


def test_elsewhere_each_span_is_a_line_when_it_has_ended(tmp_path: Path) -> None:
    stream = StringIO()
    out = Console(file=stream, width=80)
    followed("last", tmp_path, out, sleep=growing_journal(tmp_path))
    lines = stream.getvalue().splitlines()
    assert [line.partition("  ")[2] for line in lines] == [
        "chat sim-1, 1.00 s", "agent risk, 2.00 s", "tool prices, 1.00 s", "workflow trading, 3.00 s", "",
    ]  # fmt: skip


@pytest.mark.parametrize("reference", ["last~1", "last:trading", "x.jsonl", "folder/x"])
def test_only_an_id_or_the_last_run_can_be_followed(reference: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be followed; give an id or its first characters, or `last`$"):
        followed(reference, tmp_path, Console(file=StringIO()))


def test_the_command_prints_the_whole_run_once_it_is_over(tmp_path: Path) -> None:
    record(tmp_path, workflow(1, 0, 3), agent(2, 0, 2, parent=1))
    app = typer.Typer()
    show_command.register(app)
    arguments = [identifier(1, 32), "--follow", "--journal", str(tmp_path)]
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "80"})
    assert result.exit_code == 0
    assert "agent risk, 2.00 s\n" in result.stdout
    assert "\ntrading\nrun 0001aa" in result.stdout
    assert isinstance(CliRunner().invoke(app, [*arguments, "--json"]).exception, InputError)
