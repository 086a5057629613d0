"""How good a decision is: every value that an agent must state is computed from the data by the same formulas.

One check for each value. The score is the share of checks that hold; A+ means all of them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from spanwise_pipeline.systems.hedge_fund.analysts import ANALYSTS
from spanwise_pipeline.systems.hedge_fund.prompts import facts_of
from spanwise_pipeline.systems.hedge_fund.service import SOURCES
from spanwise_pipeline.systems.hedge_fund.window import Request, prepare

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spanwise_pipeline.systems.hedge_fund.analysts import Analyst

Values = dict[str, float | str]
_TOLERANCE: Final = 6e-5
_GRADES: Final = ((100.0, "A+"), (95.0, "A"), (90.0, "A-"), (80.0, "B"), (70.0, "C"), (60.0, "D"))
_FUNCTIONS: Final = {"min": min, "max": max, "abs": abs, "round": round}


@dataclass(frozen=True, slots=True)
class Grade:
    """What the rubric says of a decision."""

    grade: str
    score: float
    """0 to 100."""
    faults: tuple[str, ...]
    """The checks that do not hold."""


def grade_texts(texts: Mapping[str, str], request: Request) -> Grade:
    """Grade what each agent wrote on `request`."""
    faults: list[str] = []
    checks = 0
    for agent, expected in expected_values(request).items():
        stated = facts_of(texts.get(agent, ""))
        checks += len(expected)
        for name, value in expected.items():
            if name not in stated:
                faults.append(f"{agent}: {name} is missing")
            elif not _equal(stated[name], value):
                faults.append(f"{agent}: {name} is {stated[name]}, must be {value}")
    score = 100.0 * (checks - len(faults)) / checks
    letter = next((letter for least, letter in _GRADES if score >= least), "F")
    return Grade(letter, round(score, 2), tuple(faults))


def decision_of(texts: Mapping[str, str], request: Request) -> dict[str, Any]:
    """Return the decision and what it rests on, as the managers state it, in canonical order."""
    stated = facts_of(texts.get("risk_manager", "")) | facts_of(texts.get("portfolio_manager", ""))
    names = ("action", "shares", "vote", "consensus", "limit", "range")
    answer: dict[str, Any] = {
        ticker: {
            name: _number_or_text(stated[f"{name}_{ticker.lower()}"])
            for name in names
            if f"{name}_{ticker.lower()}" in stated
        }
        for ticker in request.tickers
    }
    return {"as_of": request.as_of, "analysts": sum(a.name in texts for a in ANALYSTS), **answer}


def expected_values(request: Request) -> dict[str, Values]:
    """Return what each agent must state, computed from the data without any model."""
    known: Values = {name: _number_or_text(value) for name, value in prepare(request).items()}
    expected: dict[str, Values] = {}
    for analyst in ANALYSTS:
        values: Values = {}
        for ticker in request.tickers:
            values |= _prediction(analyst, ticker, request, known)
        expected[analyst.name] = values
    handed_on = {f"{agent}_{name}": value for agent, values in expected.items() for name, value in values.items()}
    expected["risk_manager"] = _limits(request, known | handed_on)
    expected["portfolio_manager"] = _decision(request, known | handed_on | expected["risk_manager"])
    return expected


def _prediction(analyst: Analyst, ticker: str, request: Request, known: Values) -> Values:
    t = ticker.lower()
    figures: Values = {}
    for source in analyst.sources:
        figures |= {f"{name}_{t}": value for name, value in SOURCES[source](ticker, request.as_of).items()}
    score = round(_computed(analyst.formula.format(t=t), known | figures), 4)
    signal = "bullish" if score > request.threshold else "bearish" if score < -request.threshold else "neutral"
    return {f"score_{t}": score, f"signal_{t}": signal, f"confidence_{t}": float(round(min(abs(score) * 100, 100)))}


def _limits(request: Request, known: Values) -> Values:
    limits: Values = {}
    for ticker in request.tickers:
        t = ticker.lower()
        high, low, close, volume = (
            sum(float(known[f"day_{day}_{name}_{t}"]) for day in range(1, request.days + 1))
            for name in ("high", "low", "close", "volume")
        )
        scores = [float(known[f"{analyst.name}_score_{t}"]) for analyst in ANALYSTS]
        spread = round((high - low) / close, 4)
        turnover = float(round(volume / request.days * float(known[f"day_{request.days}_close_{t}"]) / 1e6))
        limit = min(
            request.max_position, request.risk_budget / spread / (1 + max(scores) - min(scores)), turnover / 1000
        )
        limits |= {
            f"range_{t}": spread, f"turnover_{t}": turnover, f"consensus_{t}": round(sum(scores) / len(scores), 4),
            f"best_{t}": max(scores), f"worst_{t}": min(scores), f"limit_{t}": round(limit, 4),
        }  # fmt: skip
    return limits


def _decision(request: Request, known: Values) -> Values:
    decision: Values = {}
    for ticker in request.tickers:
        t = ticker.lower()
        vote = Counter(str(known[f"{analyst.name}_signal_{t}"]) for analyst in ANALYSTS).most_common(1)[0][0]
        consensus, edge = float(known[f"consensus_{t}"]), request.threshold / 2
        action = "hold"
        if consensus > edge and vote != "bearish":
            action = "buy"
        elif consensus < -edge and vote != "bullish":
            action = "sell"
        close = float(known[f"day_{request.days}_close_{t}"])
        shares = float(round(request.cash * float(known[f"limit_{t}"]) / close))
        decision |= {f"vote_{t}": vote, f"action_{t}": action, f"shares_{t}": shares}
    return decision


def _computed(formula: str, known: Values) -> float:
    """Return the value of an analyst's formula; they are this package's own, in arithmetic that Python shares."""
    return float(eval(formula, {"__builtins__": {}, **_FUNCTIONS}, dict(known)))  # noqa: S307 - see above


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
