"""How long the command line takes to answer, beside `python -c pass`: start-up, and `runs` over a large folder.

Seconds are processor time, which is what one waits for: the files are in memory. Rounds are interleaved, and the least
of each is taken, so that what else the machine does counts little. Prints the seconds above an empty interpreter with
the goal of each command; the exit code is 1 where a goal is missed.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT: Final = Path(__file__).parents[1]
RECORDING: Final = ROOT / "tests" / "golden" / "recordings" / "trading-baseline.jsonl.gz"
GOALS: Final[Mapping[str, float]] = {
    "--version": 0.15, "--help": 0.15, "runs": 0.30, "show": 0.30, "profile": 0.45,
}  # fmt: skip
"""Seconds above `python -c pass`, on a quiet machine."""
LARGE_GOAL: Final = 1.0
"""Seconds of `runs` over a folder of 300 MB, all of it."""


def command(*words: str) -> list[str]:
    """Return how the program is started: as the installed script does it."""
    return [sys.executable, "-c", "import sys; from spanwise_cli.entry import main; sys.exit(main())", *words]


def seconds(words: Sequence[str], folder: Path) -> float:
    """Return the processor time that a process of `words` takes, its children's included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, cwd=folder, env={**os.environ, "COLUMNS": "80"})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def fastest(programs: Mapping[str, Sequence[str]], folder: Path, rounds: int) -> dict[str, float]:
    """Return the least seconds of each program over interleaved rounds."""
    found = {name: seconds(words, folder) for name, words in programs.items()}  # the first round compiles
    for _ in range(rounds):
        for name, words in programs.items():
            found[name] = min(found[name], seconds(words, folder))
    return found


def grown(folder: Path, megabytes: int) -> int:
    """Copy the folder's newest segment under other names until it holds so many megabytes; return how many."""
    [segment] = sorted(folder.glob("*.seg"))[-1:]
    content = segment.read_bytes()
    stream = segment.name.rpartition("-")[0]
    number = 1
    while number * len(content) < megabytes * 1_000_000:
        number += 1
        (folder / f"{stream}-{number:06d}.seg").write_bytes(content)
    return number


def main() -> int:
    """Measure, print a line each, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--megabytes", type=int, default=300)
    options = parser.parse_args()
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        subprocess.run(command("import", str(RECORDING)), check=True, cwd=folder, stdout=subprocess.DEVNULL)
        programs = {"python -c pass": [sys.executable, "-c", "pass"], **{one: command(one) for one in GOALS}}
        found = fastest(programs, folder, options.rounds)
        empty = found.pop("python -c pass")
        print(f"python -c pass  {empty:.3f} s")
        missed = 0
        for name, took in found.items():
            missed += took - empty > GOALS[name]
            print(f"{name:<14} +{took - empty:.3f} s   goal +{GOALS[name]:.2f} s")
        number = grown(folder / ".spanwise", options.megabytes)
        took = fastest({"runs": command("runs")}, folder, 2)["runs"]
        missed += took > LARGE_GOAL
        print(f"runs, {options.megabytes} MB in {number:,} segments  {took:.3f} s   goal {LARGE_GOAL:.2f} s")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
