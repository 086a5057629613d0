"""What can be limited, and how it is watched: the classes below a workflow in the budget file.

A budget of runs has `min_runs`, one of calls `min_calls`: with fewer in the window nothing is said.
"""

from __future__ import annotations

import re
from collections.abc import Mapping  # noqa: TC003 - strict_yaml reads the types at run time
from dataclasses import dataclass, field
from typing import ClassVar, Final, Literal

from spanwise.conventions import (
    AGENT_SECONDS_BUCKETS,
    BUDGET_BUCKETS,
    CALL_SECONDS_BUCKETS,
    WORKFLOW_SECONDS_BUCKETS,
)

Severity = Literal["page", "ticket"]
PERCENTILES: Final = (50, 90, 95, 99)

_UNIT_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION: Final = re.compile(r"([0-9]+)([smhdw])")
_LABEL: Final = re.compile(r"[^{}\n]+")
_LEAST_PERIOD: Final = 3 * 86_400


def seconds_of(duration: str) -> int:
    """Return the seconds of a Prometheus duration of one unit, such as `30m`; raises `ValueError`."""
    match = _DURATION.fullmatch(duration)
    if match is None:
        raise ValueError(f"{duration!r} is not a duration; write a whole number and one of s, m, h, d, w, such as 30m")
    return int(match[1]) * _UNIT_SECONDS[match[2]]


def check_owner(owner: str | None) -> None:
    """Raise `ValueError` for an owner that is no label's value."""
    if owner is not None and not _LABEL.fullmatch(owner):
        raise ValueError(f"owner is {owner!r}; write a name of one line without braces, such as team-desk")


@dataclass(frozen=True, kw_only=True)
class Watch:
    """How a budget is watched: over which window, how long before an alert fires, how loudly, and for whom."""

    window: str = "30m"
    """What ended within this time counts."""
    pending_for: str = "5m"
    """How long the budget must stay broken before the alert fires (`for` in a Prometheus rule)."""
    keep_firing_for: str = "10m"
    """How long the alert goes on after the budget is kept again, so that it does not flap."""
    severity: Severity = "ticket"
    owner: str | None = None
    """Who is told, as a label for Alertmanager's routes; the workflow's owner where it is left out."""

    def __post_init__(self) -> None:
        if seconds_of(self.window) == 0:
            raise ValueError("window is 0; write how far back to look, such as 30m")
        seconds_of(self.pending_for)
        seconds_of(self.keep_firing_for)
        check_owner(self.owner)

    @property
    def traffic(self) -> int:
        """With fewer runs or calls in the window nothing is said."""
        found = next((getattr(self, name) for name in ("min_runs", "min_calls") if hasattr(self, name)), 1)
        return int(found)


@dataclass(frozen=True, kw_only=True)
class Regression:
    """Slower than before: p95 over `factor` times the p95 at `offset` ago."""

    factor: float
    offset: str = "1d"
    floor: float = 0.0
    """System seconds under which a p95 is never called a regression."""

    def __post_init__(self) -> None:
        if self.factor <= 1:
            raise ValueError(f"factor is {self.factor:g}; a regression needs a factor over 1, such as 1.5")
        if seconds_of(self.offset) == 0:
            raise ValueError("offset is 0; write how far back the baseline lies, such as 1d")
        if self.floor < 0:
            raise ValueError(f"floor is {self.floor:g}; write 0 or more seconds")


