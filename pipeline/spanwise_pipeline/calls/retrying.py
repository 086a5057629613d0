"""When a failed call is tried again: attempts, pauses, a deadline, and a budget that all calls of a client share."""

from __future__ import annotations

import random
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tenacity import AsyncRetrying, retry_if_exception, stop_never

import spanwise
from spanwise_pipeline.calls.circuit import CircuitOpenError
from spanwise_pipeline.calls.errors import is_retryable, retry_after

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from tenacity import RetryCallState

    from spanwise.conventions import WaitKind
    from spanwise_pipeline.clock import Clock

_LARGEST_EXPONENT: Final = 30


@dataclass(frozen=True, slots=True)
class Retries:
    """How often and how patiently a failed call is tried again. Durations are system seconds."""

    attempts: int = 3
    """At most so many, the first one included."""
    first_pause: float = 0.5
    """Before the second attempt; each later pause is twice as long."""
    longest_pause: float = 30.0
    """No pause of ours is longer."""
    deadline: float | None = None
    """No attempt begins after so many seconds of the call, and the last one ends then; `None` sets no deadline."""
    longest_asked: float = 300.0
    """A call fails at once where the provider asks to wait longer than this (real seconds)."""
    jitter: float = 0.0
    """Share of a pause of ours that is drawn at random, so that many clients do not come back at the same moment."""

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ValueError(f"attempts must be at least 1, this is {self.attempts}")
        if not 0 <= self.jitter <= 1:
            raise ValueError(f"jitter must be from 0 to 1, this is {self.jitter}")
        if self.deadline is not None and self.deadline <= 0:
            raise ValueError(f"deadline must be above 0 seconds, this is {self.deadline}")


@dataclass(frozen=True, slots=True)
class RetryBudgetStatistics:
    """A reading of a `RetryBudget`."""

    left: float
    spent: int
    refused: int


class RetryBudget:
    """Bounds the retries of many calls together, so that an outage is not answered with a multiple of the load.

    Each call adds `share` of a retry, each retry takes one; `reserve` retries are there from the start and are the most
    that can be saved up.
    """

    def __init__(self, *, share: float = 0.2, reserve: float = 10.0) -> None:
        if share < 0 or reserve < 1:
            raise ValueError(
                f"a retry budget needs a share of at least 0 and a reserve of at least 1: {share}, {reserve}"
            )
        self._share = share
        self._reserve = reserve
        self._left = reserve
        self._spent = 0
        self._refused = 0

    def __repr__(self) -> str:
        return f"<RetryBudget: {self._left:g}/{self._reserve:g} left>"

    def statistics(self) -> RetryBudgetStatistics:
        """Return how the budget stands."""
        return RetryBudgetStatistics(self._left, self._spent, self._refused)

    def called(self) -> None:
        """Count a call."""
        self._left = min(self._reserve, self._left + self._share)

    def spend(self) -> bool:
        """Take one retry; returns whether there was one."""
        if self._left < 1:
            self._refused += 1
            return False
        self._left -= 1
        self._spent += 1
        return True


class RetryCourse:
    """The attempts of one call. `decide` is asked after each failure, before the attempt's span ends."""

    def __init__(self, settings: Retries, clock: Clock, budget: RetryBudget | None) -> None:
        self._settings = settings
        self._clock = clock
        self._budget = budget
        self._began = clock.now()
        self._decided_for = 0
        self._pause: float | None = None
        self._kind: WaitKind = "retry_backoff"
        self.inside: Callable[[], AbstractContextManager[object]] = nullcontext
        """Returns the block that pauses are made in."""

    def attempts(self) -> AsyncRetrying:
        """Return what runs the attempts, with the pauses that were decided on."""
        return AsyncRetrying(
            retry=retry_if_exception(lambda _: self._pause is not None),
            stop=stop_never,
            wait=self._decided,
            sleep=self._back_off,
            reraise=True,
        )

    def _decided(self, _: RetryCallState) -> float:
        assert self._pause is not None
        return self._pause

    def decide(self, error: BaseException, number: int) -> bool:
        """Return whether attempt `number`, which ended with `error`, is followed by another; decided once for each."""
        if self._decided_for != number:
            self._decided_for = number
            self._pause = self._next_pause(error, number)
            self._kind = "circuit_open" if isinstance(error, CircuitOpenError) else "retry_backoff"
        return self._pause is not None

    async def _back_off(self, seconds: float) -> None:
        with self.inside(), spanwise.waiting(self._kind, "chat"):
            await self._clock.sleep(seconds)

    def _next_pause(self, error: BaseException, number: int) -> float | None:
        settings = self._settings
        if number >= settings.attempts or not (is_retryable(error) or isinstance(error, CircuitOpenError)):
            return None
        pause = self._wanted_pause(error, number)
        if pause is None or (settings.deadline is not None and pause >= self.left()):
            return None
        if self._budget is not None and not self._budget.spend():
            return None
        return pause

    def _wanted_pause(self, error: BaseException, number: int) -> float | None:
        settings = self._settings
        if isinstance(error, CircuitOpenError):
            return error.seconds
        asked = retry_after(error)
        if asked is not None:
            return asked * self._clock.speed if asked <= settings.longest_asked else None
        pause = min(settings.longest_pause, settings.first_pause * 2.0 ** min(number - 1, _LARGEST_EXPONENT))
        return pause * (1.0 - settings.jitter * random.random())  # noqa: S311 - spreads load, guards nothing

    def left(self) -> float:
        """Return the system seconds until the deadline."""
        deadline = self._settings.deadline
        return float("inf") if deadline is None else deadline - (self._clock.now() - self._began)
