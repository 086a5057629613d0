"""The `spanwise` program: builds the command tree, and alone turns errors into one line and an exit code.

Exit codes: 0 done, 1 the answer is no, 2 bad usage or input, 3 inconclusive, 4 something needed is not reachable,
130 interrupted, 141 whoever read the output went away (as a shell counts both). A traceback is printed only with `-v`.
"""

from __future__ import annotations

import os
import sys
import traceback
from contextlib import suppress
from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Annotated, Final

import typer
from typer.exceptions import TyperException

from spanwise.errors import SpanwiseError
from spanwise_cli.options import presentation

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS: Final = (
    "systems", "provider", "runs", "show", "ledger", "alerts", "dashboards", "doctor", "stack",
)  # fmt: skip
_USAGE: Final = 2
_INTERRUPTED: Final = 130
_HUNG_UP: Final = 141
_UNEXPECTED: Final = 70


def _print_version(value: bool) -> None:  # noqa: FBT001 - typer's callback signature
    if value:
        typer.echo(f"spanwise {version('spanwise')}")
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
    """Trace, profile, predict, prove and guard multi-agent LLM pipelines."""
    del verbose, no_color, show_version  # taken from the arguments before parsing, so that they work everywhere


def build_app() -> typer.Typer:
    """Return the command tree."""
    app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode="rich")
    app.callback()(_root)
    for name in COMMANDS:
        import_module(f"spanwise_cli.commands.{name}").register(app)
    return app


def _hoist(arguments: list[str]) -> list[str]:
    """Take the options that every command has out of `arguments`, up to a `--`."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    head, tail = arguments[:end], arguments[end:]
    presentation.verbose = any(word in {"-v", "--verbose"} for word in head)
    presentation.color = "--no-color" not in head
    if not presentation.color:
        os.environ["NO_COLOR"] = "1"  # typer's own help and usage errors read it
    return [word for word in head if word not in {"-v", "--verbose", "--no-color"}] + tail


def _run(words: list[str]) -> int:
    """Parse and run; typer's own `main` would print usage errors in a box and swallow Ctrl-C."""
    command = typer.main.get_command(build_app())
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
        _report(f"{place}: {message} (see: {path} --help)" if place else f"{message} (see: {path} --help)")


def _report(message: str) -> None:
    with suppress(BrokenPipeError):
        sys.stdout.flush()
    sys.stderr.write(f"spanwise: {message}\n")
    if presentation.verbose:
        traceback.print_exc()


def _hang_up() -> int:
    """Leave without a word: nobody reads. The interpreter flushes once more at its end, so let that go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
    return _HUNG_UP


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program with `arguments` (default: the process's) and return its exit code."""
    words = _hoist(list(sys.argv[1:] if arguments is None else arguments))
    try:
        code = _run(words)
        sys.stdout.flush()
    except SpanwiseError as error:
        _report(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        _report("interrupted; what was recorded is kept")
        return _INTERRUPTED
    except (BrokenPipeError, SystemExit):  # typer's console for help knows no other answer to a closed pipe than exit
        return _hang_up()
    except Exception as error:  # noqa: BLE001 - the last line of defence: one line for people, the traceback with -v
        hint = "" if presentation.verbose else "; run again with -v and report it"
        _report(f"unexpected {type(error).__name__}: {error}{hint}")
        return _UNEXPECTED
    return code


if __name__ == "__main__":
    sys.exit(main())
