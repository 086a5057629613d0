"""The desk's figures: indicators against values worked by hand, and where the data come from."""

from __future__ import annotations

import asyncio
import inspect
import json
import math
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import pytest

from spanwise.testing import run_virtual
from spanwise_pipeline import Clock, ToolCall
from spanwise_pipeline.systems.trading import indicators, readings
from spanwise_pipeline.systems.trading.desk_tools import DeskTools, check_figures, print_figures
from spanwise_pipeline.systems.trading.flags import TradingFlags
from spanwise_pipeline.systems.trading.indicators import Bar
from spanwise_pipeline.systems.trading.market_data import CACHE_TTL, ROUND_TRIP, MarketData, read_source

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

DATA: Traversable = files("spanwise_pipeline.systems.trading").joinpath("data")
ARGUMENTS = {"ticker": "MSFT", "as_of": "2013-03-01", "lookback_days": 260}
SETTINGS = {
    "long_average": 3, "year_average": 4, "macd_fast": 1, "macd_slow": 3, "rsi": 3, "momentum": 2, "atr": 2,
    "volatility": 2, "year": 4,
}  # fmt: skip


def bars(*closes: float) -> list[Bar]:
    return [Bar(f"2013-01-{day:02}", close, close + 1, close - 2, close, 100) for day, close in enumerate(closes, 1)]


def test_the_average_is_the_mean_of_the_last_days() -> None:
    assert indicators.average([1, 2, 3, 6], 2) == 4.5


def test_the_exponential_average_starts_at_the_first_value() -> None:
    # weight 2 / (3 + 1) = 0.5: 10, then 10 + 0.5 x (12 - 10) = 11, then 11 + 0.5 x (8 - 11) = 9.5
    assert indicators.exponential_average([10, 12, 8], 3) == 9.5


def test_relative_strength_weighs_gains_against_losses() -> None:
    # changes +3, -1, +1: gains 4, losses 1, so 100 - 100 / (1 + 4)
    assert indicators.relative_strength([10, 13, 12, 13], 3) == 80.0
    assert indicators.relative_strength([99, 10, 13, 12, 13], 3) == 80.0
    assert indicators.relative_strength([1, 2, 3], 2) == 100.0
    assert indicators.relative_strength([3, 2, 1], 2) == 0.0


def test_the_true_range_counts_gaps_from_the_day_before() -> None:
    days = [Bar("a", 9, 10, 8, 9, 1), Bar("b", 14, 15, 13, 14, 1), Bar("c", 14, 15, 12, 13, 1)]

    # 15 - 9 = 6 (a gap up), then max(15 - 12, 15 - 14, 14 - 12) = 3
    assert indicators.true_range(days, 2) == 4.5


def test_volatility_is_the_deviation_of_log_returns_over_a_year() -> None:
    # returns ln 2 and -ln 2: mean 0, variance (2 x ln2^2) / 1, times 4 days a year
    assert indicators.volatility([1, 2, 1], 2, 4) == pytest.approx(math.sqrt(8) * math.log(2))
    assert indicators.volatility([5, 5, 5], 2, 4) == 0.0


def test_the_drawdown_is_the_deepest_fall_from_a_high() -> None:
    assert indicators.max_drawdown([10, 8, 12, 9, 11, 12]) == 0.25
    assert indicators.max_drawdown([1, 2, 3]) == 0.0


def test_readings_of_prices() -> None:
    days = bars(10, 13, 12, 13)

    assert readings.price_trend(days, SETTINGS) == {"close": 13, "sma_50": 12.667, "sma_200": 12}
    # fast average with weight 1 is the last close; slow one: 10, 11.5, 11.75, 12.375
    assert readings.momentum(days, SETTINGS) == {"rsi_14": 80.0, "macd": 0.625, "return_20d": 0.0}
    assert readings.volatility(days, SETTINGS) == {"atr_14": 3.0, "volatility_20d": 0.2264, "max_drawdown": 0.0769}


def test_only_the_last_days_up_to_the_date_are_looked_at() -> None:
    assert [bar.close for bar in readings.until(bars(1, 2, 3, 4), "2013-01-03", 2)] == [2, 3]


def test_nothing_that_came_after_the_date_is_used() -> None:
    mood, news, accounts = read_source("sentiment"), read_source("news"), read_source("fundamentals")

    def at(day: str) -> list[dict[str, float]]:
        return [
            readings.social_posts(mood, day), readings.insider_trades(mood, day), readings.company_news(news, day),
            readings.macro_news(news, day), readings.income_statement(readings.as_filed(accounts, day)),
        ]  # fmt: skip

    now, later = at("2013-03-01"), at("2013-12-31")
    assert [a != b for a, b in zip(now, later, strict=True)] == [True] * 5
    assert now[0] == {"posts": 3100.0, "positive_posts": 1499.0, "negative_posts": 690.0}
    assert now[1] == {"insider_buys": 33000.0, "insider_sells": 18000.0}
    assert now[2] == {"articles": 10.0, "positive_articles": 6.0, "negative_articles": 3.0}
    assert now[3] == {"macro_articles": 5.0, "macro_tone": 0.16}
    assert now[4] == {"revenue_growth": 0.0599, "operating_margin": 0.362, "net_margin": 0.2867}


