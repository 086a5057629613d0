"""`spanwise systems ablate`: each flag of a system alone, and all flags but each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from spanwise.errors import InputError
from spanwise_cli.commands.runs import warn
from spanwise_cli.options import DEFAULT_JOURNAL, JournalOption, JsonOption, console, emit_json
from spanwise_cli.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable

    from spanwise_pipeline.system import System

_SEEDS: Final = 5


def command(named: Callable[[str], System]) -> Callable[..., None]:
    """Return the command; `named` gives a system by its name."""

    def ablate(
        *,
        system: Annotated[str, typer.Argument(metavar="SYSTEM", help="One of `spanwise systems`.")],
        flag: Annotated[
            list[str] | None, typer.Option(metavar="NAME", help="Only this flag; repeatable.", show_default="all")
        ] = None,
        changes: Annotated[
            list[str] | None,
            typer.Option("--set", metavar="FLAG=VALUE", help="Set a flag for all runs; repeatable."),
        ] = None,
        seeds: Annotated[int, typer.Option(min=1, metavar="N", help="Run everything with N seeds.")] = _SEEDS,
        speed: Annotated[float, typer.Option(metavar="N", help="Run N times faster; reports are scaled back.")] = 20.0,
        seed: Annotated[int, typer.Option(metavar="N", help="The first seed.")] = 1,
        json: JsonOption = False,
        journal: JournalOption = DEFAULT_JOURNAL,
    ) -> None:
        """Measure what each flag of a system saves, alone and as the last one, beside what was claimed.

        Example: spanwise systems ablate matching --seeds 5
        """
        if not 0 < speed < float("inf"):
            raise InputError(f"--speed {speed:g}: must be a number above 0; 1 is real time, 20 is twenty times faster")
        chosen = named(system)
        from spanwise_cli import ablated, finished  # noqa: PLC0415 - load the pipeline, an extra
        from spanwise_pipeline import ablation as ablations  # noqa: PLC0415 - likewise
        from spanwise_pipeline import experiment as experiments  # noqa: PLC0415 - likewise

        given = experiments.parse_overrides(chosen, changes or ())
        first, *_, last = chosen.presets
        ablation = ablations.Ablation(
            experiments.Experiment(chosen, (first, last), given, runs=seeds, speed=speed, seed=seed),
            ablations.switches_of(chosen, flag or (), tuple(given)),
        )
        with (
            experiments.recording(chosen.name, journal=journal, speed=speed) as telemetry,
            Progress(console(stderr=True), total=seeds * len(ablation.arms)) as progress,
        ):
            runs = list(ablations.run_ablation(ablation, telemetry=telemetry, watcher=progress))
        warn(finished.undelivered(telemetry))
        recorded = finished.read_back([executed for _, _, executed in runs], telemetry)
        results = ablated.Results(
            ablation, ((preset, switch, run) for (preset, switch, _), run in zip(runs, recorded, strict=True))
        )
        if json:
            emit_json(ablated.document(ablation, results))
        else:
            console().print(ablated.table(results.flags()))
            console().print(ablated.notes(ablation, results), soft_wrap=True)
        failed = experiments.first_error(executed for _, _, executed in runs)
        if failed is not None:
            raise failed

    return ablate
