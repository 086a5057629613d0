"""`spanwise profile`: what it prints, what it writes, and what it says of input that it cannot use."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
import typer
from support.profiles import desk_spans
from support.traces import chat, line_of, record, span, wait, workflow
from typer.testing import CliRunner

from spanwise.errors import InputError
from spanwise_cli.commands import profile as profile_command
from spanwise_profiling.profile import BUCKETS

if TYPE_CHECKING:
    from pathlib import Path

    from typer.testing import Result


def spanwise(*arguments: str | Path, stdin: bytes | None = None) -> Result:
    app = typer.Typer()
    profile_command.register(app)
    words = [str(argument) for argument in arguments]
    return CliRunner().invoke(app, words, env={"COLUMNS": "80"}, input=stdin)


def printed(*arguments: str | Path, stdin: bytes | None = None) -> str:
    result = spanwise(*arguments, stdin=stdin)
    if result.exception is not None:
        raise result.exception
    return result.stdout


def documented(*arguments: str | Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(printed(*arguments, "--json"))
    return document


def journal(folder: Path) -> Path:
    record(folder, *desk_spans(run_id="first-run", trace=1))
    record(folder, *desk_spans(run_id="second-run", trace=2), file="b")
    return folder


def test_the_last_run_is_profiled_when_none_is_named(tmp_path: Path) -> None:
    text = printed("--journal", journal(tmp_path))
    assert text.startswith("trading/optimized  120.0 s   5 model calls, 480 tokens, 1 error, grade A+\n")
    hint = "\nNext: spanwise explain 1 | profile --html report.html | show\n"
    for part in ("  on path\n", "\nWhere 120.0 s went\n", "\nPath: ", hint):
        assert part in text
    assert "\nrun second-run, 2026-09-21 14:13:20 UTC, desk" in printed("--all", "--journal", tmp_path)
    assert max(map(len, text.splitlines())) <= 80


def test_several_runs_are_printed_one_after_another(tmp_path: Path) -> None:
    text = printed("first", "second", "--plain", "--journal", journal(tmp_path))
    assert re.findall(r"^Profile of .*: run (\S+),", text, re.MULTILINE) == ["first-run", "second-run"]
    assert printed("first", "--plain", "--journal", tmp_path) + "\n" in text


def test_the_document_s_budget_adds_up_to_each_run_exactly(tmp_path: Path) -> None:
    document = documented("first", "second", "--journal", journal(tmp_path))
    assert (document["schema"], document["warnings"]) == ("spanwise.profile/1", [])
    for run in document["runs"]:
        assert (run["duration_s"], run["scale"], set(run["budget"])) == (120.0, 20.0, set(BUCKETS))
        assert sum(run["budget_ns"].values()) == 6_000_000_000
        assert {segment["edge"] for segment in run["critical_path"]} <= {"observed", "inferred"}
        assert run["critical_path"][-1]["end_s"] == 120.0
        assert {"name", "on_path_s", "total_s", "calls", "tokens"} <= set(run["agents"][0])


def test_files_are_written_and_said_to_be_and_only_they(tmp_path: Path) -> None:
    names = {"--html": "a.html", "--speedscope": "a.json", "--perfetto": "a.pftrace"}
    options = [word for option, name in names.items() for word in (option, str(tmp_path / name))]
    result = spanwise("first", *options, "--journal", journal(tmp_path))
    assert (result.exit_code, result.stdout) == (0, "")
    assert [line.partition(": written; open it ")[0] for line in result.stderr.splitlines()] == [
        str(tmp_path / name) for name in names.values()
    ]
    assert (tmp_path / "a.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert json.loads((tmp_path / "a.json").read_bytes())["profiles"][0]["name"] == "trading/optimized: critical path"
    assert (tmp_path / "a.pftrace").read_bytes()[:1] == b"\x0a"


def test_a_file_and_a_printed_form_can_be_had_at_once(tmp_path: Path) -> None:
    document = documented("first", "--perfetto", tmp_path / "a", "--journal", journal(tmp_path))
    assert document["runs"][0]["run_id"] == "first-run"
    assert (tmp_path / "a").exists()
    assert printed("--markdown", "--journal", tmp_path).startswith("### Profile of `trading/optimized`: 120.0 s\n")


def test_every_form_is_the_same_when_made_again_from_the_same_spans_in_another_order(tmp_path: Path) -> None:
    def made(folder: Path, *, backwards: bool) -> list[bytes]:
        spans = desk_spans()
        record(folder, *(reversed(spans) if backwards else spans))
        files = [folder / "a.html", folder / "a.speedscope", folder / "a.pftrace"]
        options = zip(("--html", "--speedscope", "--perfetto"), files, strict=True)
        forms: list[list[str]] = [[], ["--plain"], ["--markdown"], ["--json"]]
        texts = [printed(*form, "--journal", folder).encode() for form in forms]
        printed(*(word for pair in options for word in pair), "--journal", folder)
        return texts + [file.read_bytes() for file in files]

    forwards = made(tmp_path / "a", backwards=False)
    assert forwards == made(tmp_path / "b", backwards=True)
    assert all(forwards)


def test_a_file_and_standard_input_give_what_the_journal_gives(tmp_path: Path) -> None:
    path = record(tmp_path / "journal", *desk_spans())
    expected = printed("--journal", tmp_path / "journal").partition("\nNext: ")[0]
    assert printed(path, "--journal", tmp_path / "none").partition("\nNext: ")[0] == expected
    piped = printed("-", "--journal", tmp_path / "none", stdin=path.read_bytes())
    assert piped.partition("\nNext: ")[0] == expected


def test_what_of_a_run_is_in_another_folder_is_taken_too(tmp_path: Path) -> None:
    spans = desk_spans()
    record(tmp_path / "here", *spans[:7])
    record(tmp_path / "there", *spans[7:])
    record(tmp_path / "all", *spans)
    (both,) = documented("--from", tmp_path / "there", "--journal", tmp_path / "here")["runs"]
    (whole,) = documented("--journal", tmp_path / "all")["runs"]
    assert both["critical_path"] == whole["critical_path"]
    assert both["span_count"] + both["wait_count"] == len(spans)


def test_roles_are_told_in_a_table_whose_rows_add_up_to_the_run(tmp_path: Path) -> None:
    def step(number: int, start: float, end: float, parent: int, **attributes: Any) -> Any:
        named = {
            "spanwise.step.name": "s",
            **{f"spanwise.{name.replace('_', '.')}": v for name, v in attributes.items()},
        }
        return span(number, start, end, parent=parent, name="step s", attributes=named)

    record(
        tmp_path,
        workflow(1, 0, 10),
        step(2, 0, 7, 1, step_role="talk"),
        chat(3, 0, 6, parent=2),
        step(4, 7, 10, 1, step_role="files"),
        wait(5, 7, 9, kind="queue", resource="writer", parent=4),
        step(6, 7, 9, 4, write_files=3),
        step(7, 9, 10, 4, write_files=1),
    )

    head, *rows = printed("--by-role", "--journal", tmp_path).splitlines()
    roles = {one["name"]: one for one in documented("--journal", tmp_path)["runs"][0]["roles"]}

    assert head == "trading  10.00 s"
    assert [row.split() for row in rows] == [
        ["role", "on", "path", "model", "data", "waiting", "rest", "writes"],
        ["talk", "7.00", "s", "6.00", "s", "-", "-", "1.00", "s", "-"],
        ["files", "3.00", "s", "-", "-", "-", "3.00", "s", "2", "of", "4"],
    ]
    assert roles["files"]["writes"] == {"batches": 2, "files": 4}
    assert roles["talk"]["writes"] == {"batches": 0, "files": 0}


def test_a_run_without_roles_says_how_to_give_them(tmp_path: Path) -> None:
    record(tmp_path, workflow(1, 0, 10))

    with pytest.raises(InputError, match=r"--by-role: no step of trading has a role; give it one with "):
        printed("--by-role", "--journal", tmp_path)


@pytest.mark.parametrize(
    "forms",
    [("--json", "--plain"), ("--markdown", "--json"), ("--plain", "--markdown"), ("--by-role", "--json")],
)
def test_only_one_form_can_be_printed(forms: tuple[str, str], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="each is all that is printed; give one of them"):
        printed(*forms, "--journal", journal(tmp_path))


def test_a_page_shows_two_runs_at_most(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--html: shows one run or compares two, not 3; write a file for each pair"):
        printed("first", "second", "last", "--html", tmp_path / "a.html", "--journal", journal(tmp_path))
    printed("first", "second", "--html", tmp_path / "a.html", "--journal", tmp_path)
    assert "first-run" in (tmp_path / "a.html").read_text(encoding="utf-8")


def test_a_file_that_cannot_be_written_is_a_line_with_place_and_remedy(tmp_path: Path) -> None:
    path = tmp_path / "none" / "a.html"
    with pytest.raises(InputError, match=re.escape(f"--html {path}: cannot be written (No such file or directory); ")):
        printed("--html", path, "--journal", journal(tmp_path))


def test_an_id_that_nothing_has_names_the_near_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nearest: first-ru "):
        printed("first-ran", "--journal", journal(tmp_path))


def test_warnings_go_to_standard_error_each_once(tmp_path: Path) -> None:
    path = record(tmp_path, workflow(1, 0, 1), span(2, 0, 1, parent=9))
    path.write_text(path.read_text(encoding="utf-8") + "{\n" + line_of(span(3, 0, 1, parent=1)), encoding="utf-8")
    result = spanwise("--journal", tmp_path)
    assert result.exit_code == 0
    assert result.stderr.count("warning: ") == 2
    assert "warning" not in result.stdout


def test_the_table_of_prices_can_be_replaced(tmp_path: Path) -> None:
    table = tmp_path / "prices.toml"
    entry = '[[price]]\nmodels = ["sim-1"]\nsince = 2026-01-01\ninput = 1\noutput = 1\nsource = "x"\n'
    table.write_text(f'currency = "EUR"\ntokens = 10\n{entry}', encoding="utf-8")
    (run,) = documented("first", "--prices", table, "--journal", journal(tmp_path))["runs"]
    assert (run["usage"]["currency"], run["usage"]["total"]["cost"]) == ("EUR", pytest.approx(48.0))
    (run,) = documented("first", "--journal", tmp_path)["runs"]
    assert (run["usage"]["currency"], run["usage"]["total"]["cost"]) == ("USD", None)
    table.write_text("currency = 1", encoding="utf-8")
    with pytest.raises(InputError, match=re.escape(str(table))):
        printed("--prices", table, "--journal", tmp_path)
