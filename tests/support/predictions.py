"""A journal of runs to predict from: a plan, three analysts one after another, a judge."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Final

from support.traces import agent, chat, identifier, record, run_of, span, workflow

from spanwise import conventions as c

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from spanwise.journal.reader import SpanRecord
    from spanwise_profiling.runs import Run

MODEL: Final = "gpt-4.1-mini"
ANALYSTS: Final = ("market_analyst", "news_analyst", "risk_analyst")
TOKEN: Final = 0.01
FIRST: Final = 0.5


class Desk:
    """Lays the spans of one run one after another."""

    def __init__(self, number: int, begin: float) -> None:
        self.number, self.begin, self.clock, self.ids = number, begin, begin, 1
        self.spans: list[SpanRecord] = []
        self._draw = random.Random(number)

    def call(self, parent: int, tokens: int, reads: Sequence[int]) -> int:
        """Add a streamed call of about so many output tokens, whose prompt holds what other calls wrote."""
        tokens = round(tokens * self._draw.lognormvariate(0, 0.1))
        about = {
            c.RESPONSE_TIME_TO_FIRST_CHUNK: FIRST, c.RESPONSE_NEW_CHARACTERS: 4 * tokens,
            c.REQUEST_SOURCES: " ".join(f"{identifier(other)}:{4 * tokens}:0" for other in reads),
        }  # fmt: skip
        self._add(
            lambda number, start, end: chat(
                number, start, end, parent=parent, trace=self.number, model=MODEL, tokens=(1000, tokens),
                attributes=about,
            ),
            FIRST + tokens * TOKEN,
        )  # fmt: skip
        return self.ids

    def fetch(self, parent: int, question: str) -> None:
        """Add a retrieval from the prices."""
        about = {c.OPERATION_NAME: "retrieval", c.DATA_SOURCE_ID: "market_data", c.REQUEST_HASH: question}
        self._add(
            lambda number, start, end: span(
                number, start, end, parent=parent, trace=self.number, name="retrieval market_data", attributes=about
            ),
            1.0,
        )

    def agent(self, name: str, *, question: str | None = None, tokens: int, reads: Sequence[int] = ()) -> int:
        """Add an agent that fetches, if it has a question, and calls the model; returns the number of the call."""
        self.ids += 1
        own, start = self.ids, self.clock
        if question is not None:
            self.fetch(own, question)
        call = self.call(own, tokens, reads)
        self.spans.append(agent(own, start, self.clock, name=name, parent=1, trace=self.number))
        return call

    def _add(self, make: Any, seconds: float) -> None:
        self.ids += 1
        self.spans.append(make(self.ids, self.clock, self.clock + seconds))
        self.clock += seconds

    def run(self, preset: str = "baseline") -> Run:
        """Return the run with what was added."""
        about = {c.RUN_ID: identifier(self.number, 32), c.RUN_VARIANT: preset, c.RUN_SEED: self.number}
        root = workflow(1, self.begin, self.clock, name="desk", trace=self.number, attributes=about)
        return run_of(root, *self.spans)


def desk(number: int, *, begin: float = 0.0, preset: str = "baseline") -> Run:
    """Return run `number`: seconds differ from run to run, what is done does not.

    Of the preset `parallel` the analysts work side by side, of `baseline` one after another.
    """
    run = Desk(number, begin)
    plan = run.agent("planner", tokens=100)
    started, ended, reports = run.clock, run.clock, list[int]()
    for name, question in zip(ANALYSTS, ("prices", "news", "prices"), strict=True):
        run.clock = started if preset == "parallel" else run.clock
        reports.append(run.agent(name, question=question, tokens=400, reads=[plan]))
        ended = max(ended, run.clock)
    run.clock = ended
    run.agent("judge", tokens=200, reads=reports)
    return run.run(preset)


def record_desks(folder: Path, count: int = 8, *, preset: str = "baseline", first: int = 1) -> None:
    """Record so many runs into the journal `folder`."""
    for number in range(first, first + count):
        one = desk(number, begin=100.0 * number, preset=preset)
        record(folder, *(span for _, span in one.walk()), file=f"{number:03}")
