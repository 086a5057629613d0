"""What a gate finds, as plain data: `limits` and `regression` fill it, `render.gate` shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from spanwise_profiling.comparison import Comparison

Outcome: TypeAlias = Literal["pass", "fail", "inconclusive", "nothing_measured"]
CheckKind: TypeAlias = Literal["budget", "count", "cost", "seconds", "failures", "runs"]

_EXIT_CODES: Final[Mapping[Outcome, int]] = {"pass": 0, "fail": 1, "inconclusive": 3, "nothing_measured": 5}
_WORST_FIRST: Final[tuple[Outcome, ...]] = ("fail", "nothing_measured", "inconclusive", "pass")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that a gate looked at."""

    name: str
    """What is checked, such as `model calls` or `duration.p95`."""
    workflow: str
    kind: CheckKind
    outcome: Outcome
    text: str
    """What was found, as a sentence without a full stop: the measured value first, then what is allowed."""
    value: float | None = None
    """The value that was judged; `None` where there is none."""
    limit: float | None = None
    """What it may be at most, or at least."""
    unit: str = ""
    place: str | None = None
    """Where the limit is written: the key in the budget file, or an option."""
    details: tuple[str, ...] = ()
    """Of a check that failed: where the time, the calls or the tokens went, a line each."""
    decides: bool = True
    """Whether an inconclusive outcome keeps the gate from passing."""


@dataclass(frozen=True, slots=True)
class GateResult:
    """All checks of a gate, and the verdict that follows from them."""

    checks: tuple[Check, ...]
    comparisons: Mapping[str, Comparison]
    """By workflow; empty without a baseline."""
    notes: tuple[str, ...] = ()
    """What limits the verdict, a sentence each."""

    @property
    def verdict(self) -> Outcome:
        """`fail` where a check failed; a gate without checks has measured nothing."""
        found = {check.outcome for check in self.checks if check.decides or check.outcome != "inconclusive"}
        if not self.checks:
            return "nothing_measured"
        for outcome in _WORST_FIRST:
            if outcome in found:
                return outcome
        return "pass"

    @property
    def exit_code(self) -> int:
        """0 pass, 1 fail, 3 inconclusive, 5 nothing measured."""
        return _EXIT_CODES[self.verdict]

    def of(self, outcome: Outcome) -> Sequence[Check]:
        """Return the checks with this outcome."""
        return [check for check in self.checks if check.outcome == outcome]
