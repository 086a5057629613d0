"""What the scheduler costs, beside asyncio.TaskGroup in the same run.

Run from the repository's folder, on a quiet machine, three times:

    .venv/bin/python benchmarks/scheduler.py

Prints microseconds a step for a chain and a fan of 1,000 steps that do nothing, with recording off, with recording in
memory, and for the floor: one task a step in a TaskGroup, each awaiting those that it needs. Then makespan over longest
path on three graphs whose steps sleep: A 50 x 20 and B 10 x 100 with 1 to 20 ms, C 20 x 10 with a long tail up to
400 ms. Rounds are interleaved; each figure is the minimum and the median over the rounds. Trust the ratios.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import spanwise
from spanwise.testing import capture
from spanwise_pipeline import Flow, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator

    Runner = Callable[["Graph"], Coroutine[Any, Any, None]]

Graph = list[tuple[float, list[int]]]
"""For each step: its seconds, and the earlier steps that it needs."""
STEPS = 1000
ROUNDS = 7
DAG_ROUNDS = 3


def chain() -> Graph:
    """Return steps one after another."""
    return [(0.0, [position - 1] if position else []) for position in range(STEPS)]


def fan() -> Graph:
    """Return one step, and all others behind it."""
    return [(0.0, [0] if position else []) for position in range(STEPS)]


def layers(count: int, width: int, most: int, seconds: Callable[[random.Random], float]) -> Graph:
    """Return `count` layers of `width` steps that each need 1 to `most` steps of the layer before."""
    draw = random.Random(1)
    graph: Graph = []
    for layer in range(count):
        before = range((layer - 1) * width, layer * width)
        for _ in range(width):
            needed = draw.sample(before, draw.randint(1, most)) if layer else []
            graph.append((seconds(draw), needed))
    return graph


def short(draw: random.Random) -> float:
    """Return 1 to 20 ms."""
    return draw.uniform(0.001, 0.020)


def tailed(draw: random.Random) -> float:
    """Return a lognormal duration of up to 400 ms, as model calls have it."""
    return min(0.4, 0.02 * draw.lognormvariate(0.0, 0.9))


def longest_path(graph: Graph) -> float:
    """Return the seconds of the longest path."""
    ends: list[float] = []
    for seconds, needed in graph:
        ends.append(max((ends[other] for other in needed), default=0.0) + seconds)
    return max(ends)


async def with_flow(graph: Graph) -> None:
    """Run a graph on the scheduler."""

    def work(seconds: float) -> Callable[..., Coroutine[Any, Any, None]]:
        async def run(*_: None) -> None:
            if seconds:
                await asyncio.sleep(seconds)

        return run

    async with Flow() as flow:
        steps: list[Step[None]] = []
        for position, (seconds, needed) in enumerate(graph):
            steps.append(flow.step(f"step {position}", work(seconds), *(steps[other] for other in needed)))


async def with_task_group(graph: Graph) -> None:
    """Run a graph as one task a step, each awaiting those that it needs."""

    async def run(seconds: float, needed: list[asyncio.Task[None]]) -> None:
        for other in needed:
            if not other.done():
                await other
        if seconds:
            await asyncio.sleep(seconds)

    async with asyncio.TaskGroup() as group:
        tasks: list[asyncio.Task[None]] = []
        for seconds, needed in graph:
            tasks.append(group.create_task(run(seconds, [tasks[other] for other in needed])))


def seconds_of(runner: Runner, graph: Graph) -> float:
    """Return how long a run takes, without starting the loop."""

    async def timed() -> float:
        began = time.perf_counter()
        await runner(graph)
        return time.perf_counter() - began

    return asyncio.run(timed())


@contextmanager
def recording() -> Generator[None]:
    """Record into memory, below a workflow."""
    with capture(), spanwise.workflow("benchmark"):
        yield


def recorded_seconds(graph: Graph) -> float:
    """Return how long a recorded run on the scheduler takes."""
    with recording():
        return seconds_of(with_flow, graph)


ENGINES: dict[str, Callable[[Graph], float]] = {
    "TaskGroup (floor)": lambda graph: seconds_of(with_task_group, graph),
    "Flow, recording off": lambda graph: seconds_of(with_flow, graph),
    "Flow, recording on": recorded_seconds,
}


def measured(graphs: dict[str, Graph], rounds: int) -> dict[tuple[str, str], list[float]]:
    """Return the seconds of each engine on each graph, engines taking turns."""
    found: dict[tuple[str, str], list[float]] = {(engine, name): [] for engine in ENGINES for name in graphs}
    for _ in range(rounds):
        for name, graph in graphs.items():
            for engine, run in ENGINES.items():
                found[engine, name].append(run(graph))
    return found


def main() -> None:
    """Measure and print both tables."""
    flat = {"chain": chain(), "fan": fan()}
    costs = measured(flat, ROUNDS)
    print(
        f"microseconds a step, {STEPS} steps that do nothing: minimum / median of {ROUNDS} (minimum over the floor's)"
    )
    for engine in ENGINES:
        cells: list[str] = []
        for name in flat:
            times = [seconds / STEPS * 1e6 for seconds in costs[engine, name]]
            ratio = min(costs[engine, name]) / min(costs["TaskGroup (floor)", name])
            cells.append(f"{name} {min(times):6.1f} / {statistics.median(times):6.1f}  ({ratio:4.1f} x)")
        print(f"  {engine:20}  {'   '.join(cells)}")
    graphs = {
        "A": layers(50, 20, 3, short),
        "B": layers(10, 100, 3, short),
        "C": layers(20, 10, 2, tailed),
    }
    spans = measured(graphs, DAG_ROUNDS)
    print(f"makespan / longest path: minimum / median of {DAG_ROUNDS}")
    for engine in ENGINES:
        cells = []
        for name, graph in graphs.items():
            ratios = [seconds / longest_path(graph) for seconds in spans[engine, name]]
            cells.append(f"{name} {min(ratios):.3f} / {statistics.median(ratios):.3f}")
        print(f"  {engine:20}  {'   '.join(cells)}")


if __name__ == "__main__":
    main()
