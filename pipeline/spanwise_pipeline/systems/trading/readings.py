"""What the desk's tools find out: pure functions from sources to named figures, rounded as they are shown.

The tools print these and the rubric recomputes them, so that a report can be checked figure by figure.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from spanwise_pipeline.systems.trading import indicators

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from spanwise_pipeline.systems.trading.indicators import Bar

Figures = dict[str, float]


def until(bars: Sequence[Bar], as_of: str, lookback_days: int) -> list[Bar]:
    """Return the last `lookback_days` bars up to and including `as_of`."""
    return [bar for bar in bars if bar.date <= as_of][-lookback_days:]


def price_trend(bars: Sequence[Bar], settings: Mapping[str, int]) -> Figures:
    """Where the price stands to its averages."""
    closes = [bar.close for bar in bars]
    return {
        "close": round(closes[-1], 2),
        "sma_50": round(indicators.average(closes, settings["long_average"]), 3),
        "sma_200": round(indicators.average(closes, settings["year_average"]), 3),
    }


def momentum(bars: Sequence[Bar], settings: Mapping[str, int]) -> Figures:
    """How fast the price moves."""
    closes = [bar.close for bar in bars]
    fast = indicators.exponential_average(closes, settings["macd_fast"])
    slow = indicators.exponential_average(closes, settings["macd_slow"])
    return {
        "rsi_14": round(indicators.relative_strength(closes, settings["rsi"]), 2),
        "macd": round(fast - slow, 4),
        "return_20d": round(closes[-1] / closes[-1 - settings["momentum"]] - 1, 4),
    }


def volatility(bars: Sequence[Bar], settings: Mapping[str, int]) -> Figures:
    """How widely the price swings."""
    closes = [bar.close for bar in bars]
    return {
        "atr_14": round(indicators.true_range(bars, settings["atr"]), 4),
        "volatility_20d": round(indicators.volatility(closes, settings["volatility"], settings["year"]), 4),
        "max_drawdown": round(indicators.max_drawdown(closes), 4),
    }


def social_posts(source: Mapping[str, Any], as_of: str) -> Figures:
    """Posts of the last days and their tone."""
    days = [day for day in source["social_posts"] if day["date"] <= as_of]
    names = (("posts", "posts"), ("positive_posts", "positive"), ("negative_posts", "negative"))
    return {name: float(sum(day[key] for day in days)) for name, key in names}


def analyst_ratings(source: Mapping[str, Any]) -> Figures:
    """What brokers recommend."""
    ratings = [entry["rating"] for entry in source["analyst_ratings"]]
    return {f"{kind}_ratings": float(ratings.count(kind)) for kind in ("buy", "hold", "sell")}


def insider_trades(source: Mapping[str, Any], as_of: str) -> Figures:
    """Shares that insiders bought and sold."""
    trades = [trade for trade in source["insider_trades"] if trade["date"] <= as_of]
    return {
        f"insider_{side}s": float(sum(trade["shares"] for trade in trades if trade["side"] == side))
        for side in ("buy", "sell")
    }


def company_news(source: Mapping[str, Any], as_of: str) -> Figures:
    """Articles about the company and their tone."""
    tones = [article["tone"] for article in source["company"] if article["date"] <= as_of]
    return {
        "articles": float(len(tones)),
        "positive_articles": float(sum(tone > 0 for tone in tones)),
        "negative_articles": float(sum(tone < 0 for tone in tones)),
    }


def macro_news(source: Mapping[str, Any], as_of: str) -> Figures:
    """The tone of news about the economy, from -1 to 1."""
    tones = [article["tone"] for article in source["macro"] if article["date"] <= as_of]
    return {"macro_articles": float(len(tones)), "macro_tone": round(sum(tones) / len(tones), 4)}


def event_calendar(source: Mapping[str, Any], as_of: str) -> Figures:
    """What is ahead."""
    today = date.fromisoformat(as_of)
    coming = [event for event in source["events"] if date.fromisoformat(event["date"]) >= today]
    earnings = next(event for event in coming if event["event"] == "earnings")
    return {
        "coming_events": float(len(coming)),
        "days_to_earnings": float((date.fromisoformat(earnings["date"]) - today).days),
    }


def as_filed(source: Mapping[str, Any], as_of: str) -> Mapping[str, Any]:
    """Return the last accounts that were filed by `as_of`."""
    filings: list[Mapping[str, Any]] = [filing for filing in source["filings"] if filing["filed"] <= as_of]
    return filings[-1]


def income_statement(filing: Mapping[str, Any]) -> Figures:
    """Growth and margins, as shares of revenue."""
    income = filing["income"]
    return {
        "revenue_growth": round(income["revenue"] / income["revenue_before"] - 1, 4),
        "operating_margin": round(income["operating_income"] / income["revenue"], 4),
        "net_margin": round(income["net_income"] / income["revenue"], 4),
    }


def balance_sheet(filing: Mapping[str, Any]) -> Figures:
    """Debt and liquidity."""
    balance = filing["balance"]
    return {
        "debt_to_equity": round(balance["total_debt"] / balance["equity"], 4),
        "current_ratio": round(balance["current_assets"] / balance["current_liabilities"], 4),
        "cash_share": round(balance["cash"] / balance["total_assets"], 4),
    }


def valuation(filing: Mapping[str, Any], bars: Sequence[Bar]) -> Figures:
    """What the market pays for the figures."""
    value = bars[-1].close * filing["shares"]
    free_cash = filing["cash_flow"]["operating"] - filing["cash_flow"]["capital_expenditure"]
    return {
        "pe_ratio": round(value / filing["income"]["net_income"], 4),
        "fcf_yield": round(free_cash / value, 4),
        "dividend_yield": round(filing["cash_flow"]["dividends"] / value, 4),
    }
