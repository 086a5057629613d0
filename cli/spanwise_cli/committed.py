"""What `build` and `check` of rules and of dashboards have in common: one file that is made and committed.

Which text belongs in the file is the caller's business; here it is written or compared, and said so.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from spanwise.errors import CheckFailedError, InputError
from spanwise_alerts import generated_file
from spanwise_cli.options import console, emit_json

BudgetsOption = Annotated[
    Path | None, typer.Option("--budgets", metavar="FILE", help="The budget file.", show_default="the shipped one")
]
OutputOption = Annotated[
    Path | None, typer.Option("--output", metavar="FILE", help="The file that is made.", show_default="the shipped one")
]


@dataclass(frozen=True, kw_only=True)
class Committed:
    """A file made from budgets, and what to say about it."""

    command: str
    """The group of commands it belongs to, such as `alerts`; also the name of the JSON document."""
    budgets: Path
    output: Path
    text: str
    contents: dict[str, int]
    """What is in the file: a noun, and how many there are."""
    notes: tuple[str, ...] = field(default=())
    """Hints about the budgets, a line each."""

    def document(self, action: str, **more: Any) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "schema": f"spanwise.{self.command}/1",
            "action": action,
            "budgets": str(self.budgets),
            "output": str(self.output),
            "contents": self.contents,
            "notes": list(self.notes),
            **more,
        }


def output_path(budgets: Path | None, output: Path | None, shipped: Path) -> Path:
    """Return the file to make: `output`, or `shipped` for the shipped budgets.

    Raises:
        InputError: Budgets of somebody's own would overwrite the shipped file.
    """
    if output is None and budgets is not None:
        raise InputError(f"--budgets {budgets}: say with --output which file is made from it, such as {shipped.name}")
    return output or shipped


def build(made: Committed, *, as_json: bool) -> None:
    """Write the file and say what is in it; raises `UnavailableError` where it cannot be written."""
    changed = generated_file.write(made.output, made.text)
    if as_json:
        emit_json(made.document("build", changed=changed))
        return
    counts = ", ".join(f"{count} {noun}" for noun, count in made.contents.items())
    state = "written" if changed else "already up to date"
    _say(f"[bold]{_shown(made.output)}[/] {state}: {counts}, from {_shown(made.budgets)}")
    _print_notes(made)


def check(made: Committed, *, as_json: bool) -> None:
    """Compare the file with what the budgets make; raises `CheckFailedError` after printing the difference."""
    difference = generated_file.difference(made.output, made.text)
    if as_json:
        emit_json(made.document("check", up_to_date=not difference, difference=difference))
    elif difference:
        console().print(difference, markup=False, soft_wrap=True)
    else:
        _say(f"[bold]{_shown(made.output)}[/] is what {_shown(made.budgets)} makes")
        _print_notes(made)
    if difference:
        raise CheckFailedError(
            f"{made.output}: differs from what {made.budgets} makes; run `spanwise {made.command} build` and commit it"
        )


def _print_notes(made: Committed) -> None:
    for note in made.notes:
        _say(f"[yellow]note[/] {escape(note)}")


def _say(line: str) -> None:
    console().print(line, soft_wrap=True)


def _shown(path: Path) -> str:
    here = Path.cwd()
    return escape(str(path.relative_to(here) if path.is_relative_to(here) else path))
