"""Technical indicators, computed from daily prices; plain arithmetic on lists, oldest first."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Bar:
    """One trading day."""

    date: str
    open: float
    high: float
    low: float
    close: float
    volume: float


def average(values: Sequence[float], days: int) -> float:
    """Return the mean of the last `days` values."""
    tail = values[-days:]
    return sum(tail) / len(tail)


def exponential_average(values: Sequence[float], days: int) -> float:
    """Return the exponential moving average with smoothing 2 / (days + 1), started at the first value."""
    weight = 2 / (days + 1)
    result = values[0]
    for value in values[1:]:
        result += weight * (value - result)
    return result


def relative_strength(closes: Sequence[float], days: int) -> float:
    """Return the relative strength index by Cutler: plain means of the last `days` gains and losses; 0 to 100."""
    changes = [after - before for before, after in pairwise(closes[-days - 1 :])]
    gain = sum(change for change in changes if change > 0)
    loss = -sum(change for change in changes if change < 0)
    return 100.0 if loss == 0 else 100 - 100 / (1 + gain / loss)


def true_range(bars: Sequence[Bar], days: int) -> float:
    """Return the mean true range of the last `days` bars (Wilder's range, plainly averaged)."""
    ranges = [
        max(today.high - today.low, abs(today.high - before.close), abs(today.low - before.close))
        for before, today in pairwise(bars[-days - 1 :])
    ]
    return sum(ranges) / len(ranges)


def volatility(closes: Sequence[float], days: int, year: int) -> float:
    """Return the standard deviation of the last `days` log returns, a year's worth."""
    returns = [math.log(after / before) for before, after in pairwise(closes[-days - 1 :])]
    mean = sum(returns) / len(returns)
    variance = sum((value - mean) ** 2 for value in returns) / (len(returns) - 1)
    return math.sqrt(variance * year)


def max_drawdown(closes: Sequence[float]) -> float:
    """Return the largest fall from a high so far, as a share of that high."""
    high, worst = closes[0], 0.0
    for close in closes:
        high = max(high, close)
        worst = max(worst, 1 - close / high)
    return worst
