"""Runs of a service: each goes on whoever watches it, and whoever watches gets its events from the beginning.

A run's agents publish what they wrote under the run that they work for, so that runs of one fund at the same time are
told apart.
"""

from __future__ import annotations

import asyncio
import contextvars
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

from spanwise_pipeline.systems.hedge_fund.rubric import decision_of, grade_texts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from spanwise_pipeline import Clock
    from spanwise_pipeline.systems.hedge_fund.fund import Fund
    from spanwise_pipeline.systems.hedge_fund.window import Request

MOST_KEPT: Final = 200
"""Runs that are remembered; the oldest that has ended is forgotten first."""
MOST_AT_ONCE: Final = 64
_current: Final[contextvars.ContextVar[Run | None]] = contextvars.ContextVar("hedge_fund_run", default=None)


class BusyError(RuntimeError):
    """As many runs as may be at once are going on."""


@dataclass(eq=False, slots=True)
class Run:
    """One run and what happened in it so far."""

    preset: str
    request: Request
    clock: Clock
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    events: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    ended: bool = False
    began: float = field(init=False)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.began = self.clock.now()

    def tell(self, event: dict[str, Any], *, last: bool = False) -> None:
        """Add an event with the system seconds since the run began, and wake all who follow."""
        seconds = round(self.clock.now() - self.began, 2)
        self.events.append({"number": len(self.events), "seconds": seconds, **event})
        self.ended = last
        self._changed.set()
        self._changed = asyncio.Event()

    async def follow(self, first: int = 0) -> AsyncIterator[dict[str, Any]]:
        """Give the events from number `first` on, as they happen, until the run has ended."""
        number = max(0, first)
        while True:
            changed = self._changed
            while number < len(self.events):
                yield self.events[number]
                number += 1
            if self.ended:
                return
            await changed.wait()


def publish(agent: str, text: str) -> None:
    """Tell the run that this code works for what an agent wrote."""
    run = _current.get()
    if run is not None:
        run.tell({"kind": "agent", "agent": agent, "text": text})


class Runs:
    """The runs of a service."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._runs: dict[str, Run] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def get(self, run_id: str) -> Run | None:
        """Return a run that is remembered."""
        return self._runs.get(run_id)

    def begin(self, fund: Fund, preset: str, request: Request) -> Run:
        """Start a run that goes on by itself; raises `BusyError`."""
        if len(self._tasks) >= MOST_AT_ONCE:
            raise BusyError(f"{MOST_AT_ONCE} runs are going on; try again in a few seconds")
        run = Run(preset, request, self._clock)
        self._runs[run.id] = run
        self._forget()
        task = asyncio.create_task(self._run(run, fund), name=f"run {run.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return run

    async def _run(self, run: Run, fund: Fund) -> None:
        _current.set(run)
        try:
            texts = await fund.decide(run.request)
        except Exception as error:  # noqa: BLE001 - whatever a run fails of, its watchers are told
            run.tell({"kind": "error", "message": _said(error)}, last=True)
            return
        grade = grade_texts(texts, run.request)
        heard = {event.get("agent") for event in run.events}
        for agent, text in texts.items():  # of a decision that was kept, or that another run made
            if agent not in heard:
                run.tell({"kind": "agent", "agent": agent, "text": text})
        answer = decision_of(texts, run.request)
        run.tell({"kind": "decision", "answer": answer, "grade": grade.grade, "score": grade.score}, last=True)

    def _forget(self) -> None:
        for run_id in [run.id for run in self._runs.values() if run.ended][: max(0, len(self._runs) - MOST_KEPT)]:
            del self._runs[run_id]

    async def close(self) -> None:
        """Stop what still runs and wait for its end."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _said(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    return f"{type(error).__name__}: {error}"
