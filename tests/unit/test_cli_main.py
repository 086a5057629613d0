"""The program around the commands: options that work everywhere, one line for each fault, the exit codes, the help."""

from __future__ import annotations

import io
import json
import os
import re
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
import typer

from spanwise.errors import CheckFailedError, InputError, SpanwiseError, UnavailableError
from spanwise_cli import entry, guard
from spanwise_cli import main as program
from spanwise_cli.options import console, emit_json, presentation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(autouse=True)
def _own_presentation(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a command line sets for its process must not reach the next test."""
    monkeypatch.setenv("NO_COLOR", "")
    monkeypatch.setattr(presentation, "color", presentation.color)
    monkeypatch.setattr(presentation, "verbose", presentation.verbose)


def stand_in(monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    """Make the program one of a single command `do`, which calls `act`."""

    def build() -> typer.Typer:
        app = typer.Typer(add_completion=False)
        app.callback()(program._root)

        @app.command()
        def do(word: str = "", *, flag: bool = False) -> None:
            act()

        return app

    monkeypatch.setattr(program, "build_app", build)


@pytest.mark.parametrize("words", [["-v", "do"], ["do", "-v"], ["do", "--verbose"], ["do", "--flag", "-v"]])
def test_verbose_works_before_and_after_the_command(monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    stand_in(monkeypatch, lambda: None)

    assert program.main(words) == 0
    assert (presentation.verbose, presentation.color) == (True, True)


@pytest.mark.parametrize("words", [["--no-color", "do"], ["do", "--no-color"]])
def test_no_color_works_before_and_after_the_command(monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    stand_in(monkeypatch, lambda: None)

    assert program.main(words) == 0
    assert (presentation.verbose, presentation.color, os.environ["NO_COLOR"]) == (False, False, "1")


def test_words_after_two_dashes_are_the_commands_own() -> None:
    assert program._hoist(["do", "-v", "--", "-v", "--no-color"]) == ["do", "--", "-v", "--no-color"]
    assert presentation.verbose


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_no_color_of_the_environment_is_heeded(
    monkeypatch: pytest.MonkeyPatch, no_color: str, *, coloured: bool
) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    out = console()
    out.file = io.StringIO()

    out.print("[red]no[/red]")

    assert ("\x1b[31m" in out.file.getvalue()) is coloured


def raising(problem: BaseException) -> Callable[[], None]:
    def act() -> None:
        raise problem

    return act


@pytest.mark.parametrize(
    ("problem", "code", "line"),
    [
        (CheckFailedError("budget broken"), 1, "budget broken"),
        (InputError("a.yaml:3: no"), 2, "a.yaml:3: no"),
        (SpanwiseError("failed"), 2, "failed"),
        (UnavailableError("disk: full"), 4, "disk: full"),
        (KeyboardInterrupt(), 130, "interrupted; what was recorded is kept"),
        (ZeroDivisionError("oops"), 70, "unexpected ZeroDivisionError: oops; run again with -v and report it"),
        (typer.BadParameter("too long"), 2, "do: Invalid value: too long (see: spanwise do --help)"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_each_fault_has_its_exit_code_and_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], problem: BaseException, code: int, line: str
) -> None:
    stand_in(monkeypatch, raising(problem))

    assert program.main(["do"]) == code
    assert tuple(capsys.readouterr()) == ("", f"spanwise: {line}\n")


def test_every_exit_code_is_explained_where_commands_are() -> None:
    page = (Path(__file__).parents[2] / "docs" / "show.md").read_text("utf-8")
    errors = {kind.exit_code for kind in (CheckFailedError, InputError, UnavailableError)}
    ours = {guard._UNEXPECTED, guard._INTERRUPTED, guard._HUNG_UP}
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)} == {0} | errors | ours


def test_a_command_ends_with_the_code_that_it_chose(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, raising(typer.Exit(3)))

    assert program.main(["do"]) == 3


def test_a_traceback_is_for_those_who_ask(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    stand_in(monkeypatch, raising(InputError("no")))

    assert program.main(["do", "-v"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == ["spanwise: no", "Traceback (most recent call last):"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["do", "--wrd"], "do: No such option: --wrd (Possible options: --word) (see: spanwise do --help)"),
        (["does"], "No such command 'does'. Did you mean 'do'? (see: spanwise --help)"),
        (["do", "--word"], "Option '--word' requires an argument (see: spanwise --help)"),
    ],
)
def test_a_usage_error_says_where_help_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], line: str
) -> None:
    stand_in(monkeypatch, lambda: None)

    assert program.main(words) == 2
    assert tuple(capsys.readouterr()) == ("", f"spanwise: {line}\n")


def test_the_version_is_the_installed_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["--version"]) == 0
    assert re.fullmatch(r"spanwise \d+\.\d+\.\d+(\.dev\d+)?\n", capsys.readouterr().out)


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the words of each command that people see."""
    inner = {name: one for name, one in getattr(command, "commands", {}).items() if not one.hidden}
    for name, one in inner.items():
        yield from commands(one, (*path, name))
    if not inner or getattr(command, "invoke_without_command", False):
        yield path


COMMANDS = sorted(commands(typer.main.get_command(program.build_app())))


def test_every_command_is_known() -> None:
    assert {path[0] for path in COMMANDS} == set(program.COMMANDS)


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_has_an_example_that_names_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], path: tuple[str, ...]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")

    assert program.main([*path, "--help"]) == 0
    assert f"Example: spanwise {' '.join(path)}" in capsys.readouterr().out


def test_a_json_document_is_all_that_stands_on_standard_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def act() -> None:
        console(stderr=True).print("warning: one span is late")
        emit_json({"schema": "spanwise.do/1", "text": "ü", "inf": None})

    stand_in(monkeypatch, act)

    assert program.main(["do"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == {"schema": "spanwise.do/1", "text": "ü", "inf": None}
    assert err == "warning: one span is late\n"


def test_an_interrupt_while_the_program_still_loads_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Loading(ModuleType):
        def __getattr__(self, name: str) -> Any:
            raise KeyboardInterrupt

    monkeypatch.setattr("spanwise_cli.main", Loading("spanwise_cli.main"))
    assert (entry.main(), capsys.readouterr().err) == (130, "spanwise: interrupted\n")
