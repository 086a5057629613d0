"""What an analysis begins with: the request, and the last trading days of each share, as facts for the prompts.

A plain function of plain values, so that it runs in a subprocess as well as here.
"""

from __future__ import annotations

from dataclasses import dataclass

from spanwise_pipeline.systems.hedge_fund.prices import bars_until


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of the fund."""

    tickers: tuple[str, ...]
    as_of: str
    """The last day that is known, as YYYY-MM-DD; a trading day."""
    days: int = 5
    """Trading days that the decision looks at."""
    cash: float = 1_000_000.0
    max_position: float = 0.25
    """Largest share of the cash in one position."""
    risk_budget: float = 0.004
    """Share of the cash that a usual day may cost."""
    threshold: float = 0.1
    """A score beyond this, up or down, is a signal."""


def prepare(request: Request) -> dict[str, str]:
    """Return the facts that all agents are told, by name.

    Raises:
        ValueError: a ticker without prices, or too few days of them.
    """
    facts = {
        "cash": f"{request.cash:g}",
        "max_position": f"{request.max_position:g}",
        "risk_budget": f"{request.risk_budget:g}",
        "bullish_above": f"{request.threshold:g}",
        "bearish_below": f"{-request.threshold:g}",
    }
    for ticker in request.tickers:
        facts |= _days(ticker, request)
    return facts


def _days(ticker: str, request: Request) -> dict[str, str]:
    try:
        bars = bars_until(ticker, request.as_of)[-request.days :]
    except KeyError:
        raise ValueError(f"no prices of {ticker!r}; the shares are those in data/prices.csv") from None
    if len(bars) < request.days or bars[-1].date != request.as_of:
        raise ValueError(f"{ticker}: {request.as_of} is not the last of {request.days} trading days with prices")
    facts: dict[str, str] = {}
    for day, bar in enumerate(bars, 1):
        values = {"close": bar.close, "high": bar.high, "low": bar.low, "volume": bar.volume}
        facts |= {f"day_{day}_{name}_{ticker.lower()}": f"{value:.10g}" for name, value in values.items()}
    return facts
