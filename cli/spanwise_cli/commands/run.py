"""`spanwise run`: a Python program with recording on, unchanged."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from spanwise.errors import InputError, UnavailableError
from spanwise_cli.options import JOURNAL_DIR_VARIABLE

_SETTINGS: Final = {"allow_interspersed_args": False}


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(name="run", context_settings=_SETTINGS)(run)


def run(
    *,
    program: Annotated[str, typer.Argument(metavar="SCRIPT", help="A Python file, or with -m a module.")],
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="ARGS", help="Everything after SCRIPT is the program's own.")
    ] = None,
    is_module: Annotated[bool, typer.Option("-m", help="SCRIPT is a module, as for python -m.")] = False,
    journal: Annotated[
        Path | None,
        typer.Option(
            "--journal",
            metavar="DIR",
            envvar=JOURNAL_DIR_VARIABLE,
            help="Folder to record in.",
            show_default=".spanwise here",
        ),
    ] = None,
) -> None:
    """Run a Python program with recording on, unchanged; its exit status is returned.

    The program is run by this Python, and so are the processes that it starts. Look at what was recorded with
    `spanwise show last`.

    Example: spanwise run app.py --its-own option
    """
    from spanwise.journal.folder import prepare  # noqa: PLC0415 - other commands do not wait for it
    from spanwise.launch import script  # noqa: PLC0415

    if not is_module and program != "-":
        _check(program)
    variables = script.environment(program if is_module else Path(program).name, journal)
    if folder := variables.get(JOURNAL_DIR_VARIABLE):
        prepare(Path(folder))
    words = [sys.executable, *(["-m"] if is_module else []), program, *(arguments or [])]
    sys.stdout.flush()
    os.execve(sys.executable, words, variables)  # noqa: S606 - no shell: these are the words of the command line


def _check(program: str) -> None:
    try:
        with Path(program).open("rb"):
            return
    except IsADirectoryError:
        if (Path(program) / "__main__.py").is_file():
            return
        raise InputError(
            f"{program}: is a folder without __main__.py; name a Python file, or a module with -m"
        ) from None
    except FileNotFoundError:
        raise InputError(f"{program}: there is no such file; name a Python file, or a module with -m") from None
    except OSError as error:
        raise UnavailableError(f"{program}: cannot be read ({error.strerror}); see its permissions") from None
