"""`spanwise systems`: the reference systems, what was published of them, and running them."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path  # noqa: TC003 - typer asks for the option's type
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.table import Table
from typer.core import TyperGroup

from spanwise.errors import InputError, SpanwiseError, UnavailableError
from spanwise_cli.commands import ablate
from spanwise_cli.commands.runs import warn
from spanwise_cli.options import DEFAULT_JOURNAL, JournalOption, JsonOption, console, emit_json
from spanwise_cli.progress import Progress
from spanwise_cli.report import comparison_table, footnotes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spanwise_cli.finished import Finished
    from spanwise_pipeline.experiment import Experiment
    from spanwise_pipeline.flags import FlagInfo
    from spanwise_pipeline.system import Published, System

_SHOW: Final = "show"


class _SystemsGroup(TyperGroup):
    """`systems NAME` shows a system, `systems run NAME` runs one, `systems ablate NAME` its flags one by one."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and self.get_command(ctx, args[0]) is None:
            return super().resolve_command(ctx, [_SHOW, *args])
        return super().resolve_command(ctx, args)


def register(app: typer.Typer) -> None:
    """Add the command group to `app`."""
    group = typer.Typer(
        cls=_SystemsGroup, invoke_without_command=True, subcommand_metavar="[SYSTEM | run SYSTEM | ablate SYSTEM]"
    )
    group.callback()(systems)
    group.command(name=_SHOW, hidden=True)(show_system)
    group.command(name="run")(run)
    group.command(name="ablate")(ablate.command(_named))
    app.add_typer(group, name="systems")


def systems(context: typer.Context, *, json: JsonOption = False) -> None:
    """List the reference systems; with a name, show its presets, flags and published figures.

    Example: spanwise systems trading
    """
    if context.invoked_subcommand is not None:
        return
    found = [_named(name) for name in _names()]
    if json:
        emit_json({"schema": "spanwise.systems/1", "systems": [_document(system) for system in found]})
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("system", "what it is", "presets"):
        table.add_column(heading)
    for system in found:
        table.add_row(system.name, system.title, ", ".join(system.presets))
    out = console()
    out.print(table)
    out.print(f"\nRun one: spanwise systems run {found[0].name} --speed 20")


def show_system(*, system: Annotated[str, typer.Argument(metavar="SYSTEM")], json: JsonOption = False) -> None:
    """Show one system: presets, flags, published figures."""
    chosen = _named(system)
    if json:
        emit_json({"schema": "spanwise.systems/1", "systems": [_document(chosen)]})
        return
    out = console()
    out.print(f"{chosen.name}: {chosen.title}\n")
    flags = Table(box=None, pad_edge=False)
    flags.add_column("flag", no_wrap=True)
    for preset in chosen.presets:
        flags.add_column(preset)
    flags.add_column("what it does")
    for info in _flags_of(chosen):
        marks = [_mark(getattr(values, info.name)) for values in chosen.presets.values()]
        flags.add_row(info.name, *marks, info.text)
    out.print(flags)
    if chosen.aliases:
        out.print("\nAlso: " + ", ".join(f"{alias} for {preset}" for alias, preset in chosen.aliases.items()))
    out.print()
    out.print(_published_table(chosen))


