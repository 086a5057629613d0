"""What one run may take: the limits that a budget file and a test set on it."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields


@dataclass(frozen=True, kw_only=True)
class RunBudget:
    """What one run may take at most; what is left out has no limit."""

    seconds: float | None = None
    """System seconds from its start to its end."""
    tokens: float | None = None
    """Input and output together."""
    input_tokens: float | None = None
    output_tokens: float | None = None
    cost: float | None = None
    """In the currency of the price table."""
    model_calls: float | None = None
    tool_calls: float | None = None
    retries: float | None = None
    errors: float | None = None
    """Spans that ended in an error, without attempts that were tried again."""

    def __post_init__(self) -> None:
        for name, value in self.limits().items():
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} is {value:g}; write a number of 0 or more")
        if not self.limits():
            raise ValueError(f"no limit is given; give one of {', '.join(field.name for field in fields(self))}")

    def limits(self) -> dict[str, float]:
        """Return the limits that are given, by name."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: float(value) for name, value in given.items() if value is not None}
