"""What a flow must come to, found by brute force: every event in turn, and all steps looked at again after each."""

from __future__ import annotations

import asyncio
import math
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from spanwise.testing import run_virtual
from spanwise_pipeline import Background, Flow, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


@dataclass
class Job:
    """One step of a case."""

    seconds: float
    inputs: list[int]
    fails: bool = False
    deadline: float | None = None
    background: bool = False
    expected: float = 1.0


@dataclass
class Case:
    """A graph and how it is run."""

    jobs: list[Job]
    at_once: int | None = None
    longest_path: bool = False
    deadline: float | None = None
    handed_over: bool = False
    """Whether a `Background` takes the background steps over."""


@dataclass
class Story:
    """What came of a case."""

    states: list[str]
    began: list[float | None]
    """When each step's function was called."""
    ended: list[float]
    answered: float
    """When the block ended."""
    drained: float


def random_case(seed: int) -> Case:
    draw = random.Random(seed)
    count = draw.randint(1, 16)
    jobs = [
        Job(
            seconds=draw.uniform(0.1, 5),
            inputs=draw.sample(range(n), min(n, draw.choice([0, 1, 1, 2, 3]))),
            fails=draw.random() < 0.1,
            deadline=draw.uniform(0.1, 8) if draw.random() < 0.15 else None,
            background=draw.random() < 0.15,
            expected=draw.uniform(0.1, 5),
        )
        for n in range(count)
    ]
    return Case(
        jobs,
        at_once=draw.choice([None, None, 1, 2, 3]),
        longest_path=draw.random() < 0.5,
        deadline=draw.uniform(1, 12) if draw.random() < 0.25 else None,
        handed_over=draw.random() < 0.5,
    )


@dataclass
class _Oracle:
    case: Case
    now: float = 0.0
    expired: bool = False
    queue: list[int] = field(default_factory=list[int])
    ready: dict[int, float] = field(default_factory=dict[int, float])
    began: dict[int, float] = field(default_factory=dict[int, float])
    ended: dict[int, float] = field(default_factory=dict[int, float])
    states: dict[int, str] = field(default_factory=dict[int, str])

    def remaining(self, n: int) -> float:
        """The longest path of expected seconds from step `n`."""
        jobs = self.case.jobs
        after = [m for m in range(len(jobs)) if n in jobs[m].inputs and m not in self.ended]
        return jobs[n].expected + max((self.remaining(m) for m in after), default=0.0)

    def end(self, n: int, state: str) -> None:
        self.states[n], self.ended[n] = state, self.now
        if n in self.queue:
            self.queue.remove(n)

    def look_again(self) -> None:
        """See which steps can go on, until nothing changes; then give free places away."""
        jobs = self.case.jobs
        changed = True
        while changed:
            changed = False
            for n, job in enumerate(jobs):
                if n in self.ended or n in self.ready or any(m not in self.ended for m in job.inputs):
                    continue
                changed = True
                late = self.expired and not job.background
                if late or any(self.states[m] != "done" for m in job.inputs):
                    self.end(n, "skipped")
                else:
                    self.ready[n] = self.now
                    self.queue.append(n)
        while self.queue and self.has_place():
            chosen = max(self.queue, key=self.remaining) if self.case.longest_path else self.queue[0]
            self.queue.remove(chosen)
            self.began[chosen] = self.now

    def has_place(self) -> bool:
        running = sum(n not in self.ended for n in self.began)
        return self.case.at_once is None or running < self.case.at_once

    def run(self) -> Story:
        jobs = self.case.jobs
        self.look_again()
        while len(self.ended) < len(jobs):
            events: list[tuple[float, str, int]] = []
            for n in self.ready:
                if n in self.ended:
                    continue
                if n in self.began:
                    events.append((self.began[n] + jobs[n].seconds, "failed" if jobs[n].fails else "done", n))
                if (limit := jobs[n].deadline) is not None:
                    events.append((self.ready[n] + limit, "failed", n))
            if self.case.deadline is not None and not self.expired and self.in_front():
                events.append((self.case.deadline, "expire", -1))
            self.now, what, n = min(events)
            if what == "expire":
                self.expired = True
                for m in self.in_front():
                    self.end(m, "failed" if m in self.ready else "skipped")
            else:
                self.end(n, what)
            self.look_again()
        count = range(len(jobs))
        answered = max((self.ended[n] for n in count if not jobs[n].background), default=0.0)
        drained = max(self.ended.values())
        return Story(
            [self.states[n] for n in count], [self.began.get(n) for n in count], [self.ended[n] for n in count],
            answered if self.case.handed_over else drained, drained,
        )  # fmt: skip

    def in_front(self) -> list[int]:
        """The steps that the answer waits for and that are not done."""
        return [n for n, job in enumerate(self.case.jobs) if not job.background and n not in self.ended]


def expected_story(case: Case) -> Story:
    """What must come of a case."""
    return _Oracle(case).run()


async def real_story(case: Case) -> Story:
    """What comes of a case on the scheduler, in seconds since now; to be run on a virtual clock."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    began: dict[int, float] = {}
    ended: dict[int, float] = {}

    def function(n: int, job: Job) -> Callable[..., Coroutine[Any, Any, None]]:
        async def run(*_: None) -> None:
            began[n] = loop.time() - start
            await asyncio.sleep(job.seconds)
            if job.fails:
                raise ValueError(n)

        return run

    def note(n: int) -> Callable[[Step[Any]], None]:
        return lambda _: ended.__setitem__(n, loop.time() - start)

    background = Background()
    flow = Flow(
        at_once=case.at_once, order="longest_path" if case.longest_path else "ready", deadline=case.deadline,
        background=background if case.handed_over else None,
    )  # fmt: skip
    steps: list[Step[None]] = []
    async with flow:
        for n, job in enumerate(case.jobs):
            inputs = [steps[m] for m in job.inputs]
            steps.append(
                flow.step(
                    str(n),
                    function(n, job),
                    *inputs,
                    deadline=job.deadline,
                    background=job.background,
                    expected=job.expected,
                )
            )
            steps[n].when_done(note(n))
            steps[n].examined = True
    answered = loop.time() - start
    await background.drain()
    count = range(len(case.jobs))
    return Story(
        [step.state for step in steps], [began.get(n) for n in count], [ended[n] for n in count], answered,
        loop.time() - start,
    )  # fmt: skip


def same(one: Story, other: Story) -> bool:
    """Whether two stories are the same, times to a nanosecond."""
    if one.states != other.states:
        return False
    times = zip(
        [*one.began, *one.ended, one.answered, one.drained],
        [*other.began, *other.ended, other.answered, other.drained],
        strict=True,
    )
    return all(a is b if a is None or b is None else math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9) for a, b in times)


def differing(seeds: range) -> list[int]:
    """The seeds of cases that do not come to what they must."""

    async def main() -> list[int]:
        found: list[int] = []
        for seed in seeds:
            case = random_case(seed)
            if not same(await real_story(case), expected_story(case)):
                found.append(seed)
        return found

    return run_virtual(main)[0]
