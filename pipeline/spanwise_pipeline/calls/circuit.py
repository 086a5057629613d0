"""A circuit breaker: after several failures in a row nothing is sent for a while, then one call tries.

Cancelled calls say nothing about the provider and count for nothing; a refusal is an answer and counts as one.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import openai

from spanwise_pipeline.calls.errors import is_retryable

if TYPE_CHECKING:
    from collections.abc import Generator

    from spanwise_pipeline.clock import Clock

CircuitState = Literal["closed", "open", "half_open"]


class CircuitOpenError(RuntimeError):
    """Nothing was sent, because the provider failed several times in a row."""

    def __init__(self, name: str, seconds: float) -> None:
        super().__init__(f"the circuit of {name!r} is open: it failed too often; the next try is in {seconds:g} s")
        self.seconds = seconds
        """System seconds until a call may try."""


@dataclass(frozen=True, slots=True)
class Breaker:
    """When a circuit opens, and for how long. Durations are system seconds."""

    failures: int = 5
    """Opens after so many in a row."""
    rest: float = 30.0
    """Then one call tries; where it fails, the circuit rests as long again."""

    def __post_init__(self) -> None:
        if self.failures < 1 or self.rest <= 0:
            raise ValueError(f"a breaker needs at least 1 failure and a rest above 0 s: {self.failures}, {self.rest}")


@dataclass(frozen=True, slots=True)
class CircuitStatistics:
    """A reading of a `Circuit`."""

    name: str
    state: CircuitState
    failures: int
    """In a row, up to now."""
    opened: int
    """How often it opened."""
    rejected: int
    """Calls that were not sent."""


class Circuit:
    """The circuit of one model or server; `with circuit.call(): ...` around each request."""

    def __init__(self, name: str, settings: Breaker, clock: Clock) -> None:
        self.name = name
        self._settings = settings
        self._clock = clock
        self._failures = 0
        self._open_until: float | None = None
        self._probing = False
        self._opened = 0
        self._rejected = 0

    def __repr__(self) -> str:
        return f"<Circuit {self.name}: {self.state}>"

    @property
    def state(self) -> CircuitState:
        """Closed while calls pass; half open while one call is allowed to try."""
        if self._open_until is None:
            return "closed"
        return "half_open" if self._probing or self._clock.now() >= self._open_until else "open"

    def statistics(self) -> CircuitStatistics:
        """Return how the circuit stands."""
        return CircuitStatistics(self.name, self.state, self._failures, self._opened, self._rejected)

    @contextmanager
    def call(self) -> Generator[None]:
        """Guard one call.

        Raises:
            CircuitOpenError: it must not be sent now.
        """
        probe = self._enter()
        try:
            yield
        except asyncio.CancelledError:
            self._probing = self._probing and not probe
            raise
        except BaseException as error:
            self._leave(failed=_is_failure(error), probe=probe)
            raise
        self._leave(failed=False, probe=probe)

    def _enter(self) -> bool:
        if self._open_until is None:
            return False
        left = self._open_until - self._clock.now()
        if left > 0 or self._probing:
            self._rejected += 1
            raise CircuitOpenError(self.name, left if left > 0 else self._settings.rest)
        self._probing = True
        return True

    def _leave(self, *, failed: bool, probe: bool) -> None:
        if probe:
            self._probing = False
        if not failed:
            self._failures = 0
            if probe:
                self._open_until = None
            return
        self._failures += 1
        closed = self._open_until is None
        if probe or (closed and self._failures >= self._settings.failures):
            self._open_until = self._clock.now() + self._settings.rest
            self._opened += 1


def _is_failure(error: BaseException) -> bool:
    """Whether `error` says that the provider is not well; being asked to slow down does not."""
    return is_retryable(error) and not isinstance(error, openai.RateLimitError)
