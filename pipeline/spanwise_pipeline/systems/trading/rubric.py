"""How good a report is: every figure that it must state is recomputed from the data, every section must be complete.

One check for each section's title, for each fact's value and for each fact's explanation, and one for the decision
following from the facts. The score is the share of checks that hold; A+ means all of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from spanwise_pipeline.systems.trading import prompts, readings
from spanwise_pipeline.systems.trading.market_data import read_source
from spanwise_pipeline.systems.trading.prompts import facts_of

if TYPE_CHECKING:
    from collections.abc import Mapping

Values = dict[str, float | str]
MIN_WORDS: Final = 12
"""Words of explanation that a stated fact needs."""
_TOLERANCE: Final = 6e-5
_GRADES: Final = ((100.0, "A+"), (95.0, "A"), (90.0, "A-"), (80.0, "B"), (70.0, "C"), (60.0, "D"))


@dataclass(frozen=True, slots=True)
class Grade:
    """What the rubric says of a report."""

    grade: str
    score: float
    """0 to 100."""
    faults: tuple[str, ...]
    """The checks that do not hold."""


def grade_report(sections: Mapping[str, str], request: str) -> Grade:
    """Grade the report's `sections` (title to text) on `request`."""
    expected = expected_values(facts_of(request))
    faults: list[str] = []
    checks = 0
    for title, names in SECTIONS.items():
        text = sections.get(title, "")
        checks += 1
        if not text.startswith(f"## {title}\n"):
            faults.append(f"{title}: the section is missing")
        for name in names:
            checks += 2
            faults += _fact_faults(title, text, name, expected[name])
    score = 100.0 * (checks - len(faults)) / checks
    letter = next((letter for least, letter in _GRADES if score >= least), "F")
    return Grade(letter, round(score, 2), tuple(faults))


def decision_of(sections: Mapping[str, str]) -> dict[str, Any]:
    """Return the decision and the facts that it rests on, as the sections state them, in canonical order."""
    stated: dict[str, str] = {}
    for title in SECTIONS:
        stated |= facts_of(sections.get(title, ""))
    return {name: _number_or_text(stated[name]) for name in sorted(ANSWER) if name in stated}


def _fact_faults(title: str, text: str, name: str, expected: float | str) -> list[str]:
    stated = facts_of(text).get(name)
    if stated is None:
        return [f"{title}: {name} is missing", f"{title}: {name} is not explained"]
    faults: list[str] = []
    if not _equal(stated, expected):
        faults.append(f"{title}: {name} is {stated}, must be {expected}")
    if len(_explanation(text, name).split()) < MIN_WORDS:
        faults.append(f"{title}: {name} is not explained")
    return faults


def _explanation(text: str, name: str) -> str:
    after = re.split(rf"^{name} = .*$", text, maxsplit=1, flags=re.MULTILINE)[-1]
    return re.split(r"^[a-z][a-z0-9_]* (?:=|is not known)", after, maxsplit=1, flags=re.MULTILINE)[0]


def _number_or_text(value: str) -> float | str:
    try:
        return float(value)
    except ValueError:
        return value


def _equal(stated: str, expected: float | str) -> bool:
    value = _number_or_text(stated)
    if isinstance(value, float) and isinstance(expected, float):
        return abs(value - expected) <= _TOLERANCE
    return value == expected


def expected_values(request: Mapping[str, str]) -> Values:
    """Return every fact that the report must state, computed from the data without any model."""
    values: Values = {name: _number_or_text(request[name]) for name in prompts.REQUEST_FACTS}
    values["lookback_days"] = float(request["horizon_days"]) * 12 + 20
    values |= _figures(request["as_of"], int(values["lookback_days"]))
    values |= _scores({name: value for name, value in values.items() if isinstance(value, float)})
    number = {name: value for name, value in values.items() if isinstance(value, float)}
    values |= _debate(number)
    values |= _trade(values)
    return values


def _figures(as_of: str, lookback: int) -> Values:
    bars, settings = readings.until(read_source("prices"), as_of, lookback), read_source("indicators")
    mood, news = read_source("sentiment"), read_source("news")
    accounts = readings.as_filed(read_source("fundamentals"), as_of)
    figures = (
        readings.price_trend(bars, settings), readings.momentum(bars, settings), readings.volatility(bars, settings),
        readings.social_posts(mood, as_of), readings.analyst_ratings(mood), readings.insider_trades(mood, as_of),
        readings.company_news(news, as_of), readings.macro_news(news, as_of), readings.event_calendar(news, as_of),
        readings.income_statement(accounts), readings.balance_sheet(accounts), readings.valuation(accounts, bars),
    )  # fmt: skip
    return {name: value for part in figures for name, value in part.items()}


