"""The before/after table of runs: medians over seeds, beside what was published and the bound."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spanwise_cli.finished import Finished


def comparison_table(finished: Sequence[Finished]) -> Table:
    """Return one row a preset; figures are medians over its runs that ended well."""
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    columns = ("preset", "seconds", "published", "of target", "bound", "tokens", "tok/s", "cache", "grade")
    for heading in columns:
        table.add_column(heading, justify="left" if heading == "preset" else "right", no_wrap=True)
    for variant in dict.fromkeys(run.plan.variant for run in finished):
        runs = [run for run in finished if run.plan.variant == variant]
        table.add_row(_short(variant), *_cells([run for run in runs if run.report.error is None]))
    return table


def _short(variant: str) -> str:
    preset, changed, _ = variant.partition(",")
    return f"{preset}*" if changed else preset


def _cells(runs: Sequence[Finished]) -> list[str]:
    there = [run for run in runs if run.run is not None]
    recorded = [run.run for run in there if run.run is not None]
    if not recorded:
        return ["failed", *["-"] * 7]
    seconds = median(run.seconds for run in recorded)
    published = runs[0].published
    target = runs[0].plan.system.targets.duration_s
    bounds = [run.bound_s for run in runs if run.bound_s is not None]
    rates = [run.tokens_per_s or 0.0 for run in there]
    lookups = sum(run.totals.cache_lookups for run in recorded)
    hits = sum(run.totals.cache_hits for run in recorded)
    worst = min((run.report.outcome for run in runs if run.report.outcome is not None), key=lambda out: out.score)
    return [
        f"{seconds:.1f}",
        f"{published.duration_s:.1f}" if published is not None and published.duration_s is not None else "-",
        f"{100 * seconds / target:.0f} %" if target is not None else "-",
        f"{median(bounds):.1f}" if bounds else "-",
        f"{median(run.tokens for run in there):,.0f}",
        f"{median(rates):.1f}",
        f"{100 * hits / lookups:.0f} %" if lookups else "-",
        f"{worst.grade} ({worst.score:g})",
    ]


def footnotes(finished: Sequence[Finished], speed: float) -> str:
    """Return what the table leaves unsaid: seeds, speed, answers, the client's own CPU time, flags that were set."""
    seeds = sorted({run.plan.seed for run in finished})
    shares = [run.report.client_cpu_share for run in finished]
    answers = {run.report.answer_sha256 for run in finished if run.report.answer_sha256 is not None}
    agreement = {0: "no run ended well", 1: "all runs gave the same answer"}
    said = agreement.get(len(answers), f"the runs gave {len(answers)} different answers")
    span = f"seed {seeds[0]}" if len(seeds) == 1 else f"medians over seeds {seeds[0]} to {seeds[-1]}"
    faults = [fault for run in finished if run.report.outcome is not None for fault in run.report.outcome.faults]
    cpu = f"client CPU {100 * median(shares):.0f} % of one core"
    lines = [f"{span}, cold start, speed {speed:g}; {said}; {cpu}."]
    changes = {run.plan.variant.partition(",")[2].replace(",", ", ") for run in finished}
    if any(run.plan.system.completion_tokens for run in finished):
        lines.append("Tokens are those of completions, as its authors count them.")
    lines += [f"* with {change}" for change in sorted(changes) if change]
    lines += [f"graded down: {fault}" for fault in dict.fromkeys(faults)]
    return "\n".join(lines)
