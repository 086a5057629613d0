"""Made-up populations of runs: a planner and a judge one after the other, as profiles."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from support.traces import agent, chat, identifier, record, run_of, workflow

from spanwise import conventions as c
from spanwise_profiling.profiled import measured

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from spanwise_profiling.profile import Profile
    from spanwise_profiling.runs import Run

MACHINE: Final = {"host.name": "bench", "process.runtime.name": "cpython", "process.runtime.version": "3.12.4"}


def run(
    number: int,
    seconds: float,
    *,
    plan: float = 1.0,
    begin: float = 0.0,
    seed: int | None = None,
    calls: int = 1,
    judge: str = "judge",
    beside: bool = False,
    error: str | None = None,
    name: str = "desk",
    resource: Mapping[str, Any] | None = None,
    tokens: tuple[int, int] = (100, 20),
    attributes: Mapping[str, Any] | None = None,
) -> Run:
    """Return run `number` of `seconds`: `plan` seconds of a planner, then the judge, whose calls are one after another.

    Args:
        number: of the trace and the run.
        seconds: how long it took.
        plan: how long the planner took.
        begin: when it began, in seconds.
        seed: of the run.
        calls: of the judge.
        judge: the other agent's name.
        beside: whether the planner works beside the judge, who then begins at once.
        error: what the run ended in.
        name: of the workflow.
        resource: of all spans.
        tokens: of each call.
        attributes: of the workflow's span.
    """
    about = (
        {c.RUN_ID: identifier(number, 32)} | ({c.RUN_SEED: seed} if seed is not None else {}) | dict(attributes or {})
    )
    start, end = begin + (0.0 if beside else plan), begin + seconds
    ends = [start + (end - start) * (i + 1) / calls for i in range(calls)]
    spans = [
        workflow(1, begin, end, name=name, trace=number, attributes=about, error=error),
        agent(2, begin, begin + plan, name="plan", parent=1, trace=number),
        chat(3, begin, begin + plan, parent=2, trace=number, tokens=tokens),
        agent(4, start, end, name=judge, parent=1, trace=number),
        *(
            chat(5 + i, done - (end - start) / calls, done, parent=4, trace=number, tokens=tokens)
            for i, done in enumerate(ends)
        ),
    ]
    return run_of(*(replace(span, resource={**span.resource, **(resource or {})}) for span in spans))


def sides(
    pairs: int, factor: float = 1.0, *, noise: float = 0.02, spread: float = 0.3, seed: int = 1, **of_b: Any
) -> tuple[list[Profile], list[Profile]]:
    """Return two populations that ran in turn, of the same seeds: `b` takes `factor` times as long.

    Args:
        pairs: how many runs of each.
        factor: what `b` takes.
        noise: deviation of the logarithm of each run by itself.
        spread: deviation that a seed has on both sides.
        seed: of everything random here.
        of_b: arguments of `run` for `b`.
    """
    draw = random.Random(seed)
    a: list[Run] = []
    b: list[Run] = []
    for i in range(pairs):
        usual = 10 * draw.lognormvariate(0, spread)
        a.append(run(2 * i + 1, usual * draw.lognormvariate(0, noise), begin=200.0 * i, seed=i))
        seconds = usual * factor * draw.lognormvariate(0, noise)
        b.append(run(2 * i + 2, seconds, begin=200.0 * i + 100, seed=i, **of_b))
    return measured(a), measured(b)


def seconds_of(profiles: Sequence[Profile]) -> list[float]:
    """Return how long runs took."""
    return [one.run.seconds for one in profiles]


def record_sides(
    folder: Path, pairs: int = 10, *, longer: float = 1.5, presets: tuple[str, str] = ("old", "new")
) -> None:
    """Record runs of two presets in turn into `folder`: the judge of the second takes `longer` seconds more.

    Args:
        folder: of the journal.
        pairs: how many runs of each.
        longer: seconds.
        presets: names of both.
    """
    draw = random.Random(5)
    for i in range(pairs):
        usual = 8 * draw.lognormvariate(0, 0.2)
        for place, preset in enumerate(presets):
            number = 2 * i + place + 1
            seconds = usual * draw.lognormvariate(0, 0.01) + longer * place
            about = {c.RUN_VARIANT: preset, c.RUN_FLAGS: f'{{"careful": {"true" if place else "false"}}}'}
            begin = 100.0 * i + 50 * place
            one = run(number, seconds, begin=begin, seed=i, calls=1 + place, attributes=about, resource=MACHINE)
            record(folder, *(span for _, span in one.walk()), file=f"{number:03}")
