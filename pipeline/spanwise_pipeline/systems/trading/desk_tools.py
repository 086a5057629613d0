"""The twelve tools of the four analysts: each fetches its sources and prints named figures, one a line."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any, Final

from spanwise_pipeline import Tool, Toolbox, fetch
from spanwise_pipeline.systems.trading import readings

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from spanwise_pipeline import Clock
    from spanwise_pipeline.systems.trading.flags import TradingFlags
    from spanwise_pipeline.systems.trading.indicators import Bar
    from spanwise_pipeline.systems.trading.market_data import MarketData
    from spanwise_pipeline.systems.trading.readings import Figures

CHECK_SECONDS: Final = 0.05
"""System seconds that the reference-data service takes to confirm a tool's figures."""
_PARAMETERS: Final = {
    "type": "object",
    "properties": {
        "ticker": {"type": "string", "description": "Symbol of the share."},
        "as_of": {"type": "string", "description": "Last trading day to look at, as YYYY-MM-DD."},
        "lookback_days": {"type": "integer", "description": "Trading days to look back."},
    },
    "required": ["ticker", "as_of", "lookback_days"],
}


class DeskTools:
    """The tools, bound to one desk's data."""

    def __init__(self, data: MarketData, flags: TradingFlags) -> None:
        self._data = data
        self._together = flags.async_fetch

    def toolbox(self, analyst: str) -> Toolbox:
        """Return the tools of `analyst` (market, sentiment, news or fundamentals)."""
        return Toolbox(
            Tool(name, function.__doc__ or name, _PARAMETERS, self._printing(function))
            for name, function in self._functions()[analyst].items()
        )

    def _functions(self) -> dict[str, dict[str, Callable[..., Coroutine[Any, Any, Figures]]]]:
        return {
            "market": {
                "price_trend": self.price_trend,
                "momentum": self.momentum,
                "volatility": self.volatility,
            },
            "sentiment": {
                "social_posts": self.social_posts,
                "analyst_ratings": self.analyst_ratings,
                "insider_trades": self.insider_trades,
            },
            "news": {
                "company_news": self.company_news,
                "macro_news": self.macro_news,
                "event_calendar": self.event_calendar,
            },
            "fundamentals": {
                "income_statement": self.income_statement,
                "balance_sheet": self.balance_sheet,
                "valuation": self.valuation,
            },
        }

    @staticmethod
    def _printing(function: Callable[..., Coroutine[Any, Any, Figures]]) -> Callable[..., Coroutine[Any, Any, str]]:
        async def printed(ticker: str, as_of: str, lookback_days: int) -> str:
            return print_figures(await function(ticker, as_of, lookback_days))

        return printed

    async def _fetch(self, ticker: str, first: str, second: str) -> tuple[Any, Any]:
        if self._together:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._data.fetch(source, ticker)) for source in (first, second)]
            return tasks[0].result(), tasks[1].result()
        return await self._data.fetch(first, ticker), await self._data.fetch(second, ticker)

    async def _chart(self, ticker: str, as_of: str, lookback_days: int) -> tuple[list[Bar], dict[str, int]]:
        prices, settings = await self._fetch(ticker, "prices", "indicators")
        return readings.until(prices, as_of, lookback_days), settings

    async def price_trend(self, ticker: str, as_of: str, lookback_days: int) -> Figures:
        """Last close and its moving averages."""
        return readings.price_trend(*await self._chart(ticker, as_of, lookback_days))

    async def momentum(self, ticker: str, as_of: str, lookback_days: int) -> Figures:
        """Relative strength, MACD and the return of the last month."""
        return readings.momentum(*await self._chart(ticker, as_of, lookback_days))

    async def volatility(self, ticker: str, as_of: str, lookback_days: int) -> Figures:
        """True range, volatility and the deepest fall."""
        return readings.volatility(*await self._chart(ticker, as_of, lookback_days))

    async def social_posts(self, ticker: str, as_of: str, lookback_days: int) -> Figures:
        """Number and tone of posts."""
        del lookback_days
        return readings.social_posts(await self._data.fetch("sentiment", ticker), as_of)

    async def analyst_ratings(self, ticker: str, as_of: str, lookback_days: int) -> Figures:
        """Brokers' ratings."""
        del as_of, lookback_days
        return readings.analyst_ratings(await self._data.fetch("sentiment", ticker))

    async def insider_trades(self, ticker: str, as_of: str, lookback_days: int) -> Figures:
        """Shares bought and sold by insiders."""
        del lookback_days
        return readings.insider_trades(await self._data.fetch("sentiment", ticker), as_of)

    async def company_news(self, ticker: str, as_of: str, lookback_days: int) -> Figures:
        """Number and tone of articles about the company."""
        del lookback_days
        return readings.company_news(await self._data.fetch("news", ticker), as_of)

    async def macro_news(self, ticker: str, as_of: str, lookback_days: int) -> Figures:
        """Number and tone of articles about the economy."""
        del lookback_days
        return readings.macro_news(await self._data.fetch("news", ticker), as_of)

    async def event_calendar(self, ticker: str, as_of: str, lookback_days: int) -> Figures:
        """Coming events."""
        del lookback_days
        return readings.event_calendar(await self._data.fetch("news", ticker), as_of)

    async def income_statement(self, ticker: str, as_of: str, lookback_days: int) -> Figures:
        """Growth and margins."""
        del lookback_days
        return readings.income_statement(readings.as_filed(await self._data.fetch("fundamentals", ticker), as_of))

    async def balance_sheet(self, ticker: str, as_of: str, lookback_days: int) -> Figures:
        """Debt and liquidity."""
        del lookback_days
        return readings.balance_sheet(readings.as_filed(await self._data.fetch("fundamentals", ticker), as_of))

    async def valuation(self, ticker: str, as_of: str, lookback_days: int) -> Figures:
        """Price to earnings and yields."""
        accounts, prices = await self._fetch(ticker, "fundamentals", "prices")
        return readings.valuation(readings.as_filed(accounts, as_of), readings.until(prices, as_of, lookback_days))


def print_figures(figures: Figures) -> str:
    """Return figures as lines `name = value`."""
    return "\n".join(f"{name} = {value:.10g}" for name, value in figures.items())


async def check_figures(text: str, clock: Clock) -> str:
    """Confirm a tool's figures with the reference-data service and return them.

    Raises:
        ValueError: a figure is not a finite number.
    """
    for line in text.splitlines():
        name, _, value = line.partition(" = ")
        if not math.isfinite(float(value)):
            raise ValueError(f"the figure {name} is not finite: {value}")
    await fetch("reference_data", {"figures": text}, lambda: clock.sleep(CHECK_SECONDS))
    return text
