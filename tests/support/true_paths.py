"""Random programs as recordings, with the critical path that their own causes make.

On the virtual clock computing takes no time, so all of a program's time passes in waits that nobody but the clock
ended. Its true path is what is left when each other wait is followed to whom the program itself says ended it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from support import traces
from support.random_programs import Cause, Program

from spanwise import conventions as c
from spanwise.causality import observed
from spanwise.causality.driver import state
from spanwise.journal.reader import LinkRecord
from spanwise.testing.virtual_clock import run_virtual

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spanwise.causality import Edge
    from spanwise_profiling.profile import Profile
    from spanwise_profiling.runs import Run


class Waited(NamedTuple):
    """A wait of a task; times are nanoseconds of the virtual clock."""

    start: int
    end: int
    cause: Cause


class Stay(NamedTuple):
    """A part of a path: time that passed in a task."""

    task: str
    start: int
    end: int


@dataclass
class Recorded:
    """What became of one program."""

    begins: dict[str, int]
    ends: dict[str, int]
    waits: dict[str, list[Waited]]

    def run(self, *, with_waits: bool) -> Run:
        """Return it as a run: a step for each task, below the one that made it."""
        numbers = {name: number for number, name in enumerate(self.begins, start=1)}
        spans = []
        for name, number in numbers.items():
            parent = numbers[name.rpartition(".")[0]] if name != "main" else None
            make = traces.workflow if parent is None else traces.step
            spans.append(make(number, self.begins[name] / 1e9, self.ends[name] / 1e9, name=name, parent=parent))
            for wait in self.waits[name] if with_waits else ():
                one = traces.wait(
                    len(numbers) + len(spans), wait.start / 1e9, wait.end / 1e9, kind=wait.cause.kind,
                    resource=wait.cause.resource, parent=number,
                )  # fmt: skip
                by = [traces.identifier(numbers[wait.cause.by])] if wait.cause.by else []
                links = tuple(LinkRecord(one.trace_id, other, {c.LINK_REASON: "waits_on"}) for other in by)
                spans.append(replace(one, links=links))
        return traces.run_of(*spans)

    def true_path(self) -> list[Stay]:
        """Return what the program waited for, by its own account."""
        path: list[Stay] = []
        task, moment = "main", self.ends["main"]
        while moment > self.begins["main"]:
            wait = next((wait for wait in reversed(self.waits[task]) if wait.end <= moment), None)
            if wait is None:
                task = task.rpartition(".")[0]
            elif wait.cause.by is not None:
                task = wait.cause.by
            else:
                path.append(Stay(task, wait.start, wait.end))
                moment = wait.start
        return path[::-1]


def recorded(seed: int, delays: Mapping[str, float] | None = None) -> Recorded:
    """Run the random program of `seed`, noting when its tasks began, waited and ended.

    Tasks in `delays` end that many seconds later than they would.
    """
    program = Program(seed)
    program.delays |= delays or {}
    edges: list[tuple[Edge, int]] = []
    begins: dict[str, int] = {}
    ends: dict[str, int] = {}

    def now() -> int:
        return round(asyncio.get_running_loop().time() * 1e9)

    class Names(dict[object, str]):
        def __setitem__(self, driver: object, name: str) -> None:
            begins.setdefault(name, now())
            super().__setitem__(driver, name)

    class Finished(list[str]):
        def append(self, name: str) -> None:
            ends[name] = now()
            super().append(name)

    program.names, program.finished = Names(), Finished()
    with observed():
        state.sink = lambda edge: edges.append((edge, now()))
        run_virtual(program.main)
    waits: dict[str, list[Waited]] = {name: [] for name in begins}
    causes = {name: iter(expected) for name, expected in program.expected.items()}
    reached = dict(begins)
    for edge, moment in edges:
        name = program.names[edge.waiter]
        waits[name].append(Waited(reached[name], moment, next(causes[name])))
        reached[name] = moment
    ends = {name: max(ends.get(name, 0), reached[name]) for name in begins}
    # What took no time is no wait that a recording has.
    lasting = {name: [wait for wait in some if wait.start < wait.end] for name, some in waits.items()}
    return Recorded(begins, ends, lasting)


def stays_of(profile: Profile, recording: Recorded) -> list[Stay]:
    """Return the path of `profile` as stays in tasks."""
    labels = {traces.identifier(number): name for number, name in enumerate(recording.begins, start=1)}
    begin = profile.run.start_ns
    stays: list[Stay] = []
    for one in profile.path:
        task = labels[(one.span.parent_id or "") if c.WAIT_KIND in one.span.attributes else one.span.span_id]
        stay = Stay(task, one.start_ns - begin, one.end_ns - begin)
        if stays and stays[-1].task == task:
            stay = stay._replace(start=stays.pop().start)
        stays.append(stay)
    return stays


def slacks_of(profile: Profile, recording: Recorded) -> dict[str, int]:
    """Return the slack of each task in nanoseconds."""
    names = enumerate(recording.begins, start=1)
    return {name: profile.slack_ns[traces.identifier(number)] for number, name in names}


def joined(path: list[Stay]) -> list[Stay]:
    """Return `path` with neighbours in the same task made one."""
    stays: list[Stay] = []
    for stay in path:
        start = stays.pop().start if stays and stays[-1].task == stay.task else stay.start
        stays.append(stay._replace(start=start))
    return stays


def common_ns(one: list[Stay], other: list[Stay]) -> int:
    """Return how much of the time both say that the same task was waited for."""
    total, here, there = 0, 0, 0
    while here < len(one) and there < len(other):
        a, b = one[here], other[there]
        if a.task == b.task:
            total += max(0, min(a.end, b.end) - max(a.start, b.start))
        here, there = (here + 1, there) if a.end <= b.end else (here, there + 1)
    return total