def test_ratings_and_events_are_counted() -> None:
    assert readings.analyst_ratings(read_source("sentiment")) == {
        "buy_ratings": 6.0, "hold_ratings": 4.0, "sell_ratings": 2.0,
    }  # fmt: skip
    assert readings.event_calendar(read_source("news"), "2013-03-01") == {
        "coming_events": 4.0, "days_to_earnings": 48.0,
    }  # fmt: skip


def test_balance_sheet_and_valuation() -> None:
    filing = {
        "income": {"net_income": 50}, "shares": 10,
        "cash_flow": {"operating": 40, "capital_expenditure": 10, "dividends": 5},
        "balance": {"total_debt": 20, "equity": 80, "current_assets": 30, "current_liabilities": 20, "cash": 25,
                    "total_assets": 100},
    }  # fmt: skip

    assert readings.balance_sheet(filing) == {"debt_to_equity": 0.25, "current_ratio": 1.5, "cash_share": 0.25}
    assert readings.valuation(filing, bars(9, 20)) == {"pe_ratio": 4.0, "fcf_yield": 0.15, "dividend_yield": 0.025}


def test_the_price_series_says_where_it_is_from() -> None:
    first = DATA.joinpath("prices.csv").read_text(encoding="utf-8").splitlines()[0]

    assert first.startswith("# Daily prices of MSFT (NASDAQ)")
    assert "Public domain" in first


@pytest.mark.parametrize("name", ["fundamentals", "news", "sentiment"])
def test_made_up_data_say_so(name: str) -> None:
    document = json.loads(DATA.joinpath(f"{name}.json").read_text(encoding="utf-8"))

    assert document["about"].startswith("Synthetic: made up for this reference system")


def test_prices_are_a_year_of_trading_days_in_order_and_consistent() -> None:
    prices = read_source("prices")

    assert len(prices) == 260
    assert [bar.date for bar in prices] == sorted({bar.date for bar in prices})
    assert all(bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high for bar in prices)


def desk_tools(**flags: bool) -> tuple[DeskTools, MarketData]:
    chosen = TradingFlags(**flags)
    data = MarketData(Clock(), chosen)
    return DeskTools(data, chosen), data


def test_the_tools_print_the_figures_of_the_real_series() -> None:
    tools, _ = desk_tools(async_fetch=True)
    bars, settings = read_source("prices"), read_source("indicators")

    text, seconds = run_virtual(lambda: tools.toolbox("market").call(ToolCall("1", "momentum", ARGUMENTS)))

    assert text == print_figures(readings.momentum(bars, settings))
    assert seconds == pytest.approx(ROUND_TRIP)


@pytest.mark.parametrize(("together", "seconds"), [(False, 2 * ROUND_TRIP), (True, ROUND_TRIP)])
def test_sources_are_fetched_one_after_another_or_together(seconds: float, *, together: bool) -> None:
    tools, _ = desk_tools(async_fetch=together)

    took = run_virtual(lambda: tools.toolbox("market").call(ToolCall("1", "volatility", ARGUMENTS)))[1]

    assert took == pytest.approx(seconds)


def test_cached_market_data_are_fetched_once_in_five_minutes() -> None:
    tools, data = desk_tools(async_fetch=True, market_cache=True)
    box = tools.toolbox("news")

    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        ends: list[float] = []
        for pause in (0.0, CACHE_TTL - 1, 2.0):
            await asyncio.sleep(pause)
            await box.call(ToolCall("1", "company_news", ARGUMENTS))
            ends.append(loop.time())
        return ends

    ends, _ = run_virtual(main)

    assert ends == pytest.approx([0.1, 299.1, 301.2])
    assert data.cache is not None
    assert (data.cache.statistics().hits, data.cache.statistics().misses) == (1, 2)


def test_figures_are_checked_before_they_are_used() -> None:
    assert run_virtual(lambda: check_figures("a = 1\nb = -2.5", Clock())) == ("a = 1\nb = -2.5", 0.05)
    with pytest.raises(ValueError, match="the figure b is not finite: nan"):
        run_virtual(lambda: check_figures("a = 1\nb = nan", Clock()))


def test_every_tool_says_what_it_does_and_takes_the_same_arguments() -> None:
    tools, _ = desk_tools()
    offered: list[Any] = [
        definition["function"]
        for analyst in ("market", "sentiment", "news", "fundamentals")
        for definition in tools.toolbox(analyst).definitions()
    ]

    assert len({function["name"] for function in offered}) == 12
    assert all(function["description"].endswith(".") for function in offered)
    assert {tuple(function["parameters"]["required"]) for function in offered} == {tuple(ARGUMENTS)}
    assert all(inspect.iscoroutinefunction(getattr(tools, function["name"])) for function in offered)
