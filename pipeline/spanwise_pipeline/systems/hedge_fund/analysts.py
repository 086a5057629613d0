"""The seventeen analysts: which data each reads, and the formula of its score for one share.

A formula is written in the words of the prompts, with `{t}` for the share's ticker in small letters. It is stated once,
here: the prompts ask for it, and the rubric computes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Analyst:
    """One analyst."""

    name: str
    group: str
    """Analysts of a group may run in turn."""
    sources: tuple[str, ...]
    """What it asks the data service for."""
    formula: str
    """Its score for a share: above 0 speaks for buying it."""


_WEEK: Final = "(day_5_close_{t} / day_1_close_{t} - 1)"
"""The share's return over the five days."""

ANALYSTS: Final = (
    Analyst(
        "fundamentals", "value", ("accounts",),
        f"operating_margin_{{t}} + net_margin_{{t}} - 0.3 - {_WEEK}",
    ),
    Analyst(
        "valuation", "value", ("accounts", "estimates"),
        f"eps_{{t}} * (1 + expected_growth_{{t}}) / day_5_close_{{t}} * 5 - 0.3 - {_WEEK}",
    ),
    Analyst(
        "deep_value", "value", ("accounts",),
        f"book_per_share_{{t}} / day_5_close_{{t}} - debt_to_equity_{{t}} / 4 - {_WEEK}",
    ),
    Analyst(
        "quality", "value", ("accounts",),
        f"return_on_equity_{{t}} + current_ratio_{{t}} / 20 - debt_to_equity_{{t}} / 4 - 0.2 - {_WEEK}",
    ),
    Analyst(
        "dividend", "value", ("accounts", "prices"),
        f"(dividend_per_share_{{t}} + cash_flow_per_share_{{t}}) / day_5_close_{{t}} - volatility_{{t}} / 4 - {_WEEK}",
    ),
    Analyst(
        "growth", "growth", ("accounts", "estimates"),
        f"revenue_growth_{{t}} + expected_growth_{{t}} - 0.25 + {_WEEK}",
    ),
    Analyst(
        "fair_growth", "growth", ("accounts", "estimates"),
        f"expected_growth_{{t}} * 100 / (day_5_close_{{t}} / eps_{{t}}) / 2 - 0.4 + {_WEEK}",
    ),
    Analyst(
        "innovation", "growth", ("accounts",),
        f"research_share_{{t}} * 2 + revenue_growth_{{t}} / 2 - 0.2 + {_WEEK}",
    ),
    Analyst(
        "street", "growth", ("estimates",),
        "target_price_{t} / day_5_close_{t} - 1 + (buy_ratings_{t} - sell_ratings_{t})"
        " / (buy_ratings_{t} + hold_ratings_{t} + sell_ratings_{t}) / 2 - 0.2",
    ),
    Analyst(
        "technicals", "trading", ("prices",),
        f"day_5_close_{{t}} / average_50_{{t}} - 1 + (strength_{{t}} - 50) / 100 + {_WEEK}",
    ),
    Analyst(
        "momentum", "trading", ("prices",),
        f"return_60_{{t}} + day_5_close_{{t}} / average_20_{{t}} - 1 + {_WEEK}",
    ),
    Analyst(
        "reversion", "trading", ("prices",),
        f"1 - day_5_close_{{t}} / average_20_{{t}} + (50 - strength_{{t}}) / 100 - {_WEEK}",
    ),
    Analyst(
        "trend", "trading", ("prices",),
        f"(average_20_{{t}} / average_50_{{t}} - 1) * 5 - drawdown_{{t}} / 4 + {_WEEK}",
    ),
    Analyst(
        "activist", "special", ("accounts", "news"),
        f"0.4 - operating_margin_{{t}} + (insider_buys_{{t}} - insider_sells_{{t}})"
        f" / (insider_buys_{{t}} + insider_sells_{{t}}) / 4 - {_WEEK}",
    ),
    Analyst(
        "contrarian", "special", ("prices", "news"),
        f"drawdown_{{t}} + negative_news_{{t}} / news_{{t}} / 2 - positive_news_{{t}} / news_{{t}} / 2 - {_WEEK}",
    ),
    Analyst(
        "tail_risk", "special", ("prices",),
        f"0.3 - volatility_{{t}} - drawdown_{{t}} / 2 + {_WEEK}",
    ),
    Analyst(
        "sentiment", "sentiment", ("news",),
        f"(positive_news_{{t}} - negative_news_{{t}}) / news_{{t}} + {_WEEK}",
    ),
)  # fmt: skip
