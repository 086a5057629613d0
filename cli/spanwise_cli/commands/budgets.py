"""`spanwise budgets`: a commented budget file from recorded runs, and whether one is sound."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from spanwise.errors import InputError, NothingMeasuredError, UnavailableError
from spanwise_alerts import budgets as budget_file
from spanwise_alerts.alerting import alerts
from spanwise_cli.budget_text import budget_text
from spanwise_cli.opening import progress
from spanwise_cli.options import DEFAULT_JOURNAL, JournalOption, JsonOption, console, emit_json

if TYPE_CHECKING:
    from spanwise_profiling.profile import Profile

_app = typer.Typer(no_args_is_help=True, help="The budget file: write one from recorded runs, or check one.")
_DEFAULT: Final = Path("budgets.yaml")
_SCHEMA: Final = "spanwise.budgets/1"


def register(app: typer.Typer) -> None:
    """Add `spanwise budgets` to the command tree."""
    app.add_typer(_app, name="budgets")


@_app.command()
def init(
    *,
    runs: Annotated[
        str | None,
        typer.Argument(
            metavar="RUNS", help="The runs to propose from, as in `spanwise compare`.", show_default="all recorded ones"
        ),
    ] = None,
    output: Annotated[Path, typer.Option(metavar="FILE", help="The file to write.")] = _DEFAULT,
    schema: Annotated[
        bool, typer.Option("--schema", help="Also write a JSON Schema beside it, for completion in an editor.")
    ] = False,
    json: JsonOption = False,
    journal: JournalOption = DEFAULT_JOURNAL,
) -> None:
    """Write a commented budget file: what recorded runs suggest, or an example where there are none.

    Example: spanwise budgets init --output budgets.yaml
    """
    if output.exists():
        raise InputError(f"{output}: is there already; remove it or name another file with --output")
    found = _profiles(runs, journal)
    text = budget_text(found, schema=schema)
    budget_file.read_budgets(text, source=str(output))
    files = {output: text}
    if schema:
        from spanwise_alerts.schema import SCHEMA_NAME, schema_text  # noqa: PLC0415 - parses sources

        files[output.with_name(SCHEMA_NAME)] = schema_text()
    for path, content in files.items():
        _write(path, content)
    sizes = {workflow: len(members) for workflow, members in found.items()}
    if json:
        names = [str(path) for path in files]
        emit_json({"schema": _SCHEMA, "action": "init", "files": names, "workflows": sizes})
        return
    from_what = ", ".join(f"{workflow} ({runs} runs)" for workflow, runs in sizes.items()) or "an example, without runs"
    console().print(
        f"{', '.join(map(str, files))}: written from {from_what}; read it, then run spanwise gate", markup=False,
        soft_wrap=True,
    )  # fmt: skip


@_app.command()
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The budget file.")] = _DEFAULT,
    *,
    json: JsonOption = False,
) -> None:
    """Check a budget file; exit code 2 with place and remedy where it is not sound.

    Example: spanwise budgets check budgets.yaml
    """
    budgets = budget_file.load_budgets(file)
    limits = sum(len(given.run.limits()) for given in budgets.workflows.values() if given.run is not None)
    counts = {"workflows": len(budgets.workflows), "limits of runs": limits, "alerts": len(list(alerts(budgets)))}
    if json:
        emit_json({"schema": _SCHEMA, "action": "check", "file": str(file), "contents": counts})
        return
    shown = ", ".join(f"{count} {noun}" for noun, count in counts.items())
    console().print(f"{file}: sound: {shown}", markup=False, soft_wrap=True)


def _profiles(runs: str | None, journal: Path) -> dict[str, list[Profile]]:
    """Return the profiles of the runs by workflow; none where nothing is recorded and no run was asked for."""
    from spanwise_profiling import prices  # noqa: PLC0415 - loads numpy, as few commands do
    from spanwise_profiling.profiled import measured  # noqa: PLC0415 - likewise
    from spanwise_profiling.run_sets import Library  # noqa: PLC0415 - likewise

    with progress() as tell:
        library = Library(journal, datetime.now(UTC), tell)
        named = library.everything() if runs is None else library.runs(runs)
    if runs is not None and not named:
        raise NothingMeasuredError(f"{runs}: names no run; spanwise runs lists them")
    found: defaultdict[str, list[Profile]] = defaultdict(list)
    for profile in measured(named, prices.load()):
        found[profile.run.workflow].append(profile)
    return dict(found)


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UnavailableError(f"{path}: cannot be written ({error.strerror}); choose another with --output") from None
