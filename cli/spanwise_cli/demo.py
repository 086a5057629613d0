"""`make demo`: the equity research desk before and after its optimisations, from nothing to a table and timelines.

Needs no server. While the stack is up (`make stack-up`) the runs are sent to it too, and their addresses are printed.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from spanwise_cli.commands.runs import warn
from spanwise_cli.finished import read_back, undelivered
from spanwise_cli.guard import guarded
from spanwise_cli.options import DEFAULT_JOURNAL, console
from spanwise_cli.progress import Progress
from spanwise_cli.report import comparison_table, footnotes
from spanwise_cli.stack import running
from spanwise_pipeline import experiment as experiments
from spanwise_profiling.render.compact import compact_timeline, legend
from spanwise_profiling.render.glyphs import glyphs_for
from spanwise_profiling.render.tables import agent_table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import Console

    from spanwise_cli.finished import Finished
    from spanwise_cli.stack import Running

SPEED: Final = 20.0
SYSTEM: Final = "trading"


def run_demo(out: Console, journal: Path) -> int:
    """Run every preset once, print what came of it, and return the exit code."""
    from spanwise_pipeline.systems import system_named  # noqa: PLC0415 - loads the pipeline

    system = system_named(SYSTEM)
    stack = running()
    experiment = experiments.Experiment(system, tuple(system.presets), {}, speed=SPEED)
    out.print(f"{system.title}.")
    out.print(
        f"Three presets, {SPEED:g} times faster than real time; every second below is scaled back.\n", soft_wrap=True
    )
    endpoint = stack.otlp_http if stack is not None else None
    with (
        experiments.recording(SYSTEM, journal=journal, speed=SPEED, endpoint=endpoint) as telemetry,
        Progress(console(stderr=True), total=len(experiment.presets)) as progress,
    ):
        executed = list(experiments.execute(experiment, telemetry=telemetry, watcher=progress))
    warn(undelivered(telemetry))
    finished = read_back(executed, telemetry)
    _print_result(out, finished)
    _print_next(out, finished, stack)
    failed = experiments.first_error(finished)
    if failed is not None:
        raise failed
    return 0


def _print_result(out: Console, finished: Sequence[Finished]) -> None:
    glyphs = glyphs_for(out.encoding)
    out.print(comparison_table(finished))
    out.print(footnotes(finished, SPEED), soft_wrap=True)
    for run in finished:
        if run.run is not None:
            out.print()
            out.print(f"[bold]{run.preset}[/bold]: where {run.run.seconds:.1f} s went")
            out.print(compact_timeline(run.run, out.width, glyphs=glyphs), soft_wrap=True)
    out.print(legend(glyphs), soft_wrap=True)
    slowest = max((run.run for run in finished if run.run is not None), key=lambda run: run.duration_ns)
    out.print(f"\nAgents of [bold]{slowest.variant}[/bold] by their seconds")
    out.print(agent_table(slowest, glyphs=glyphs))


def _print_next(out: Console, finished: Sequence[Finished], stack: Running | None) -> None:
    lines = ["", "Next:"]
    if stack is None:
        lines.append("  make stack-up && make demo     see the same in Jaeger, Prometheus and Alertmanager")
    else:
        for run in finished:
            page = f"{stack.jaeger_ui}/trace/{run.report.trace_id}" if stack.jaeger_ui is not None else None
            api = f"{stack.jaeger_api}/traces/{run.report.trace_id}?raw_traces=true"
            lines.append(f"  {run.preset:<12} {page or api}")
        lines.append(f"  metrics      {stack.prometheus}")
        lines.append("  .venv/bin/spanwise stack alerts        alerts that reached the webhook")
    lines += [
        "  .venv/bin/spanwise profile last:trading/baseline  what it waited for, and what to change first",
        "  .venv/bin/spanwise show last:trading/baseline     one run, span by span",
        "  .venv/bin/spanwise systems trading                what each flag does",
        "  .venv/bin/spanwise systems run trading --preset baseline --set parallel_analysts=true --speed 20",
    ]
    out.print("\n".join(lines), soft_wrap=True, markup=False)


def main() -> int:
    """Run the demo with the command line's errors and exit codes."""
    return guarded(lambda: run_demo(console(), DEFAULT_JOURNAL), name="demo")


if __name__ == "__main__":
    sys.exit(main())
