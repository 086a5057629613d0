"""`spanwise compare`: what changed between two populations of runs, by how much, how sure that is, and where."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime
from pathlib import Path  # noqa: TC003 - typer reads it
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.text import Text

from spanwise.errors import InputError
from spanwise_cli.commands.runs import warn
from spanwise_cli.opening import progress
from spanwise_cli.options import (
    DEFAULT_JOURNAL,
    JournalOption,
    JsonOption,
    MarkdownOption,
    PricesOption,
    check_one_output,
    console,
    emit_json,
)
from spanwise_profiling.render.glyphs import glyphs_for

if TYPE_CHECKING:
    from spanwise_profiling.comparison.result import Comparison
    from spanwise_profiling.profile import Profile

_WORSE: Final = 1
_UNDECIDED: Final = 3
_MARGIN: Final = re.compile(r"(\d+(?:\.\d*)?)\s*%")


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(name="compare")(compare)


def compare(
    *,
    a: Annotated[
        str,
        typer.Argument(
            metavar="A",
            help="The runs to compare with: runs, files and folders with commas between them, and filters such as "
            "preset=baseline, workflow=desk, since=7d or service.version=1.4.",
        ),
    ],
    b: Annotated[str, typer.Argument(metavar="B", help="The runs to judge, named in the same way.")],
    margin: Annotated[
        str, typer.Option(metavar="SHARE", help="A smaller change of the duration does not count.")
    ] = "3%",
    unpaired: Annotated[
        bool, typer.Option("--unpaired", help="Compare all runs with all, though their seeds or tasks match.")
    ] = False,
    ignore_environment: Annotated[
        bool,
        typer.Option("--ignore-environment", help="Judge though machine, Python, provider, speed or load differ."),
    ] = False,
    plain: Annotated[
        bool, typer.Option("--plain", help="Sentences and lists without tables, as for a screen reader.")
    ] = False,
    markdown: MarkdownOption = False,
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Write a page of the comparison and a typical run of each side."),
    ] = None,
    prices: PricesOption = None,
    json: JsonOption = False,
    journal: JournalOption = DEFAULT_JOURNAL,
) -> None:
    """Compare two sets of runs: faster, slower, same or not enough runs; how sure, and where it comes from.

    Exit codes: 0 faster or same, 1 slower or more failures, 3 inconclusive, 5 a side has no run.

    Example: spanwise compare preset=baseline preset=optimized
    """
    check_one_output(plain=plain, markdown=markdown, json=json)
    from spanwise_profiling import comparison  # noqa: PLC0415 - loads numpy, as few commands do

    sides, warnings = _profiles((a, b), journal, prices)
    found = comparison.compare(
        *sides, margin=share_of(margin), pair=not unpaired, ignore_surroundings=ignore_environment
    )
    if html is not None:
        _write(found, html)
    if json:
        from spanwise_profiling.render import comparison as rendering  # noqa: PLC0415 - likewise

        emit_json(rendering.comparison_document(found, warnings))
    else:
        warn(warnings)
        _print(found, plain=plain, markdown=markdown)
    if code := exit_code(found):
        raise typer.Exit(code)


def _print(found: Comparison, *, plain: bool, markdown: bool) -> None:
    from spanwise_profiling.render import comparison as rendering  # noqa: PLC0415 - loads numpy, as few commands do

    out = console()
    glyphs = glyphs_for(out.encoding)
    if markdown:
        sys.stdout.write(rendering.markdown_comparison(found))
    elif plain:
        out.print(Text(rendering.plain_comparison(found, glyphs=glyphs).rstrip()), soft_wrap=True)
    else:
        for part in rendering.comparison_report(found, out.width, glyphs=glyphs):
            out.print(part, soft_wrap=True)


def share_of(text: str, option: str = "--margin ") -> float:
    """Return the share that `text` means: `3%` or 0.03.

    Args:
        text: what was given.
        option: what it was given to, for the message.

    Raises:
        InputError: it is neither, or not between 0 and 100 %.
    """
    match = _MARGIN.fullmatch(text)
    try:
        share = float(match[1]) / 100 if match else float(text)
    except ValueError:
        share = -1.0
    if not 0 < share < 1:
        raise InputError(f"{option}{text}: give a share between 0 and 1, or a percentage such as 3%")
    return share


def exit_code(comparison: Comparison) -> int:
    """Return 1 where B is worse, 3 where that is not known, else 0."""
    if comparison.verdict == "slower" or comparison.success.change == "more":
        return _WORSE
    return _UNDECIDED if comparison.verdict in {"inconclusive", "environments_differ"} else 0


def _write(found: Comparison, path: Path) -> None:
    """Write a page of the comparison and of a typical run of each side, and say what to do with it."""
    from spanwise_profiling.advice import advised  # noqa: PLC0415 - only for a page
    from spanwise_profiling.render.html import report  # noqa: PLC0415 - likewise

    typical = [advised(one) for one in found.typical]
    try:
        path.write_text(report(typical, found), encoding="utf-8")
    except OSError as error:
        raise InputError(f"--html {path}: cannot be written ({error.strerror}); give another file") from None
    console(stderr=True).print(f"{path}: written; open it in a browser", markup=False, soft_wrap=True)


def _profiles(
    sides: tuple[str, str], journal: Path, table: Path | None
) -> tuple[tuple[list[Profile], list[Profile]], list[str]]:
    """Return the profiles of two sets of runs, and what could not be read of their sources, once each."""
    from spanwise_profiling import prices  # noqa: PLC0415 - other commands do not wait for it
    from spanwise_profiling.profiled import measured  # noqa: PLC0415 - likewise
    from spanwise_profiling.run_sets import Library  # noqa: PLC0415 - likewise

    known = prices.load(table)
    with progress() as tell:
        library = Library(journal, datetime.now(UTC), tell)
        a, b = (library.runs(side) for side in sides)
    return (measured(a, known), measured(b, known)), list(dict.fromkeys(library.warnings))
