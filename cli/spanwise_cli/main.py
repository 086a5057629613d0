"""The `spanwise` program: builds the command tree, and alone turns errors into one line and an exit code.

Exit codes: 0 done, 1 the answer is no, 2 bad usage or input, 3 inconclusive, 4 something needed is not reachable,
130 interrupted. A traceback is printed only with `-v`.
"""

from __future__ import annotations

import os
import sys
import traceback
from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Annotated, Final

import typer

from spanwise.errors import SpanwiseError
from spanwise_cli.options import presentation

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS: Final = (
    "systems", "provider", "runs", "show", "ledger", "alerts", "dashboards", "doctor", "stack",
)  # fmt: skip
_INTERRUPTED: Final = 130
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


def _report(message: str) -> None:
    sys.stdout.flush()
    sys.stderr.write(f"spanwise: {message}\n")
    if presentation.verbose:
        traceback.print_exc()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program with `arguments` (default: the process's) and return its exit code."""
    words = _hoist(list(sys.argv[1:] if arguments is None else arguments))
    try:
        build_app()(words, prog_name="spanwise")
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else (0 if stop.code is None else 2)
    except SpanwiseError as error:
        _report(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        _report("interrupted; what was recorded is kept")
        return _INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last line of defence: one line for people, the traceback with -v
        hint = "" if presentation.verbose else "; run again with -v and report it"
        _report(f"unexpected {type(error).__name__}: {error}{hint}")
        return _UNEXPECTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
