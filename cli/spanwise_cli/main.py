"""The `spanwise` program: builds the command tree and runs one of its commands.

Usage errors are one line like all others, not typer's box; `spanwise_cli.guard` says the rest and has the exit codes.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Final

import typer
from typer.exceptions import TyperException

from spanwise.version import VERSION
from spanwise_cli import overview
from spanwise_cli.entry import COMPLETE
from spanwise_cli.guard import guarded, report
from spanwise_cli.options import presentation

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS: Final = tuple(overview.COMMANDS)
_MODULES: Final = {"import": "importing"}
_NAME: Final = "spanwise"
_SETTINGS: Final = {"help_option_names": ["-h", "--help"]}
_USAGE: Final = 2


def _print_version(value: bool) -> None:  # noqa: FBT001 - typer's callback signature
    if value:
        typer.echo(f"spanwise {VERSION}")
        raise typer.Exit


def _root(
    *,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show tracebacks. Works after a command too.")
    ] = False,
    no_color: Annotated[
        bool, typer.Option("--no-color", help="No colour (also: NO_COLOR). Works after a command too.")
    ] = False,
    show_version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    # What these say is taken from the arguments before parsing, so that they work after a command too.
    del verbose, no_color, show_version


def build_app(names: Sequence[str] | None = None) -> typer.Typer:
    """Return the command tree: all of it, or with the commands of these names only."""
    app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich", context_settings=_SETTINGS)
    app.callback(help=overview.ABOUT)(_root)
    for name in COMMANDS if names is None else names:
        import_module(f"spanwise_cli.commands.{_MODULES.get(name, name)}").register(app)
    return app


def _hoist(arguments: list[str]) -> list[str]:
    """Take the options that every command has out of `arguments`, up to a `--` or to what `run` runs."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    end = min(end, _program_of_run(arguments))
    head, tail = arguments[:end], arguments[end:]
    presentation.verbose = any(word in {"-v", "--verbose"} for word in head)
    presentation.color = "--no-color" not in head
    if not presentation.color:
        os.environ["NO_COLOR"] = "1"  # typer's own help and usage errors read it
    return [word for word in head if word not in {"-v", "--verbose", "--no-color"}] + tail


def _program_of_run(arguments: list[str]) -> int:
    """Return where the program of `spanwise run` stands, whose words are its own; the length where none is run."""
    command = next((at for at, word in enumerate(arguments) if not word.startswith("-")), len(arguments))
    if arguments[command : command + 1] != ["run"]:
        return len(arguments)
    at = command + 1
    while at < len(arguments) and arguments[at].startswith("-") and arguments[at] != "-":
        at += 2 if arguments[at] == "--journal" else 1
    return at


def _run(words: list[str]) -> int:
    """Parse and run; typer's own `main` would print usage errors in a box and swallow Ctrl-C."""
    known = words[0] if words and words[0] in COMMANDS else None
    app = build_app() if known is None else build_app([known])  # the others would take a second to load
    command = typer.main.get_command(app)
    if os.environ.get(COMPLETE):
        command(prog_name=_NAME)  # prints the completions, and ends the program
    try:
        with command.make_context("spanwise", words) as context:
            command.invoke(context)
    except typer.Exit as end:
        return end.exit_code
    except TyperException as problem:
        _report_usage(problem)
        return _USAGE
    return 0


def _report_usage(problem: TyperException) -> None:
    """Say what is wrong with the arguments; a group without a command has printed its help already."""
    message = " ".join(problem.format_message().split()).rstrip(".")
    if message:
        path: str = getattr(getattr(problem, "ctx", None), "command_path", "spanwise")
        place = path.removeprefix("spanwise").strip()
        report(f"{place}: {message} (see: {path} --help)" if place else f"{message} (see: {path} --help)", name=_NAME)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program with `arguments` (default: the process's) and return its exit code."""
    words = _hoist(list(sys.argv[1:] if arguments is None else arguments))
    remedy = "report it" if presentation.verbose else "run again with -v and report it"
    return guarded(lambda: _run(words), name=_NAME, last_resort=remedy)


if __name__ == "__main__":
    sys.exit(main())