@dataclass(frozen=True, kw_only=True)
class SecondsBudget(Watch):
    """System seconds that a share of runs or calls may exceed."""

    buckets: ClassVar[tuple[float, ...]] = CALL_SECONDS_BUCKETS

    p50: float | None = None
    """At most half may take longer."""
    p90: float | None = None
    """At most one in ten may take longer."""
    p95: float | None = None
    """At most one in twenty may take longer."""
    p99: float | None = None
    """At most one in a hundred may take longer."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self._given():
            raise ValueError(f"none of {self._words()} is given; add one of them, or remove this budget")
        for name, value in self.quantiles().items():
            if not 0 < value <= self.buckets[-1]:
                raise ValueError(
                    f"{name} is {value:g}; write seconds over 0, up to {self.buckets[-1]:g} (the histogram ends there)"
                )
        at_least_one(self)

    def quantiles(self) -> dict[str, float]:
        """Return the percentiles that are given, by name, in system seconds."""
        given = {f"p{number}": getattr(self, f"p{number}") for number in PERCENTILES}
        return {name: float(value) for name, value in given.items() if value is not None}

    def _given(self) -> bool:
        return bool(self.quantiles())

    def _words(self) -> str:
        return "p50, p90, p95, p99"


@dataclass(frozen=True, kw_only=True)
class ComparedSeconds(SecondsBudget):
    """System seconds that a share may exceed, and growth against before."""

    regression: Regression | None = None
    """Slower than before, such as yesterday."""
    regressions: tuple[Regression, ...] = ()
    """Likewise, where more than one time before counts, such as yesterday and last week."""

    def compared(self) -> dict[str, Regression]:
        """Return the regressions that are watched, by their key in the file."""
        several = {f"regressions[{place}]": one for place, one in enumerate(self.regressions)}
        return ({} if self.regression is None else {"regression": self.regression}) | several

    def _given(self) -> bool:
        return bool(self.quantiles() or self.compared())

    def _words(self) -> str:
        return "p50, p90, p95, p99, regression"


@dataclass(frozen=True, kw_only=True)
class DurationBudget(ComparedSeconds):
    """How long a run may take, in system seconds."""

    buckets: ClassVar[tuple[float, ...]] = WORKFLOW_SECONDS_BUCKETS
    min_runs: int = 5
    """With fewer runs in the window nothing is said."""


@dataclass(frozen=True, kw_only=True)
class AgentSecondsBudget(ComparedSeconds):
    """How long an agent's invocation may take, in system seconds."""

    buckets: ClassVar[tuple[float, ...]] = AGENT_SECONDS_BUCKETS
    min_calls: int = 20
    """With fewer invocations in the window nothing is said."""


@dataclass(frozen=True, kw_only=True)
class CallSecondsBudget(ComparedSeconds):
    """How long a call of a tool or a model may take, in system seconds."""

    min_calls: int = 20
    """With fewer calls in the window nothing is said."""


@dataclass(frozen=True, kw_only=True)
class StreamSecondsBudget(SecondsBudget):
    """Seconds of a streamed answer: to its first chunk, or between its chunks."""

    min_calls: int = 20
    """With fewer streamed calls in the window nothing is said."""


@dataclass(frozen=True, kw_only=True)
class TokenRateBudget(Watch):
    """How many tokens (input and output) a run must get through in a system second, on average over the window."""

    minimum: float
    min_runs: int = 5
    """With fewer runs in the window nothing is said."""

    def __post_init__(self) -> None:
        super().__post_init__()
        over_zero(self.minimum, "minimum", "tokens a second")
        at_least_one(self)


@dataclass(frozen=True, kw_only=True)
class DecodeRateBudget(Watch):
    """How many output tokens a system second a streamed call must reach after its first chunk, on average."""

    minimum: float
    min_calls: int = 20
    """With fewer streamed calls in the window nothing is said."""

    def __post_init__(self) -> None:
        super().__post_init__()
        over_zero(self.minimum, "minimum", "tokens a second")
        at_least_one(self)


@dataclass(frozen=True, kw_only=True)
class MeanBudget(Watch):
    """What a run may take on average over the window."""

    maximum: float
    min_runs: int = 5
    """With fewer runs in the window nothing is said."""

    def __post_init__(self) -> None:
        super().__post_init__()
        over_zero(self.maximum, "maximum", "what a run may take")
        at_least_one(self)


@dataclass(frozen=True, kw_only=True)
class SuccessBudget(Watch):
    """Which share of runs must end without an error."""

    minimum: float
    min_runs: int = 5
    """With fewer runs in the window nothing is said."""

    def __post_init__(self) -> None:
        super().__post_init__()
        share(self.minimum, "minimum", "0.9 for 90 %")
        at_least_one(self)


