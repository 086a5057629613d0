"""Daily prices: read from the file that ships with the system, and what is computed on them."""

from __future__ import annotations

import csv
import functools
import math
from dataclasses import dataclass
from importlib.resources import files
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Bar:
    """One trading day of one share."""

    date: str
    open: float
    high: float
    low: float
    close: float
    volume: float


@functools.cache
def all_bars() -> Mapping[str, Sequence[Bar]]:
    """Return the bars of each ticker, oldest first."""
    text = files("spanwise_pipeline.systems.hedge_fund").joinpath("data/prices.csv").read_text(encoding="utf-8")
    found: dict[str, list[Bar]] = {}
    for row in csv.DictReader(line for line in text.splitlines() if not line.startswith("#")):
        numbers = (float(row[column]) for column in ("open", "high", "low", "close", "volume"))
        found.setdefault(row["ticker"], []).append(Bar(row["date"], *numbers))
    return found


def bars_until(ticker: str, as_of: str) -> list[Bar]:
    """Return the bars of `ticker` up to and including the day `as_of`."""
    return [bar for bar in all_bars()[ticker] if bar.date <= as_of]


def average(closes: Sequence[float], days: int) -> float:
    """Return the mean of the last `days` closes."""
    return sum(closes[-days:]) / len(closes[-days:])


def strength(closes: Sequence[float], days: int) -> float:
    """Return Cutler's relative strength index, 0 to 100: plain means of the last `days` gains and losses."""
    changes = [after - before for before, after in pairwise(closes[-days - 1 :])]
    gain = sum(change for change in changes if change > 0)
    loss = -sum(change for change in changes if change < 0)
    return 100.0 if loss == 0 else 100 - 100 / (1 + gain / loss)


def volatility(closes: Sequence[float], days: int) -> float:
    """Return the standard deviation of the last `days` log returns, for a year of 252 days."""
    returns = [math.log(after / before) for before, after in pairwise(closes[-days - 1 :])]
    mean = sum(returns) / len(returns)
    return math.sqrt(252 * sum((value - mean) ** 2 for value in returns) / (len(returns) - 1))


def drawdown(closes: Sequence[float]) -> float:
    """Return the largest fall from a high so far, as a share of that high."""
    high, worst = closes[0], 0.0
    for close in closes:
        high = max(high, close)
        worst = max(worst, 1 - close / high)
    return worst