def run(
    *,
    system: Annotated[str, typer.Argument(metavar="SYSTEM", help="One of `spanwise systems`.")],
    preset: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Run this preset; repeatable.", show_default="all")
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FLAG=VALUE", help="Set a flag, as in pool_size=8; repeatable."),
    ] = None,
    runs: Annotated[
        int, typer.Option(min=1, metavar="N", help="Run each preset N times, each time with the next seed.")
    ] = 1,
    speed: Annotated[float, typer.Option(metavar="N", help="Run N times faster; reports are scaled back.")] = 1.0,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the first run.")] = 1,
    base_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Use this OpenAI-compatible endpoint instead (key: OPENAI_API_KEY).",
            show_default="a simulated provider of its own for each run",
        ),
    ] = None,
    redis: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            envvar="SPANWISE_REDIS_URL",
            help="Share the system's caches in this Redis, under a prefix of each run.",
            show_default="in memory",
        ),
    ] = None,
    keep: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Keep what each run writes in a folder below this one.", show_default="removed"
        ),
    ] = None,
    json: JsonOption = False,
    journal: JournalOption = DEFAULT_JOURNAL,
) -> None:
    """Run a reference system and record it.

    Example: spanwise systems run trading --preset baseline --preset optimized --speed 20
    """
    if not 0 < speed < float("inf"):
        raise InputError(f"--speed {speed:g}: must be a number above 0; 1 is real time, 20 is twenty times faster")
    chosen = _named(system)
    from spanwise_cli import finished  # noqa: PLC0415 - loads the pipeline, an extra
    from spanwise_pipeline import experiment as experiments  # noqa: PLC0415 - likewise

    experiment = experiments.Experiment(
        system=chosen,
        presets=experiments.check_presets(chosen, preset or ()),
        overrides=experiments.parse_overrides(chosen, changes or ()),
        runs=runs,
        speed=speed,
        seed=seed,
        base_url=base_url,
        redis=redis,
        keep=keep,
    )
    if redis is not None:
        experiments.check_redis(redis)
    simulated = experiments.check_endpoint(experiment)
    with (
        experiments.recording(chosen.name, journal=journal, speed=speed) as telemetry,
        Progress(console(stderr=True), total=runs * len(experiment.presets)) as progress,
    ):
        executed = list(experiments.execute(experiment, telemetry=telemetry, watcher=progress, simulated=simulated))
    warn(finished.undelivered(telemetry))
    _print_runs(experiment, finished.read_back(executed, telemetry), json=json)
    failed = experiments.first_error(executed)
    if failed is not None:
        raise failed


def _print_runs(experiment: Experiment, finished: Sequence[Finished], *, json: bool) -> None:
    if json:
        emit_json(
            {
                "schema": "spanwise.systems.run/1",
                "system": experiment.system.name,
                "speed": experiment.speed,
                "seed": experiment.seed,
                "base_url": experiment.base_url or "simulated",
                "runs": [run.document() for run in finished],
            }
        )
        return
    out = console()
    out.print(comparison_table(finished))
    out.print(footnotes(finished, experiment.speed), soft_wrap=True)


def _names() -> tuple[str, ...]:
    try:
        from spanwise_pipeline.systems import NAMES  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise _missing(error) from None
    return NAMES


def _named(name: str) -> System:
    try:
        from spanwise_pipeline.systems import system_named  # noqa: PLC0415 - an extra

        return system_named(name)
    except ImportError as error:
        raise _missing(error) from None


def _missing(error: ImportError) -> SpanwiseError:
    return UnavailableError(f"systems: {error.name} is not installed; run: pip install 'spanwise[pipeline]'")


def _document(system: System) -> dict[str, Any]:
    return {
        "name": system.name,
        "title": system.title,
        "presets": {
            name: {field.name: getattr(flags, field.name) for field in fields(flags)}
            for name, flags in system.presets.items()
        },
        "aliases": dict(system.aliases),
        "flags": {info.name: info.text for info in _flags_of(system)},
        "published": {name: _figures(figures) for name, figures in system.published.items()},
        "targets": _figures(system.targets),
    }


def _figures(published: Published) -> dict[str, Any]:
    return {field.name: getattr(published, field.name) for field in fields(published)}


def _flags_of(system: System) -> tuple[FlagInfo, ...]:
    from spanwise_pipeline.flags import flags_of  # noqa: PLC0415 - an extra

    return flags_of(system.flags)


def _mark(value: object) -> str:
    """Return a flag's value as the table of presets shows it."""
    if isinstance(value, bool):
        return "on" if value else "-"
    return str(value)


def _published_table(system: System) -> Table:
    table = Table(box=None, pad_edge=False, title="Published by its authors", title_justify="left")
    for heading in ("", "duration", "tokens", "tokens/s", "grade"):
        table.add_column(heading, justify="left" if not heading else "right")
    for name, figures in (*system.published.items(), ("target", system.targets)):
        table.add_row(
            name,
            f"{figures.duration_s:.2f} s" if figures.duration_s is not None else "-",
            f"{figures.tokens:,}" if figures.tokens is not None else "-",
            f"{figures.tokens_per_s:.1f}" if figures.tokens_per_s is not None else "-",
            figures.grade or "-",
        )
    return table