@dataclass(frozen=True, kw_only=True)
class CallShareBudget(Watch):
    """Which share of calls may fail, or how many retries there may be for each call."""

    maximum: float
    min_calls: int = 20
    """With fewer calls in the window nothing is said."""

    def __post_init__(self) -> None:
        super().__post_init__()
        share(self.maximum, "maximum", "0.1 for 10 %")
        at_least_one(self)


@dataclass(frozen=True, kw_only=True)
class CacheBudget(Watch):
    """Which share of cache lookups must be answered without doing the work again."""

    minimum: float | None = None
    """For all caches of the workflow together."""
    caches: Mapping[str, float] = field(default_factory=dict[str, float])
    """For single caches, by name."""
    min_lookups: int = 20
    """With fewer lookups in the window nothing is said."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.minimum is None and not self.caches:
            raise ValueError("neither minimum nor caches is given; add one of them or remove 'cache_hit_rate'")
        given = {} if self.minimum is None else {"minimum": self.minimum}
        for name, value in {**given, **self.caches}.items():
            share(value, name, "0.7 for 70 %")
        at_least_one(self)


@dataclass(frozen=True, kw_only=True)
class PromptCacheBudget(Watch):
    """Which share of input tokens the provider must read from its prompt cache."""

    minimum: float
    min_calls: int = 20
    """With fewer calls in the window nothing is said."""

    def __post_init__(self) -> None:
        super().__post_init__()
        share(self.minimum, "minimum", "0.5 for 50 %")
        at_least_one(self)


@dataclass(frozen=True, kw_only=True)
class WaitBudget(Watch):
    """Which share of the runs' wall clock may go to a kind of wait."""

    maximum: Mapping[str, float]
    """By bucket of the critical path, such as `wait_rate_limit`."""
    min_runs: int = 5
    """With fewer runs in the window nothing is said."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.maximum:
            raise ValueError("maximum is empty; write a bucket and a share, such as wait_rate_limit: 0.1")
        for name, value in self.maximum.items():
            if name not in BUDGET_BUCKETS:
                raise ValueError(f"{name!r} is no bucket; write one of {', '.join(BUDGET_BUCKETS)}")
            share(value, name, "0.1 for 10 %")
        at_least_one(self)


@dataclass(frozen=True, kw_only=True)
class Objective:
    """Which share of runs must go well over a long period; alerts tell how fast the rest is being used up."""

    target: float
    """Share of runs that must end without an error, and within `within` seconds where that is given."""
    within: float | None = None
    """System seconds; a bound of the histogram of runs."""
    period: str = "30d"
    """What the target is for."""
    min_runs: int = 10
    """With fewer runs in the longer of two windows nothing is said."""
    owner: str | None = None

    def __post_init__(self) -> None:
        if not 0 < self.target < 1:
            raise ValueError(f"target is {self.target:g}; write a share between 0 and 1, such as 0.99")
        if self.within is not None and self.within not in WORKFLOW_SECONDS_BUCKETS:
            bounds = ", ".join(f"{bound:g}" for bound in WORKFLOW_SECONDS_BUCKETS)
            raise ValueError(f"within is {self.within:g}, which no histogram can count; write one of {bounds}")
        if seconds_of(self.period) < _LEAST_PERIOD:
            raise ValueError(f"period is {self.period}; write 3d or more, such as 30d")
        check_owner(self.owner)
        at_least_one(self)


def over_zero(value: float, name: str, what: str) -> None:
    """Raise `ValueError` for a value that is not over 0."""
    if not 0 < value < float("inf"):
        raise ValueError(f"{name} is {value:g}; write {what} over 0")


def share(value: float, name: str, example: str) -> None:
    """Raise `ValueError` for what is no share over 0, up to 1."""
    if not 0 < value <= 1:
        raise ValueError(f"{name} is {value:g}; write a share over 0, up to 1, such as {example}")


def at_least_one(budget: object) -> None:
    """Raise `ValueError` where a budget asks for no traffic at all."""
    for name in ("min_runs", "min_calls", "min_lookups"):
        value = getattr(budget, name, 1)
        if value < 1:
            raise ValueError(f"{name} is {value}; write 1 or more (without traffic there is nothing to judge)")
