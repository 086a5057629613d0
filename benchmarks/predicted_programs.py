"""Generated asyncio programs that are run for real, on a virtual clock, before and after a change.

A program is a tree of tasks, calls, agents and limits, generated from a seed. Every duration is drawn from the seed of
the run and the place of the call, so that a run before and a run after the change draw the same. Each family is a way
in which programs are built and a change that suits it: what the change does to the program is made by hand, what it is
called is given to `spanwise predict`, and both are compared by `benchmarks/prediction.py` and the tests.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from spanwise import conventions as c
from spanwise.journal.reader import LinkRecord, SpanRecord
from spanwise.testing import run_virtual
from spanwise_profiling.runs import runs_of
from spanwise_profiling.trace import build_traces

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

    from spanwise_profiling.runs import Run

Body: TypeAlias = Callable[["Program"], Awaitable[None]]
_BEGIN_NS: Final = 1_790_000_000_000_000_000
_TRACE: Final = "1" * 32
_OPERATIONS: Final = {
    "agent": ("invoke_agent", c.AGENT_NAME), "tool": ("execute_tool", c.TOOL_NAME),
    "chat": ("chat", c.REQUEST_MODEL), "retrieval": ("retrieval", c.DATA_SOURCE_ID),
    "workflow": ("invoke_workflow", c.WORKFLOW_NAME),
}  # fmt: skip


@dataclass
class Program:
    """One run of a program: draws durations, and records spans as it goes."""

    seed: int
    spans: list[SpanRecord] = field(default_factory=list)
    ids: int = 0
    _here: ContextVar[str | None] = field(default_factory=lambda: ContextVar("here", default=None))

    def seconds(self, name: str, usual: float, spread: float = 0.4) -> float:
        """Return a duration of what is called `name`, the same in every variant of the program."""
        return usual * random.Random(f"{self.seed}/{name}").lognormvariate(0, spread)

    @contextmanager
    def span(self, kind: str, name: str, about: Mapping[str, Any] | None = None) -> Generator[str]:
        """Record what happens inside as a span of some kind; yields its id."""
        operation, subject = _OPERATIONS[kind]
        with self._recorded({c.OPERATION_NAME: operation, subject: name, **(about or {})}, []) as span_id:
            yield span_id

    @contextmanager
    def wait(self, kind: str, resource: str) -> Generator[list[str]]:
        """Record what happens inside as a wait; who ended it is to be added to the list."""
        released: list[str] = []
        with self._recorded({c.WAIT_KIND: kind, c.WAIT_RESOURCE: resource}, released):
            yield released

    @contextmanager
    def _recorded(self, attributes: dict[str, Any], released: list[str]) -> Generator[str]:
        self.ids += 1
        span_id, parent = f"{self.ids:016x}", self._here.get()
        start, token = self.now(), self._here.set(span_id)
        try:
            yield span_id
        finally:
            self._here.reset(token)
            links = tuple(LinkRecord(_TRACE, other, {c.LINK_REASON: "waits_on"}) for other in released)
            self.spans.append(
                SpanRecord(
                    trace_id=_TRACE, span_id=span_id, parent_id=parent, name="", kind=1, start_ns=start,
                    end_ns=self.now(), attributes=attributes, links=links,
                )
            )  # fmt: skip

    @staticmethod
    def now() -> int:
        """Return the time on the virtual clock, nanoseconds since 1970."""
        return _BEGIN_NS + round(asyncio.get_running_loop().time() * 1e9)

    async def call(self, kind: str, name: str, usual: float, factor: float = 1.0) -> None:
        """Make a call that takes `factor` times a drawn duration."""
        with self.span(kind, name):
            await asyncio.sleep(factor * self.seconds(name, usual))


def recorded(body: Body, seed: int) -> Run:
    """Return one run of a program."""
    program = Program(seed)

    async def main() -> None:
        with program.span("workflow", "generated"):
            await body(program)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            await asyncio.wait(others)

    run_virtual(main)
    (run,) = runs_of(build_traces(program.spans))
    return run


@dataclass(frozen=True)
class Case:
    """A program before and after a change, and what the change is called."""

    before: Body
    after: Body
    changes: tuple[str, ...]
    traces: int = 9


def _usual(draw: random.Random, count: int) -> list[float]:
    return [draw.uniform(0.5, 5.0) for _ in range(count)]


async def _sequence(
    program: Program, usual: list[float], changed: int = -1, factor: float = 1.0, agent: str = ""
) -> None:
    for i, seconds in enumerate(usual):
        await program.call("tool", f"{agent}tool{i}", seconds, factor if i == changed else 1.0)
        await asyncio.sleep(0.001)


def chain(draw: random.Random) -> Case:
    """One call after another; one of them gets faster or slower."""
    usual = _usual(draw, draw.randint(3, 8))
    changed, factor = draw.randrange(len(usual)), draw.choice([0.2, 0.5, 1.5, 3.0])
    return Case(
        lambda program: _sequence(program, usual),
        lambda program: _sequence(program, usual, changed, factor),
        (f"duration tool{changed} x{factor}",),
    )


def seconds_less(draw: random.Random) -> Case:
    """One call after another; each takes a second more."""
    usual = _usual(draw, draw.randint(3, 8))

    async def slower(program: Program) -> None:
        for i, seconds in enumerate(usual):
            with program.span("tool", f"tool{i}"):
                await asyncio.sleep(program.seconds(f"tool{i}", seconds) + 1.0)
            await asyncio.sleep(0.001)

    return Case(lambda program: _sequence(program, usual), slower, ("duration tool +1 s",))


def fork_join(draw: random.Random) -> Case:
    """Agents side by side, then one that waits for all; a call in one of them gets faster or slower."""
    branches = [_usual(draw, draw.randint(1, 4)) for _ in range(draw.randint(2, 5))]
    who, factor = draw.randrange(len(branches)), draw.choice([0.1, 0.4, 2.0, 3.0])
    what = draw.randrange(len(branches[who]))

    def body(factor: float) -> Body:
        async def run(program: Program) -> None:
            async def branch(i: int) -> None:
                with program.span("agent", f"agent{i}"):
                    await _sequence(program, branches[i], what if i == who else -1, factor, f"a{i}")

            await asyncio.gather(*(branch(i) for i in range(len(branches))))
            await program.call("chat", "judge", 2.0)

        return run

    return Case(body(1.0), body(factor), (f"duration a{who}tool{what} x{factor}",))


def made_parallel(draw: random.Random) -> Case:
    """Agents one after another that could work side by side."""
    branches = [_usual(draw, draw.randint(1, 3)) for _ in range(draw.randint(2, 5))]

    def body(*, together: bool) -> Body:
        async def run(program: Program) -> None:
            async def branch(i: int) -> None:
                with program.span("agent", f"agent{i}"):
                    await _sequence(program, branches[i], agent=f"a{i}")

            await program.call("chat", "plan", 1.0)
            if together:
                await asyncio.gather(*(branch(i) for i in range(len(branches))))
            else:
                for i in range(len(branches)):
                    await branch(i)
            await program.call("chat", "judge", 2.0)

        return run

    return Case(body(together=False), body(together=True), ("parallel agent=agent*",))


def left_out(draw: random.Random) -> Case:
    """A straight line without one of its steps."""
    usual = _usual(draw, draw.randint(3, 6))
    gone = draw.randrange(len(usual))

    async def without(program: Program) -> None:
        for i, seconds in enumerate(usual):
            if i != gone:
                await program.call("tool", f"tool{i}", seconds)
            await asyncio.sleep(0.001)

    return Case(lambda program: _sequence(program, usual), without, (f"remove tool{gone}",))


def cached(draw: random.Random) -> Case:
    """Agents side by side that ask the same questions; a cache makes each answer once, for who asks meanwhile too."""
    questions = [[draw.randrange(3) for _ in range(draw.randint(2, 4))] for _ in range(draw.randint(2, 4))]
    pauses = _usual(draw, len(questions))

    def body(*, cache: bool) -> Body:
        async def run(program: Program) -> None:
            made: dict[int, asyncio.Task[None]] = {}

            async def fetch(question: int) -> None:
                await asyncio.sleep(program.seconds(f"question{question}", 2.0, 0.2))

            async def ask(question: int) -> None:
                with program.span("retrieval", "source", {c.REQUEST_HASH: f"h{question}"}):
                    if not cache:
                        await fetch(question)
                        return
                    if question not in made:
                        made[question] = asyncio.create_task(fetch(question))
                    await made[question]

            async def branch(i: int) -> None:
                with program.span("agent", f"agent{i}"):
                    await program.call("tool", f"a{i}", pauses[i])
                    for question in questions[i]:
                        await ask(question)

            await asyncio.gather(*(branch(i) for i in range(len(questions))))

        return run

    return Case(body(cache=False), body(cache=True), ("cache source",))


def unseen_limit(draw: random.Random) -> Case:
    """A semaphore that nobody recorded, spans begun once the place is had; the calls get faster."""
    count, places, factor = draw.randint(8, 14), draw.randint(2, 3), draw.choice([0.3, 0.5, 2.0])

    def body(factor: float) -> Body:
        async def run(program: Program) -> None:
            limit = asyncio.Semaphore(places)

            async def one(i: int) -> None:
                async with limit:
                    with program.span("tool", "search"):
                        await asyncio.sleep(factor * program.seconds(f"search{i}", 2.0))

            await asyncio.gather(*(one(i) for i in range(count)))

        return run

    return Case(body(1.0), body(factor), (f"duration search x{factor}",))


def raised_limit(draw: random.Random) -> Case:
    """A limit whose waits are recorded gets more places, or fewer."""
    count, places = draw.randint(8, 14), draw.randint(2, 4)
    wanted = draw.choice([places - 1, places + 1, 2 * places])

    def body(places: int) -> Body:
        async def run(program: Program) -> None:
            limit = asyncio.Semaphore(places)

            async def one(i: int) -> None:
                with program.span("agent", f"agent{i}"):
                    await program.call("tool", f"prepare{i}", 1.0)
                    if limit.locked():
                        with program.wait("concurrency", "llm"):
                            await limit.acquire()
                    else:
                        await limit.acquire()
                    try:
                        with program.span("chat", "model"):
                            await asyncio.sleep(program.seconds(f"chat{i}", 3.0))
                    finally:
                        limit.release()
                    await program.call("tool", f"finish{i}", 0.5)

            await asyncio.gather(*(one(i) for i in range(count)))

        return run

    return Case(body(places), body(wanted), (f"cap chat at {wanted}",))


def new_limit(draw: random.Random) -> Case:
    """Calls side by side get a limit that was not there."""
    count, places = draw.randint(4, 9), draw.randint(1, 3)

    def body(places: int) -> Body:
        async def run(program: Program) -> None:
            limit = asyncio.Semaphore(places)

            async def one(i: int) -> None:
                await program.call("tool", f"prepare{i}", 1.0)
                async with limit:
                    with program.span("chat", "model"):
                        await asyncio.sleep(program.seconds(f"chat{i}", 3.0))

            async def branch(i: int) -> None:
                with program.span("agent", f"agent{i}"):
                    await one(i)

            await asyncio.gather(*(branch(i) for i in range(count)))

        return run

    return Case(body(count), body(places), (f"cap chat at {places}",))


def fewer_tokens(draw: random.Random) -> Case:
    """Streamed calls write fewer tokens, or another model answers them."""
    count, other = draw.randint(2, 5), draw.random() < 0.5
    first, token, share = draw.uniform(0.2, 1.0), draw.uniform(0.005, 0.03), draw.choice([0.25, 0.5, 0.75])

    def body(first: float, token: float, share: float) -> Body:
        async def run(program: Program) -> None:
            for i in range(count):
                tokens = round(program.seconds(f"tokens{i}", 400))
                written = tokens * share
                attributes: dict[str, Any] = {c.USAGE_INPUT_TOKENS: 100, c.USAGE_OUTPUT_TOKENS: tokens}
                attributes[c.RESPONSE_TIME_TO_FIRST_CHUNK] = first
                with program.span("chat", "model", attributes):
                    await asyncio.sleep(first + written * token)

        return run

    if other:
        return Case(body(first, token, 1.0), body(0.3, 0.01, 1.0), ("model chat first 0.3 s, 10 ms a token",))
    return Case(body(first, token, 1.0), body(first, token, share), (f"output chat x{share}",))


def background(draw: random.Random) -> Case:
    """Each step leaves a write behind that nobody waits for; a step gets faster."""
    usual = _usual(draw, draw.randint(3, 6))
    changed, factor = draw.randrange(len(usual)), draw.choice([0.2, 0.5, 2.0])

    def body(factor: float) -> Body:
        async def run(program: Program) -> None:
            writes = []
            for i, seconds in enumerate(usual):
                with program.span("agent", f"agent{i}"):
                    await program.call("tool", f"tool{i}", seconds, factor if i == changed else 1.0)
                    writes.append(asyncio.create_task(program.call("tool", f"write{i}", 4.0)))

        return run

    return Case(body(1.0), body(factor), (f"duration tool{changed} x{factor}",))


def linked_queue(draw: random.Random) -> Case:
    """A producer and a consumer whose recorded waits name each other; the producer gets faster."""
    count, factor = draw.randint(3, 7), draw.choice([0.3, 0.5, 0.8])

    def body(factor: float) -> Body:
        async def run(program: Program) -> None:
            queue: asyncio.Queue[str] = asyncio.Queue()

            async def produce() -> None:
                with program.span("agent", "producer") as producer:
                    for i in range(count):
                        await program.call("tool", f"make{i}", 2.0, factor)
                        queue.put_nowait(producer)

            async def consume() -> None:
                with program.span("agent", "consumer"):
                    for i in range(count):
                        if queue.empty():
                            with program.wait("queue", "items") as released:
                                released.append(await queue.get())
                        else:
                            queue.get_nowait()
                        await program.call("tool", f"use{i}", 1.5)

            await asyncio.gather(produce(), consume())

        return run

    return Case(body(1.0), body(factor), (f"duration make* x{factor}",))


def flat_chains(draw: random.Random) -> Case:
    """Independent chains whose calls all hang below one span; only several runs show that they are independent."""
    chains = [_usual(draw, draw.randint(2, 3)) for _ in range(draw.randint(2, 3))]
    who, factor = draw.randrange(len(chains)), draw.choice([0.2, 0.5])

    def body(factor: float) -> Body:
        async def run(program: Program) -> None:
            async def branch(i: int) -> None:
                for j, seconds in enumerate(chains[i]):
                    faster = factor if (i, j) == (who, 0) else 1.0
                    # They vary so much that of each two calls now this one ends first and now that one.
                    with program.span("tool", f"c{i}t{j}"):
                        await asyncio.sleep(faster * program.seconds(f"c{i}t{j}", seconds, 1.2))

            await asyncio.gather(*(branch(i) for i in range(len(chains))))

        return run

    return Case(body(1.0), body(factor), (f"duration c{who}t0 x{factor}",), traces=40)


def shorter_loop(draw: random.Random) -> Case:
    """A loop of drafts that ends after fewer rounds."""
    rounds = draw.randint(3, 6)
    wanted = draw.randint(1, rounds - 1)

    def body(rounds: int) -> Body:
        async def run(program: Program) -> None:
            for i in range(rounds):
                with program.span("agent", "writer"):
                    await program.call("chat", f"draft{i}", 2.0)
            await program.call("chat", "judge", 1.0)

        return run

    return Case(body(rounds), body(wanted), (f"stop agent=writer after {wanted}",))


@dataclass(frozen=True)
class _Part:
    """A part of a mixed program: a call of so many seconds, or parts one after another or side by side."""

    kind: str
    """`tool`, `chat`, `retrieval`, `line` or `fork`; parts of the last two are agents."""
    name: str
    usual: float = 0.0
    parts: tuple[_Part, ...] = ()

    def calls(self) -> Iterator[_Part]:
        if not self.parts:
            yield self
        for part in self.parts:
            yield from part.calls()


def _grown(draw: random.Random, depth: int, names: Iterator[int]) -> _Part:
    if depth == 0 or draw.random() < 0.25:
        kind = draw.choice(["tool", "tool", "chat", "retrieval"])
        # A few sources are asked again and again.
        name = f"source{draw.randrange(3)}" if kind == "retrieval" else f"{kind}{next(names)}"
        return _Part(kind, name, 2.0 if kind == "retrieval" else draw.uniform(0.5, 5.0))
    kind = draw.choice(["line", "line", "fork"])
    return _Part(
        kind, f"{kind}{next(names)}", 0.0, tuple(_grown(draw, depth - 1, names) for _ in range(draw.randint(2, 4)))
    )


async def _lived(
    program: Program, part: _Part, factors: Mapping[str, float], gone: str, made: dict[str, asyncio.Task[None]] | None
) -> None:
    async def fetch() -> None:
        await asyncio.sleep(program.seconds(part.name, part.usual))

    async def live(inner: _Part) -> None:
        with program.span("agent", f"in-{part.name}"):
            await _lived(program, inner, factors, gone, made)

    if part.kind == "fork":
        await asyncio.gather(*(live(inner) for inner in part.parts))
    elif part.kind == "line":
        for inner in part.parts:
            await live(inner)
            await asyncio.sleep(0.002)
    elif part.name == gone:
        return
    elif part.kind == "chat":
        tokens = program.seconds(part.name, 50 * part.usual)
        about = {c.USAGE_OUTPUT_TOKENS: round(tokens), c.RESPONSE_TIME_TO_FIRST_CHUNK: 0.5}
        with program.span("chat", part.name, about):
            await asyncio.sleep(0.5 + round(tokens) * 0.02 * factors.get("output", 1.0))
    elif part.kind == "retrieval" and made is not None:
        with program.span("retrieval", part.name, {c.REQUEST_HASH: part.name}):
            if part.name not in made:
                made[part.name] = asyncio.create_task(fetch())
            await made[part.name]
    else:
        with program.span(part.kind, part.name, {c.REQUEST_HASH: part.name}):
            await asyncio.sleep(factors.get(part.name, 1.0) * program.seconds(part.name, part.usual))


def mixed(draw: random.Random) -> Case:
    """Lines and forks of agents within one another, and one or two changes of several kinds."""
    whole = _Part("line", "whole", 0.0, tuple(_grown(draw, 2, count()) for _ in range(draw.randint(2, 4))))
    calls = [part for part in whole.calls() if part.kind == "tool"]
    chats = any(part.kind == "chat" for part in whole.calls())
    asked = [part.name for part in whole.calls() if part.kind == "retrieval"]
    factors: dict[str, float] = {}
    changes: list[str] = []
    gone, cache = "", False
    if len(set(asked)) < len(asked) and draw.random() < 0.5:
        cache = True
        changes.append("cache retrieval")
    if chats and draw.random() < 0.5:
        factors["output"] = draw.choice([0.3, 0.6])
        changes.append(f"output chat x{factors['output']}")
    if calls and draw.random() < 0.4:
        gone = draw.choice(calls).name
        changes.append(f"remove {gone}")
    slower = [part.name for part in calls if part.name != gone]
    if slower and (not changes or draw.random() < 0.5):
        factors[name := draw.choice(slower)] = draw.choice([0.1, 0.5, 2.0])
        changes.append(f"duration {name} x{factors[name]}")
    if not changes:
        return mixed(draw)

    def body(factors: Mapping[str, float], gone: str, *, cache: bool) -> Body:
        async def run(program: Program) -> None:
            await _lived(program, whole, factors, gone, {} if cache else None)

        return run

    return Case(body({}, "", cache=False), body(factors, gone, cache=cache), tuple(changes))


FAMILIES: Final[dict[str, Callable[[random.Random], Case]]] = {
    family.__name__: family
    for family in (
        chain, seconds_less, fork_join, made_parallel, left_out, cached, unseen_limit, raised_limit, new_limit,
        fewer_tokens, background, linked_queue, flat_chains, shorter_loop, mixed,
    )
}  # fmt: skip
"""Name to a function that makes a case from a seed; all are sound: what is recorded says what the change does."""
