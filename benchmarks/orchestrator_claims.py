"""What each flag of `orchestrator` saves alone, beside what was published, over seeds and over profiles swept by half.

    python benchmarks/orchestrator_claims.py [--seeds 5] [--sweep]

Runs on the virtual clock, so the figures are exact and take no machine's time into account: a percentage is of the
baseline's seconds from request to answer, paired by seed, and the median over the seeds. No limit holds anything up.
With `--sweep`, each latency of the profile in turn is halved and raised by half, and the least and the greatest saving
stand in a column of their own (a quarter of an hour).
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING, Any

from spanwise.config import strict_yaml
from spanwise_pipeline.bound import bound_of
from spanwise_pipeline.provider.profile import Model, Profile
from spanwise_pipeline.systems.orchestrator import SYSTEM

if TYPE_CHECKING:
    from collections.abc import Iterator

PUBLISHED = {
    "kept_connections": "20 to 40",
    "tool_catalogue_cache": "10 to 15",
    "embedding_batch": "30 to 50",
    "async_planner": "15 to 25",
    "max_parallel_steps": "40 to 60",
    "background_verification": "10 to 20",
    "prompt_template_cache": "",
    "background_memory": "",
}
TOGETHER = {"max_parallel_steps": ("max_parallel_llm_calls",)}
"""Flags that were published as one."""
FACTORS = (0.5, 1.5)


def cases() -> dict[str, Any]:
    """Return flags by the row that they stand in: each published flag alone, then whole presets."""
    old, done = SYSTEM.presets["baseline"], SYSTEM.presets["published"]
    alone = {
        name: replace(old, **{flag: getattr(done, flag) for flag in (name, *TOGETHER.get(name, ()))})
        for name in PUBLISHED
    }
    return alone | {"all of them: `published`": done, "and ours: `optimized`": SYSTEM.presets["optimized"]}


def savings(profile: Profile, seeds: range) -> dict[str, float]:
    """Return the share of the baseline's seconds that each row saves, in percent."""
    old = {seed: seconds(SYSTEM.presets["baseline"], profile, seed) for seed in seeds}
    return {
        name: median(100 * (1 - seconds(flags, profile, seed) / old[seed]) for seed in seeds)
        for name, flags in cases().items()
    }


def seconds(flags: Any, profile: Profile, seed: int) -> float:
    """Return the seconds to the answer."""
    return bound_of(SYSTEM, flags, profile, seed).answer_s


def swept(profile: Profile) -> Iterator[Profile]:
    """Yield the profile with one latency changed."""
    for factor in FACTORS:
        yield replace(profile, connection_setup_s=profile.connection_setup_s * factor)
        for name, model in profile.models.items():
            for change in _changes(model, factor):
                yield replace(profile, models={**profile.models, name: change})


def _changes(model: Model, factor: float) -> Iterator[Model]:
    yield replace(model, time_to_first_token_s=model.time_to_first_token_s * factor)
    yield replace(model, time_per_token_s=model.time_per_token_s * factor)


def table(seeds: range, *, sweep: bool) -> str:
    """Return the table as Markdown."""
    profile = strict_yaml.load(SYSTEM.profile, Profile)
    ranges = [savings(changed, range(1, 2)) for changed in swept(profile)] if sweep else []
    heads = ["flag alone", "published", "saves", *(["swept by half"] if sweep else [])]
    lines = [_row(heads), _row(["---", *["---:"] * (len(heads) - 1)])]
    for name, share in savings(profile, seeds).items():
        shown = name if " " in name else f"`{name}`"
        published = PUBLISHED.get(name, "over 70" if "published" in name else "")
        cells = [shown, f"{published} %" if published else "", f"{share:.1f} %"]
        lines.append(_row([*cells, *([_range(name, ranges)] if sweep else [])]))
    return "\n".join(lines)


def _range(name: str, ranges: list[dict[str, float]]) -> str:
    values = [found[name] for found in ranges]
    return f"{min(values):.1f} to {max(values):.1f} %"


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5, help="seeds 1 to N")
    parser.add_argument("--sweep", action="store_true", help="also with each latency changed by half")
    given = parser.parse_args()
    print(table(range(1, given.seeds + 1), sweep=given.sweep))


if __name__ == "__main__":
    main()
