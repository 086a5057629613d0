"""The changes that can be predicted, as data; `language` reads them from words, `planning` lays them upon a run.

Seconds are the system's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypeAlias

if TYPE_CHECKING:
    from spanwise_profiling.prediction.selection import Selection


@dataclass(frozen=True, slots=True)
class Duration:
    """Spans take a multiple of what they took, or seconds more or less."""

    kind: ClassVar[str] = "duration"
    selection: Selection
    text: str
    factor: float = 1.0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Parallel:
    """Spans of one parent start together, and what came after one of them waits for all."""

    kind: ClassVar[str] = "parallel"
    selection: Selection
    text: str
    lines: tuple[Selection, ...] = ()
    """Where given, the spans of each go on one after another, and only the lines start together."""


@dataclass(frozen=True, slots=True)
class Remove:
    """Spans are left out."""

    kind: ClassVar[str] = "remove"
    selection: Selection
    text: str


@dataclass(frozen=True, slots=True)
class Cache:
    """What spans make is kept, and found again by what was asked."""

    kind: ClassVar[str] = "cache"
    selection: Selection
    text: str
    rate: float | None = None
    """Share of answers that are there; None for what the recorded request hashes would give."""
    hit_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Cap:
    """At most so many of the spans go on at once."""

    kind: ClassVar[str] = "cap"
    selection: Selection
    text: str
    capacity: int


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most so many of the spans start in any stretch of `seconds`."""

    kind: ClassVar[str] = "rate"
    selection: Selection
    text: str
    count: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Stop:
    """Of the spans below one parent only the first so many are done."""

    kind: ClassVar[str] = "stop"
    selection: Selection
    text: str
    after: int


@dataclass(frozen=True, slots=True)
class Output:
    """Model calls write fewer tokens (or more)."""

    kind: ClassVar[str] = "output"
    selection: Selection
    text: str
    tokens: int | None = None
    """At most so many; None where a factor is meant."""
    factor: float = 1.0


@dataclass(frozen=True, slots=True)
class Input:
    """Model calls read fewer tokens (or more)."""

    kind: ClassVar[str] = "input"
    selection: Selection
    text: str
    tokens: int | None = None
    """At most so many; None where a factor is meant."""
    factor: float = 1.0


@dataclass(frozen=True, slots=True)
class Model:
    """Another model answers."""

    kind: ClassVar[str] = "model"
    selection: Selection
    text: str
    first_seconds: float
    token_seconds: float
    price: tuple[float, float] | None = None
    """Of a million input and output tokens."""


@dataclass(frozen=True, slots=True)
class Tier:
    """A slower and cheaper tier answers the model calls that have the slack for it; the others stay."""

    kind: ClassVar[str] = "tier"
    selection: Selection
    text: str
    factor: float
    """Of the duration."""
    price: float
    """Of what the call costs."""


@dataclass(frozen=True, slots=True)
class Hedge:
    """What takes longer than is usual is asked a second time, and the first answer counts."""

    kind: ClassVar[str] = "hedge"
    selection: Selection
    text: str
    percentile: float


@dataclass(frozen=True, slots=True)
class Retry:
    """Pauses before another attempt take so long, or a multiple of what they took."""

    kind: ClassVar[str] = "retry"
    selection: Selection
    text: str
    seconds: float | None = None
    factor: float = 1.0


Change: TypeAlias = (
    Duration | Parallel | Remove | Cache | Cap | RateLimit | Stop | Output | Input | Model | Tier | Hedge | Retry
)
