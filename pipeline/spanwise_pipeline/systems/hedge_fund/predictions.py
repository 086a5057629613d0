"""What an analyst thinks of a share: read from what it wrote, and handed on to the managers and the database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from spanwise_pipeline.systems.hedge_fund.prompts import SIGNALS, as_lines, facts_of

if TYPE_CHECKING:
    from collections.abc import Sequence


class UnreadablePredictionError(ValueError):
    """What an analyst wrote lacks a part of its prediction."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What one analyst thinks of one share."""

    agent: str
    ticker: str
    as_of: str
    score: float
    signal: str
    """`bullish`, `neutral` or `bearish`."""
    confidence: float
    """0 to 100."""


@dataclass(frozen=True, slots=True)
class View:
    """What one analyst wrote, and what it says of each share."""

    text: str
    predictions: tuple[Prediction, ...]

    def handed_on(self) -> str:
        """Return the predictions as facts that are told apart from other analysts'."""
        facts: dict[str, float | str] = {}
        for p in self.predictions:
            t = p.ticker.lower()
            facts |= {f"{p.agent}_score_{t}": p.score, f"{p.agent}_signal_{t}": p.signal}
        return as_lines(facts)


def view_of(agent: str, text: str, tickers: Sequence[str], as_of: str) -> View:
    """Return the view that an analyst's `text` states; raises `UnreadablePredictionError`."""
    facts = facts_of(text)
    try:
        predictions = tuple(
            Prediction(
                agent, ticker, as_of, float(facts[f"score_{ticker.lower()}"]), facts[f"signal_{ticker.lower()}"],
                float(facts[f"confidence_{ticker.lower()}"]),
            )
            for ticker in tickers
        )  # fmt: skip
    except (KeyError, ValueError) as problem:
        raise UnreadablePredictionError(f"{agent} wrote no whole prediction: {problem}") from None
    if strange := {prediction.signal for prediction in predictions} - set(SIGNALS):
        raise UnreadablePredictionError(f"{agent} wrote no signal: {', '.join(sorted(strange))}")
    return View(text, predictions)
