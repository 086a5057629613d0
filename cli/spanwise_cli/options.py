"""What all commands share: options, the console and the one way to print a JSON document."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from spanwise.errors import InputError
from spanwise_profiling.text import safe_json

JOURNAL_DIR_VARIABLE: Final = "SPANWISE_JOURNAL_DIR"

JournalOption = Annotated[
    Path,
    typer.Option(
        "--journal",
        metavar="DIR",
        envvar=JOURNAL_DIR_VARIABLE,
        help="Folder of recorded runs.",
        show_default=".spanwise here",
    ),
]
"""Give it the default `DEFAULT_JOURNAL`."""

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
"""Give it the default `False`."""

MarkdownOption = Annotated[bool, typer.Option("--markdown", help="Print a comment for a pull request.")]
"""Give it the default `False`."""

PricesOption = Annotated[
    Path | None,
    typer.Option("--prices", metavar="FILE", help="What tokens cost, in place of the table that comes with it."),
]
"""Give it the default `None`."""

DEFAULT_JOURNAL: Final = Path(".spanwise")


@dataclass(slots=True)
class Presentation:
    """How this invocation speaks; set once by `main` before any command runs."""

    color: bool = True
    verbose: bool = False


presentation: Final = Presentation()


class _Console(Console):
    """A console that lets `main` deal with a reader who went away; rich's own ends the program with code 1."""

    def on_broken_pipe(self) -> None:
        raise  # noqa: PLE0704 - called while the BrokenPipeError is being handled


def console(*, stderr: bool = False) -> Console:
    """Return a console on standard output (or error) that colours only a terminal and only when it may."""
    no_color = not presentation.color or bool(os.environ.get("NO_COLOR"))
    return _Console(stderr=stderr, no_color=no_color, highlight=False, soft_wrap=False, emoji=False)


def check_one_output(**options: bool) -> None:
    """Raise `InputError` where several of the options are given that each decide all that is printed."""
    if sum(options.values()) > 1:
        names = [f"--{name.replace('_', '-')}" for name in options]
        raise InputError(f"{', '.join(names[:-1])} and {names[-1]}: each is all that is printed; give one of them")


def emit_json(document: dict[str, Any]) -> None:
    """Print `document` as the only thing on standard output."""
    sys.stdout.write(safe_json(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)) + "\n")
    sys.stdout.flush()
