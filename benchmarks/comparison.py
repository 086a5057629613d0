"""How often `spanwise compare` tells equal populations apart, and how often it finds a real change.

Draws seeded populations from five families of durations, 2,000 pairs of populations each, and judges each pair by
`comparison.judge` and by the rules that people use today: the mean moved by more than 5 %, and the mean doubled (the
default threshold of github-action-benchmark, 200 %). A false alarm is `faster` or `slower` where both populations are
equal. With `--runs` it also splits the recorded runs of a set at random, which are equal by design.

    python benchmarks/comparison.py
    python benchmarks/comparison.py --runs preset=baseline --journal .spanwise
"""

from __future__ import annotations

import argparse
import zlib
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean, median
from typing import TYPE_CHECKING, Final

import numpy as np

from spanwise_profiling.comparison import judge

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Draw = Callable[[np.random.Generator, int], np.ndarray]
    Sides = tuple[list[float], list[float]]

PAIRS: Final = 2_000
"""Pairs of equal populations."""
PAIRS_THAT_DIFFER: Final = 500
SIZES: Final = (6, 10, 20)
CHANGES: Final = (1.05, 1.1, 1.2, 1.5, 2.0)


def lognormal(draw: np.random.Generator, runs: int) -> np.ndarray:
    """Return durations whose logarithms vary by a quarter."""
    durations: np.ndarray = draw.lognormal(4, 0.25, runs)
    return durations


def contaminated(draw: np.random.Generator, runs: int) -> np.ndarray:
    """Return the same, of which 8 % take two to six times as long, as runs with a retry storm do."""
    durations: np.ndarray = lognormal(draw, runs) * np.where(draw.random(runs) < 0.08, draw.uniform(2, 6, runs), 1.0)
    return durations


def loops(draw: np.random.Generator, runs: int) -> np.ndarray:
    """Return durations of a critic's loop that goes round once, twice or three times."""
    durations: np.ndarray = lognormal(draw, runs) * draw.choice([1.0, 1.4, 1.8], runs, p=[0.5, 0.3, 0.2])
    return durations


def heavy(draw: np.random.Generator, runs: int) -> np.ndarray:
    """Return durations with a tail of Pareto's, of exponent 2.2."""
    return 40 * (1 + draw.pareto(2.2, runs))


FAMILIES: Final[Mapping[str, Draw]] = {
    "lognormal": lognormal, "contaminated": contaminated, "loops": loops, "heavy tail": heavy,
}  # fmt: skip


def unpaired(family: Draw) -> Callable[[np.random.Generator, int], Sides]:
    """Return what draws two independent populations of a family."""

    def sides(draw: np.random.Generator, runs: int) -> Sides:
        return family(draw, runs).tolist(), family(draw, runs).tolist()

    return sides


def by_task(draw: np.random.Generator, runs: int) -> Sides:
    """Return pairs whose tasks differ by a half, and whose runs by a fifth."""
    tasks = draw.lognormal(4, 0.5, runs)
    one, other = (tasks * draw.lognormal(0, 0.2, runs) for _ in range(2))
    return one.tolist(), other.tolist()


RULES: Final[Mapping[str, Callable[[Sequence[float], Sequence[float], bool], bool]]] = {
    "compare": lambda a, b, paired: judge(a, b, paired=paired)[0] in {"less", "more"},
    "mean > 5 %": lambda a, b, _: abs(mean(b) / mean(a) - 1) > 0.05,
    "mean > 200 %": lambda a, b, _: mean(b) > 2 * mean(a),
}


def alarms(
    sides: Callable[[np.random.Generator, int], Sides], runs: int, factor: float, *, paired: bool, seed: int
) -> dict[str, float]:
    """Return the share of pairs of populations that each rule tells apart, where the second takes `factor` as long."""
    draw = np.random.default_rng(seed)
    found, pairs = dict.fromkeys(RULES, 0), PAIRS if factor == 1 else PAIRS_THAT_DIFFER
    for _ in range(pairs):
        a, b = sides(draw, runs)
        slower = [value * factor for value in b]
        for name, rule in RULES.items():
            found[name] += rule(a, slower, paired)
    return {name: count / pairs for name, count in found.items()}


def table(
    title: str, sides: Callable[[np.random.Generator, int], Sides], sizes: Sequence[int], *, paired: bool = False
) -> list[float]:
    """Print one family, and return the share of false alarms of `compare` for each number of runs."""
    alarms_of: list[float] = []
    print(f"\n{title}")
    print(f"{'runs':>5} {'rule':<13} {'equal':>7} " + " ".join(f"{f'+{100 * (one - 1):.0f} %':>7}" for one in CHANGES))
    for runs in sizes:
        shares = [
            alarms(sides, runs, one, paired=paired, seed=zlib.crc32(f"{title} {runs} {one}".encode()))
            for one in (1.0, *CHANGES)
        ]
        alarms_of.append(shares[0]["compare"])
        for rule in RULES:
            print(f"{runs:>5} {rule:<13} " + " ".join(f"{share[rule]:>7.1%}" for share in shares))
    return alarms_of


def split(seconds: Sequence[float]) -> None:
    """Print how often random halves of the same runs are told apart."""
    draw = np.random.default_rng(1)
    found = dict.fromkeys(RULES, 0)
    for _ in range(PAIRS):
        shuffled = draw.permutation(seconds).tolist()
        half = len(shuffled) // 2
        for name, rule in RULES.items():
            found[name] += rule(shuffled[:half], shuffled[half : 2 * half], False)  # noqa: FBT003 - as `RULES`
    print(f"\n{len(seconds)} recorded runs, median {median(seconds):.1f} s, split at random {PAIRS:,} times")
    for name, count in found.items():
        print(f"  {name:<13} {count / PAIRS:>6.1%}")


def main() -> None:
    """Print all tables; fail where equal populations are told apart more often than in one case of twenty."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--runs", metavar="SET", help="recorded runs to split at random, as `spanwise compare` names them"
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="runs in each population")
    parser.add_argument("--journal", type=Path, default=Path(".spanwise"))
    arguments = parser.parse_args()
    found = [share for name, family in FAMILIES.items() for share in table(name, unpaired(family), arguments.sizes)]
    found += table("pairs by task", by_task, arguments.sizes, paired=True)
    if arguments.runs:
        from spanwise_profiling.run_sets import Library  # noqa: PLC0415 - only where it is asked for

        split([run.seconds for run in Library(arguments.journal, datetime.now(UTC)).runs(arguments.runs)])
    together = sum(found) / len(found)
    print(f"\nfalse alarms of compare: {together:.1%} of {len(found) * PAIRS:,}, at most {max(found):.1%} in a row")
    if together > 0.05:
        raise SystemExit("equal populations are told apart more often than in one case of twenty")


if __name__ == "__main__":
    main()
