"""`spanwise profile`: where the wall clock of runs went, and what to change first.

What makes a form is loaded where that form is asked for: people wait for the program each time.
"""

from __future__ import annotations

import json as json_text
import shlex
import sys
from dataclasses import dataclass
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
from spanwise_profiling.load import open_run
from spanwise_profiling.render.glyphs import glyphs_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from rich.console import Console, RenderableType

    from spanwise_profiling.populations import Population
    from spanwise_profiling.profile import Profile

_MOST_IN_HTML: Final = 2
_FEWEST_TOGETHER: Final = 3
_MOST_EACH: Final = 4


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(name="profile")(profile)


def profile(
    *,
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RUN",
            help="Runs as `spanwise show` takes them, a file in any format that is read, a Jaeger address with a "
            "trace's id, langsmith:ID or the address of a run in LangSmith, or - for standard input.",
            show_default="last",
        ),
    ] = None,
    sources: Annotated[
        list[str] | None,
        typer.Option("--from", metavar="DIR|URL", help="Also take what of the same run is there; repeatable."),
    ] = None,
    plain: Annotated[
        bool, typer.Option("--plain", help="Sentences and lists without drawing, as for a screen reader.")
    ] = False,
    show_all: Annotated[
        bool, typer.Option("--all", help="All that is known: every span, agent, role, model and finding.")
    ] = False,
    by_role: Annotated[
        bool, typer.Option("--by-role", help="What each role of steps took: model, data, waiting, file writes.")
    ] = False,
    markdown: MarkdownOption = False,
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Write a page that needs nothing else; of two runs, compared."),
    ] = None,
    speedscope: Annotated[
        Path | None, typer.Option("--speedscope", metavar="FILE", help="Write a file for speedscope.")
    ] = None,
    perfetto: Annotated[
        Path | None, typer.Option("--perfetto", metavar="FILE", help="Write a trace for Perfetto.")
    ] = None,
    prices: PricesOption = None,
    json: JsonOption = False,
    journal: JournalOption = DEFAULT_JOURNAL,
) -> None:
    """Show what runs waited for, where their seconds went, and what to change first.

    Example: spanwise profile last:trading/baseline
    """
    check_one_output(plain=plain, by_role=by_role, markdown=markdown, json=json)
    references = runs or ["last"]
    if html is not None and len(references) > _MOST_IN_HTML:
        raise InputError(f"--html: shows one run or compares two, not {len(references)}; write a file for each pair")
    profiles, warnings = _profiles(references, journal, sources or (), prices)
    files = {"--html": html, "--speedscope": speedscope, "--perfetto": perfetto}
    for option, path in files.items():
        if path is not None:
            _write(profiles, option, path)
    if json:
        from spanwise_profiling.render.profile_document import profile_document  # noqa: PLC0415 - as all below

        emit_json(profile_document(profiles, warnings, _told(profiles).together))
        return
    warn(dict.fromkeys((*warnings, *(warning for one in profiles for warning in one.warnings))))
    if by_role:
        _print_by_role(profiles)
    elif markdown:
        sys.stdout.write(_markdown(_told(profiles)))
    elif plain or not any(files.values()):
        _print_reports(_told(profiles, _named(runs)), plain=plain, show_all=show_all)


@dataclass(frozen=True, slots=True)
class _Told:
    """What is told of the runs that were asked for."""

    profiles: Sequence[Profile]
    together: Population | None
    """What several runs of one workflow come to; None for few, and for runs that have nothing in common."""
    named: Sequence[str] = ()
    """How each run was named on the command line; empty for the last run."""

    @property
    def each(self) -> Sequence[Profile]:
        """The runs that get a report of their own: nobody would read one of each of many."""
        return () if self.together is not None and len(self.profiles) > _MOST_EACH else self.profiles


def _named(runs: Sequence[str] | None) -> list[str]:
    return [shlex.quote(reference) for reference in runs] if runs else [""]


def _told(profiles: Sequence[Profile], named: Sequence[str] = ()) -> _Told:
    if len(profiles) < _FEWEST_TOGETHER or len({one.run.workflow for one in profiles}) > 1:
        return _Told(profiles, None, named)
    from spanwise_profiling.populations import population_of  # noqa: PLC0415 - other commands do not wait for it

    return _Told(profiles, population_of(profiles), named)