def _scores(v: Mapping[str, float]) -> Values:
    ratings = v["buy_ratings"] + v["hold_ratings"] + v["sell_ratings"]
    insiders = v["insider_buys"] + v["insider_sells"]
    scores = {
        "market": v["close"] / v["sma_200"] - 1 + v["close"] / v["sma_50"] - 1 + (v["rsi_14"] - 50) / 50
        + v["return_20d"] + v["macd"] / v["close"],
        "sentiment": (v["positive_posts"] - v["negative_posts"]) / v["posts"] / 2
        + (v["buy_ratings"] - v["sell_ratings"]) / ratings / 2
        + (v["insider_buys"] - v["insider_sells"]) / insiders / 10,
        "news": (v["positive_articles"] - v["negative_articles"]) / v["articles"] / 2
        + v["macro_tone"] * v["macro_articles"] / 10 + v["coming_events"] / v["days_to_earnings"] / 10,
        "fundamentals": v["revenue_growth"] + (v["operating_margin"] + v["net_margin"]) / 2 - v["debt_to_equity"] / 2
        + v["current_ratio"] / 20 + v["cash_share"] / 10 + v["fcf_yield"] + v["dividend_yield"] - v["pe_ratio"] / 100,
    }  # fmt: skip
    views: Values = {}
    for name, score in scores.items():
        rounded = round(score, 4)
        views[f"{name}_score"] = rounded
        views[f"{name}_view"] = "bullish" if rounded > 0.1 else "bearish" if rounded < -0.1 else "neutral"  # noqa: PLR2004 - the analysts' threshold
    return views


def _debate(v: Mapping[str, float]) -> Values:
    bull = round(sum(max(v[score], 0.0) for score in prompts.SCORES), 4)
    bear = round(
        v["volatility_20d"] + v["max_drawdown"] + v["negative_posts"] / v["posts"]
        + v["negative_articles"] / v["articles"] + v["pe_ratio"] / 100, 4,
    )  # fmt: skip
    bull_final, bear_final = round(bull - bear / 4, 4), round(bear - bull / 4, 4)
    conviction = round(bull_final - bear_final, 4)
    recommendation = "BUY" if conviction > 0.1 else "SELL" if conviction < -0.1 else "HOLD"  # noqa: PLR2004 - the manager's
    return {
        "bull_strength": bull, "bear_strength": bear, "bull_final": bull_final, "bear_final": bear_final,
        "conviction": conviction, "recommendation": recommendation,
    }  # fmt: skip


def _trade(values: Values) -> Values:
    v = {name: value for name, value in values.items() if isinstance(value, float)}
    stop = round(v["close"] - 2 * v["atr_14"], 2)
    size = round(min(v["max_position"], v["risk_budget"] * v["close"] / (2 * v["atr_14"]) / 10), 4)
    sizes = (round(min(v["max_position"], size * 1.5), 4), round(size / 2, 4), round(size * 0.9, 4))
    stops = (
        round(stop - v["atr_14"], 2), round(stop + v["atr_14"] / 2, 2), round(stop + (v["close"] - stop) / 10, 2),
    )  # fmt: skip
    final_size = round((sizes[0] + sizes[1] + 2 * sizes[2]) / 4, 4)
    acts = values["recommendation"] != "HOLD" and final_size > 0.005  # noqa: PLR2004 - the risk manager's least position
    named = {f"{view}_size": size for view, size in zip(prompts.RISK_VIEWS, sizes, strict=True)}
    named |= {f"{view}_stop": stop for view, stop in zip(prompts.RISK_VIEWS, stops, strict=True)}
    return {
        **named, "stop_loss": stop, "position_size": size, "final_size": final_size,
        "final_stop": round(sum(stops) / 3, 2), "decision": values["recommendation"] if acts else "HOLD",
    }  # fmt: skip


def _written(task: prompts.Task) -> tuple[str, ...]:
    return task.states + tuple(line.split()[1].rstrip(":") for line in task.derives)


_TASKS: Final = (
    prompts.BRIEF, *prompts.ANALYSTS.values(), prompts.BULL_OPENING, prompts.BEAR_OPENING, prompts.BULL_REBUTTAL,
    prompts.BEAR_REBUTTAL, prompts.RESEARCH_PLAN, prompts.TRADE_PLAN, *prompts.RISK_VIEWS.values(),
    prompts.RISK_DECISION,
)  # fmt: skip
SECTIONS: Final[Mapping[str, tuple[str, ...]]] = {task.title: _written(task) for task in _TASKS}
"""Title of each section to the facts that it must state."""
ANSWER: Final = frozenset(
    {"ticker", "as_of", "decision", "final_size", "final_stop", "recommendation", "conviction", "bull_strength",
     "bear_strength", *prompts.SCORES}
)  # fmt: skip
"""The decision and the facts that it rests on."""
