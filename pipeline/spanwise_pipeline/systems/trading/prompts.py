"""What each agent is asked: paragraphs that all change the answer or its grade, none of them filler.

The instruction lines are plain sentences; their grammar is the simulated provider's (docs/provider.md), and a real
model reads them as well.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from spanwise_pipeline.systems.trading.flags import TradingFlags

Paragraphs = list[str]
_FACT: Final = re.compile(r"^(?:[-*] )?([a-z][a-z0-9_]*) = (.+?)\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Task:
    """What one agent is to write in one step."""

    title: str
    states: tuple[str, ...]
    """Facts of its context to pass on."""
    derives: tuple[str, ...] = ()
    """`Compute` and `Conclude` lines, in order."""
    words: str = "report"
    """Key of `WORDS`."""
    tools: tuple[str, ...] = ()


WORDS: Final[Mapping[str, tuple[int, int]]] = {
    "brief": (57, 38),
    "report": (98, 65),
    "debate": (50, 33),
    "plan": (50, 33),
    "risk": (50, 33),
    "decision": (50, 33),
}
"""Words for each fact: as first written, and concise."""

REQUEST_FACTS: Final = ("ticker", "as_of", "horizon_days", "risk_budget", "max_position")
SCORES: Final = ("market_score", "sentiment_score", "news_score", "fundamentals_score")


def _view(analyst: str, formula: str) -> tuple[str, str]:
    score = f"{analyst}_score"
    return (
        f"Compute {score}: round({formula}, 4).",
        f"Conclude {analyst}_view: bullish if {score} > 0.1; bearish if {score} < -0.1; else neutral.",
    )


BRIEF: Final = Task("Brief", REQUEST_FACTS, ("Compute lookback_days: horizon_days * 12 + 20.",), "brief")

ANALYSTS: Final[Mapping[str, Task]] = {
    "market": Task(
        "Market report",
        ("close", "sma_50", "sma_200", "rsi_14", "macd", "return_20d", "atr_14", "volatility_20d", "max_drawdown"),
        _view("market", "close / sma_200 - 1 + close / sma_50 - 1 + (rsi_14 - 50) / 50 + return_20d + macd / close"),
        tools=("price_trend", "momentum", "volatility"),
    ),
    "sentiment": Task(
        "Sentiment report",
        ("posts", "positive_posts", "negative_posts", "buy_ratings", "hold_ratings", "sell_ratings",
         "insider_buys", "insider_sells"),
        _view(
            "sentiment",
            "(positive_posts - negative_posts) / posts / 2 + (buy_ratings - sell_ratings) / (buy_ratings + hold_ratings"
            " + sell_ratings) / 2 + (insider_buys - insider_sells) / (insider_buys + insider_sells) / 10",
        ),
        tools=("social_posts", "analyst_ratings", "insider_trades"),
    ),
    "news": Task(
        "News report",
        ("articles", "positive_articles", "negative_articles", "macro_articles", "macro_tone", "coming_events",
         "days_to_earnings"),
        _view(
            "news",
            "(positive_articles - negative_articles) / articles / 2 + macro_tone * macro_articles / 10 + coming_events"
            " / days_to_earnings / 10",
        ),
        tools=("company_news", "macro_news", "event_calendar"),
    ),
    "fundamentals": Task(
        "Fundamentals report",
        ("revenue_growth", "operating_margin", "net_margin", "debt_to_equity", "current_ratio", "cash_share",
         "pe_ratio", "fcf_yield", "dividend_yield"),
        _view(
            "fundamentals",
            "revenue_growth + (operating_margin + net_margin) / 2 - debt_to_equity / 2 + current_ratio / 20"
            " + cash_share / 10 + fcf_yield + dividend_yield - pe_ratio / 100",
        ),
        tools=("income_statement", "balance_sheet", "valuation"),
    ),
}  # fmt: skip

BULL_OPENING: Final = Task(
    "Bull case", SCORES, (f"Compute bull_strength: round({' + '.join(f'max({s}, 0)' for s in SCORES)}, 4).",), "debate"
)
BEAR_OPENING: Final = Task(
    "Bear case",
    ("volatility_20d", "max_drawdown", "negative_posts", "negative_articles", "pe_ratio"),
    (
        (
            "Compute bear_strength: round(volatility_20d + max_drawdown + negative_posts / posts"
            " + negative_articles / articles + pe_ratio / 100, 4)."
        ),
    ),
    "debate",
)
BULL_REBUTTAL: Final = Task(
    "Bull rebuttal", ("news_score",), ("Compute bull_final: round(bull_strength - bear_strength / 4, 4).",), "debate"
)
BEAR_REBUTTAL: Final = Task(
    "Bear rebuttal", ("bull_strength",), ("Compute bear_final: round(bear_strength - bull_strength / 4, 4).",), "debate"
)
RESEARCH_PLAN: Final = Task(
    "Research decision",
    ("bull_final", "bear_final", "market_score", "volatility_20d"),
    (
        "Compute conviction: round(bull_final - bear_final, 4).",
        "Conclude recommendation: BUY if conviction > 0.1; SELL if conviction < -0.1; else HOLD.",
    ),
    "plan",
)
TRADE_PLAN: Final = Task(
    "Trade plan",
    ("recommendation", "close", "atr_14", "max_position"),
    (
        "Compute stop_loss: round(close - 2 * atr_14, 2).",
        "Compute position_size: round(min(max_position, risk_budget * close / (2 * atr_14) / 10), 4).",
    ),
    "plan",
)
RISK_VIEWS: Final[Mapping[str, Task]] = {
    "aggressive": Task(
        "Aggressive view",
        ("position_size",),
        (
            "Compute aggressive_size: round(min(max_position, position_size * 1.5), 4).",
            "Compute aggressive_stop: round(stop_loss - atr_14, 2).",
        ),
        "risk",
    ),
    "conservative": Task(
        "Conservative view",
        ("stop_loss",),
        (
            "Compute conservative_size: round(position_size / 2, 4).",
            "Compute conservative_stop: round(stop_loss + atr_14 / 2, 2).",
        ),
        "risk",
    ),
    "neutral": Task(
        "Neutral view",
        ("atr_14",),
        (
            "Compute neutral_size: round(position_size * 0.9, 4).",
            "Compute neutral_stop: round(stop_loss + (close - stop_loss) / 10, 2).",
        ),
        "risk",
    ),
}
RISK_DECISION: Final = Task(
    "Risk decision",
    ("recommendation",),
    (
        "Compute final_size: round((aggressive_size + conservative_size + 2 * neutral_size) / 4, 4).",
        "Compute final_stop: round((aggressive_stop + conservative_stop + neutral_stop) / 3, 2).",
        (
            "Conclude decision: BUY if recommendation == BUY and final_size > 0.005;"
            " SELL if recommendation == SELL and final_size > 0.005; else HOLD."
        ),
    ),
    "decision",
)


def facts_of(text: str) -> dict[str, str]:
    """Return the facts `name = value` that a text states, in order."""
    return dict(_FACT.findall(text))


def only_facts(text: str) -> str:
    """Return a text's facts without its prose: what prompt compression passes on."""
    return "\n".join(f"{name} = {value}" for name, value in facts_of(text).items())


class Composer:
    """Puts prompts together as the flags say."""

    def __init__(self, flags: TradingFlags) -> None:
        self._flags = flags

    def compose(self, task: Task, context: Sequence[str]) -> Paragraphs:
        """Return the paragraphs of the prompt for `task`, given the texts that it builds on."""
        words = WORDS[task.words][1 if self._flags.concise_prompts else 0]
        texts = [only_facts(text) for text in context] if self._flags.compress_prompts else list(context)
        calls = [f"Call the tools {', '.join(task.tools)}."] if task.tools else []
        return [
            f"Title: {task.title}",
            *texts,
            *calls,
            f"State {', '.join(task.states)}.",
            *task.derives,
            f"Use about {words} words for each fact.",
        ]