def _print_reports(told: _Told, *, plain: bool, show_all: bool) -> None:
    """Print the reports with an empty line between two."""
    out = console()
    for number, report in enumerate((_plain if plain else _drawn)(told, out, show_all=show_all)):
        if number:
            out.print()
        for part in report:
            out.print(part, soft_wrap=True)


def _print_by_role(profiles: Sequence[Profile]) -> None:
    from spanwise_profiling.render.by_role import by_role  # noqa: PLC0415

    out = console()
    for number, one in enumerate(profiles):
        if number:
            out.print()
        for part in by_role(one, glyphs=glyphs_for(out.encoding)):
            out.print(part, soft_wrap=True)


def _plain(told: _Told, out: Console, *, show_all: bool) -> Iterator[Iterable[RenderableType]]:
    from spanwise_profiling.render.plain import plain_report  # noqa: PLC0415

    glyphs = glyphs_for(out.encoding)
    for one in told.each:
        yield [Text(plain_report(one, glyphs=glyphs, show_all=show_all).rstrip())]
    if told.together is not None:
        from spanwise_profiling.render.population import plain_population  # noqa: PLC0415

        yield [Text(plain_population(told.together, told.profiles, glyphs=glyphs).rstrip())]


def _drawn(told: _Told, out: Console, *, show_all: bool) -> Iterator[Iterable[RenderableType]]:
    from spanwise_profiling.render.report import profile_report  # noqa: PLC0415

    glyphs = glyphs_for(out.encoding)
    for one, reference in zip(told.each, told.named, strict=False):
        yield profile_report(one, out.width, glyphs=glyphs, show_all=show_all, reference=reference)
    if told.together is not None:
        from spanwise_profiling.render.population import population_report  # noqa: PLC0415

        yield population_report(told.together, told.profiles, out.width, glyphs=glyphs)


def _markdown(told: _Told) -> str:
    from spanwise_profiling.render.markdown import markdown_report  # noqa: PLC0415

    report = markdown_report(told.each)
    if told.together is None:
        return report
    from spanwise_profiling.render.population import markdown_population  # noqa: PLC0415

    return report + markdown_population(told.together, told.profiles)


def _profiles(
    references: Sequence[str], journal: Path, sources: Sequence[str], table: Path | None
) -> tuple[list[Profile], list[str]]:
    """Return the profiles of the runs that are meant, and what could not be read of their sources, once each."""
    from spanwise_profiling import prices as prices_of  # noqa: PLC0415 - likewise
    from spanwise_profiling.profiled import profiled  # noqa: PLC0415 - other commands do not wait for it

    known = prices_of.load(table)
    with progress() as tell:
        opened = [open_run(reference, journal, sources, tell) for reference in references]
    warnings = dict.fromkeys(warning for _, recording in opened for warning in recording.warnings)
    return profiled([run for run, _ in opened], known), list(warnings)


def _write(profiles: Sequence[Profile], option: str, path: Path) -> None:
    """Write the file that `option` asks for, and say what to do with it."""
    content, what_next = _FILES[option]
    try:
        path.write_bytes(content(profiles))
    except OSError as error:
        raise InputError(f"{option} {path}: cannot be written ({error.strerror}); give another file") from None
    console(stderr=True).print(f"{path}: written; {what_next}", markup=False, soft_wrap=True)


def _html(profiles: Sequence[Profile]) -> bytes:
    from spanwise_profiling.render.html import report  # noqa: PLC0415 - other commands do not wait for it

    return report(profiles).encode()


def _speedscope(profiles: Sequence[Profile]) -> bytes:
    from spanwise_profiling.render.speedscope import speedscope_document  # noqa: PLC0415

    return json_text.dumps(speedscope_document(profiles), ensure_ascii=False, allow_nan=False).encode()


def _perfetto(profiles: Sequence[Profile]) -> bytes:
    from spanwise_profiling.render.perfetto import perfetto_trace  # noqa: PLC0415

    return perfetto_trace(profiles)


_FILES: Final[Mapping[str, tuple[Callable[[Sequence[Profile]], bytes], str]]] = {
    "--html": (_html, "open it in a browser"),
    "--speedscope": (_speedscope, "open it at https://www.speedscope.app, which keeps it on your machine"),
    "--perfetto": (_perfetto, "open it at https://ui.perfetto.dev, which keeps it on your machine"),
}
"""Option to what makes the file's content, and what to do with the file."""
