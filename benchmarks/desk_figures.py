"""The table of a system's runs over seeds and speeds, as Markdown, from what `systems run --json` printed.

    spanwise systems run trading --runs 5 --speed 20 --json > fast.json
    spanwise systems run trading --speed 1 --json > real.json
    python benchmarks/desk_figures.py fast.json real.json

The first file is the one that is summed up (medians over its seeds); a second one, at speed 1, stands beside it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from statistics import median
from typing import Any

Runs = list[dict[str, Any]]
_HEAD = (
    "preset", "published", "median (min to max)", "bound", "to its bound", "tokens", "published tokens", "tokens/s",
    "cache", "client CPU", "speed 1", "to speed 20", "grade",
)  # fmt: skip
_BESIDE = {"speed 1", "to speed 20"}


def table(fast: dict[str, Any], real: dict[str, Any] | None) -> str:
    """Return the Markdown table of the runs of `fast`, with those of `real` at speed 1 beside them."""
    head = [name for name in _HEAD if real or name not in _BESIDE]
    lines = [f"| {' | '.join(head)} |", f"| --- |{' ---: |' * (len(head) - 1)}"]
    published = _published(fast["system"])
    for preset in dict.fromkeys(run["preset"] for run in fast["runs"]):
        runs = [run for run in fast["runs"] if run["preset"] == preset]
        slow = [run for run in (real["runs"] if real else []) if run["preset"] == preset]
        lines.append(f"| {' | '.join(_row(preset, runs, slow, published.get(_variant(fast, preset))))} |")
    return "\n".join([*lines, "", _notes(fast, real)])


def _published(system: str) -> dict[str, Any]:
    from spanwise_pipeline.systems import system_named  # noqa: PLC0415 - needs the extra

    return dict(system_named(system).published)


def _variant(fast: dict[str, Any], preset: str) -> str:
    """Return a preset with what its runs set differently, as published figures are named."""
    from spanwise_pipeline.systems import system_named  # noqa: PLC0415 - needs the extra

    flags = system_named(fast["system"]).presets[preset]
    run = next(run for run in fast["runs"] if run["preset"] == preset)
    changed = [f"{name}={value}" for name, value in sorted(run["flags"].items()) if value != getattr(flags, name)]
    return ",".join([preset, *changed])


def _row(preset: str, runs: Runs, slow: Runs, published: Any) -> list[str]:
    seconds = [run["duration_s"] for run in runs]
    hits, lookups = (sum(run["cache"][key] for run in runs) for key in ("hits", "lookups"))
    ratio = median(run["duration_s"] / run["bound_s"] for run in runs)
    real = slow[0]["duration_s"] if slow else None
    beside = next((run["duration_s"] for run in runs if slow and run["seed"] == slow[0]["seed"]), None)
    grades = {f"{run['quality']['grade']} ({run['quality']['score']:g})" for run in runs + slow}
    return [
        f"`{preset}`",
        f"{published.duration_s:.2f} s" if published else "",
        f"{median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f})",
        f"{median(run['bound_s'] for run in runs):.2f} s",
        f"{ratio:.3f} x",
        f"{median(run['tokens']['total'] for run in runs):,.0f}",
        f"{published.tokens:,}" if published and published.tokens is not None else "",
        f"{median(run['tokens_per_s'] for run in runs):.1f}",
        f"{100 * hits / lookups:.0f} %" if lookups else "no cache",
        f"{100 * median(run['client_cpu_share'] for run in runs):.0f} %",
        *([f"{real:.2f} s", f"{100 * (beside / real - 1):+.2f} %"] if real is not None and beside is not None else []),
        ", ".join(sorted(grades)),
    ]


def _notes(fast: dict[str, Any], real: dict[str, Any] | None) -> str:
    runs = fast["runs"] + (real["runs"] if real else [])
    seeds = sorted({run["seed"] for run in fast["runs"]})
    answers = sorted({run["answer_sha256"] for run in runs})
    shares = [run["client_cpu_share"] for run in real["runs"]] if real else []
    slow = f" At speed 1 (seed {real['seed']}) client CPU was {100 * max(shares):.1f} % at most." if real else ""
    return (
        f"Seeds {seeds[0]} to {seeds[-1]}, speed {fast['speed']:g}, cold start; all {len(runs)} runs gave "
        f"{len(answers)} answer{'s' if len(answers) > 1 else ''} (sha256 {answers[0][:12]}).{slow}"
    )


def main() -> None:
    """Print the table of the files named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fast", type=Path, help="document of `systems run --runs N --speed N --json`")
    parser.add_argument("real", type=Path, nargs="?", help="document of `systems run --speed 1 --json`")
    given = parser.parse_args()
    real = json.loads(given.real.read_text(encoding="utf-8")) if given.real else None
    print(table(json.loads(given.fast.read_text(encoding="utf-8")), real))


if __name__ == "__main__":
    main()
