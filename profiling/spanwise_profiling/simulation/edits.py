"""A change as the simulation takes it: about the nodes of one run, whatever words it was asked for in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Slots:
    """At most `capacity` of `members` go on at once; the others queue in order of arrival."""

    capacity: int
    members: Sequence[int]


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `count` of `members` start in any `window_ns`; the others queue in order of arrival."""

    count: int
    window_ns: int
    members: Sequence[int]


@dataclass(slots=True)
class Edits:
    """What is to be different; nodes are numbers of the run's tree, lengths are recorded nanoseconds."""

    cuts: dict[int, int] = field(default_factory=dict[int, int])
    """Node to what its end comes earlier than it would; less than 0: later."""
    factors: dict[int, float] = field(default_factory=dict[int, float])
    """Node to what its own time, and that of all below it, is multiplied by."""
    together: list[Sequence[Sequence[int]]] = field(default_factory=list["Sequence[Sequence[int]]"])
    """Lines of siblings that start when the first of all does; within a line one follows another, and what waited for
    one of them waits for all."""
    after: dict[int, Sequence[int]] = field(default_factory=dict[int, "Sequence[int]"])
    """Node to the siblings that it starts after, in place of all that had ended."""
    gone: set[int] = field(default_factory=set[int])
    """Nodes that take no time, with all below them."""
    keys: dict[int, str] = field(default_factory=dict[int, str])
    """Node to its question: the first asked is made, later ones take its answer and wait for it if need be."""
    hits: set[int] = field(default_factory=set[int])
    """Nodes whose answer is there already."""
    hit_ns: dict[int, int] = field(default_factory=dict[int, int])
    """Node to what an answer that is there takes."""
    slots: list[Slots] = field(default_factory=list[Slots])
    rates: list[Rate] = field(default_factory=list[Rate])

    def __bool__(self) -> bool:
        return bool(
            any(self.cuts.values())
            or self.factors
            or self.together
            or self.after
            or self.gone
            or self.keys
            or self.hits
            or self.slots
            or self.rates
        )
