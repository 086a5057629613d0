"""What a prediction says, as plain data. Seconds are the system's, money is of the table's currency."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of a run, before and after, and where the one after may lie."""

    before: float
    after: float
    low: float
    high: float
    """`low` to `high`: what resampled runs give, what the careful and the bold reading of the order of spans give, and,
    where a doubt says so, no saving at all."""

    @property
    def saving(self) -> float:
        """What the change takes away; less than 0 where it adds."""
        return self.before - self.after


@dataclass(frozen=True, slots=True)
class Matched:
    """What a change is about."""

    text: str
    kind: str
    spans: int
    """In all runs."""
    runs: int
    """In how many of them there is at least one."""
    names: tuple[tuple[str, int], ...]
    """What the spans are called, and how many are called so, the most first."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """A reason why the prediction might be wrong."""

    id: str
    """In kebab case; docs/predict.md has an example of each."""
    text: str
    widens: bool = False
    """Whether the interval therefore reaches to no saving at all."""


@dataclass(frozen=True, slots=True)
class Part:
    """What a path has of one agent, or of a span outside of agents."""

    name: str
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """Where the saving of one run comes from and why it is not more."""

    run_id: str
    before: float
    after: float
    parts: tuple[Part, ...]
    """Of the critical path before and after, in the order of the new one; what left it comes last."""
    floor: float
    """What the run would take if the spans that the change is about took no time at all."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a change would come to."""

    workflow: str
    changes: tuple[Matched, ...]
    run_ids: tuple[str, ...]
    """Of the runs that it is made from."""
    left_out: tuple[str, ...]
    """Why other runs do not count, a line each."""
    median: Figure
    p95: Figure | None
    """None below 20 runs."""
    cost: Figure | None
    """Median cost of a run; None where a call has no known price."""
    currency: str
    tokens: tuple[float, float]
    """Median input and output tokens of a run, before and after."""
    doubts: tuple[Doubt, ...]
    explanation: Explanation
    """Of the run in the middle."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """The verbs of its changes."""
        return tuple(sorted({matched.kind for matched in self.changes}))
