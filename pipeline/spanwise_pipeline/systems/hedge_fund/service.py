"""The data service: four questions about a share, answered from real prices and made-up accounts, slowly.

The answers come from the files in `data/`; only the round trip to a remote service is simulated. Where the flag says
so, answers are cached in memory above a store that processes share, and whoever asks while an answer is on its way
waits for that one.
"""

from __future__ import annotations

import functools
import json
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from spanwise_pipeline import Cache, fetch
from spanwise_pipeline.systems.hedge_fund import prices

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from spanwise_pipeline import Clock, Store

Figures = dict[str, float]
ROUND_TRIP: Final = 0.14
"""System seconds that the service takes for one answer."""
CACHE_TTL: Final = 300.0
_CACHE_ENTRIES: Final = 1024
_NEWS_DAYS: Final = 10


class DataService:
    """The service as one fund sees it.

    Args:
        clock: system time.
        cached: keep answers for five minutes.
        store: below the memory of the cache; `None` for memory alone.
    """

    def __init__(self, clock: Clock, *, cached: bool, store: Store | None) -> None:
        self._clock = clock
        self.cache: Cache[Figures] | None = None
        if cached:
            self.cache = Cache("market_data", capacity=_CACHE_ENTRIES, ttl=CACHE_TTL, clock=clock, store=store)

    async def figures(self, source: str, ticker: str, as_of: str) -> Figures:
        """Return the figures of `source` on the share `ticker` as they were known on the day `as_of`."""
        inputs = {"source": source, "ticker": ticker, "as_of": as_of}

        async def load() -> Figures:
            return await fetch(source, inputs, lambda: self._remote(source, ticker, as_of))

        return await load() if self.cache is None else await self.cache.get(inputs, load)

    async def _remote(self, source: str, ticker: str, as_of: str) -> Figures:
        await self._clock.sleep(ROUND_TRIP)
        return SOURCES[source](ticker, as_of)

    async def precompute(self, tickers: Iterable[str], days: Sequence[str]) -> int:
        """Ask ahead for all sources of popular shares, eight at a time; returns how many answers were not there yet."""
        if self.cache is None:
            return 0
        questions = [(source, ticker, day) for ticker in tickers for day in days for source in SOURCES]
        wanted = [
            (
                {"source": source, "ticker": ticker, "as_of": day},
                functools.partial(self._remote, source, ticker, day),
            )
            for source, ticker, day in questions
        ]
        return await self.cache.precompute(wanted)


@functools.cache
def companies() -> dict[str, Any]:
    """Return what is known of each company besides its prices, by ticker."""
    text = files("spanwise_pipeline.systems.hedge_fund").joinpath("data/companies.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)["companies"]
    return found


def price_figures(ticker: str, as_of: str) -> Figures:
    """Return averages, strength, returns and risk of the share's price."""
    closes = [bar.close for bar in prices.bars_until(ticker, as_of)]
    return {
        "average_20": round(prices.average(closes, 20), 3),
        "average_50": round(prices.average(closes, 50), 3),
        "strength": round(prices.strength(closes, 14), 2),
        "return_60": round(closes[-1] / closes[-61] - 1, 4),
        "volatility": round(prices.volatility(closes, 20), 4),
        "drawdown": round(prices.drawdown(closes[-60:]), 4),
    }


def account_figures(ticker: str, as_of: str) -> Figures:
    """Return the last accounts that were filed by the day."""
    filed = [accounts for accounts in companies()[ticker]["accounts"] if accounts["filed"] <= as_of]
    return {name: float(value) for name, value in filed[-1].items() if name != "filed"}


def estimate_figures(ticker: str, as_of: str) -> Figures:
    """Return the last estimates of analysts that were out by the day."""
    known = [estimate for estimate in companies()[ticker]["estimates"] if estimate["date"] <= as_of]
    return {name: float(value) for name, value in known[-1].items() if name != "date"}


def news_figures(ticker: str, as_of: str) -> Figures:
    """Return the number and tone of the news of the last ten days with any, and insiders' trades on these days."""
    days = [day for day in companies()[ticker]["news"] if day["date"] <= as_of][-_NEWS_DAYS:]
    names = {
        "news": "articles", "positive_news": "positive", "negative_news": "negative",
        "insider_buys": "insider_buys", "insider_sells": "insider_sells",
    }  # fmt: skip
    return {name: float(sum(day[key] for day in days)) for name, key in names.items()}


SOURCES: Final = {
    "prices": price_figures,
    "accounts": account_figures,
    "estimates": estimate_figures,
    "news": news_figures,
}
