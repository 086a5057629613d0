"""What each agent is asked, and how its answer is read.

The instruction lines are plain sentences; their grammar is the simulated provider's (docs/provider.md), and a real
model reads them as well.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from spanwise_pipeline import Reply
    from spanwise_pipeline.systems.hedge_fund.analysts import Analyst
    from spanwise_pipeline.systems.hedge_fund.window import Request

WORDS_LINE: Final = "Use about 4 words for each fact."
_FACT: Final = re.compile(r"^([a-z][a-z0-9_]*) = (.+?)\s*$", re.MULTILINE)
_NUMBER: Final = {"type": "number"}
SIGNALS: Final = ("bullish", "neutral", "bearish")
UNKNOWN: Final = "unknown"
"""What a form is filled in with where a signal or an action does not follow."""
_SIGNAL: Final = {"type": "string", "enum": [UNKNOWN, *SIGNALS]}
_ACTION: Final = {"type": "string", "enum": [UNKNOWN, "buy", "hold", "sell"]}
PREDICTION: Final = {"score": _NUMBER, "signal": _SIGNAL, "confidence": _NUMBER}
"""What an analyst states of each share, in JSON schema."""
_LIMITS: Final[Mapping[str, Any]] = dict.fromkeys(("range", "turnover", "consensus", "best", "worst", "limit"), _NUMBER)
_DECISION: Final = {"vote": _SIGNAL, "action": _ACTION, "shares": _NUMBER}


@dataclass(frozen=True, slots=True)
class Task:
    """What one agent is to work out in one step."""

    agent: str
    step: str
    lines: tuple[str, ...]
    """`Compute` and `Conclude` lines, in order."""
    form: dict[str, Any]
    """JSON schema of the answer."""


def _form(title: str, tickers: Sequence[str], of_each: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON schema of an answer that states the facts `of_each` share."""
    facts = {f"{name}_{ticker.lower()}": kind for ticker in tickers for name, kind in of_each.items()}
    return {
        "title": title, "type": "object", "properties": facts, "required": list(facts), "additionalProperties": False,
    }  # fmt: skip


def prediction_task(analyst: Analyst, tickers: Sequence[str]) -> Task:
    """Return what an analyst is asked: for each share a score, a signal and how sure it is."""
    lines: list[str] = []
    for ticker in tickers:
        t = ticker.lower()
        lines += [
            f"Compute score_{t}: round({analyst.formula.format(t=t)}, 4).",
            (
                f"Conclude signal_{t}: bullish if score_{t} > bullish_above; bearish if score_{t} < bearish_below;"
                " else neutral."
            ),
            f"Compute confidence_{t}: round(min(abs(score_{t}) * 100, 100)).",
        ]
    return Task(analyst.name, f"{analyst.name}_prediction", tuple(lines), _form("prediction", tickers, PREDICTION))


def risk_task(request: Request, analysts: Sequence[str]) -> Task:
    """Return what the risk manager is asked: how far the `analysts` agree, and how large a position may be."""
    days = range(1, request.days + 1)
    lines: list[str] = []
    for ticker in request.tickers:
        t = ticker.lower()
        scores = [f"{analyst}_score_{t}" for analyst in analysts]
        ranges = " + ".join(f"day_{day}_high_{t} - day_{day}_low_{t}" for day in days)
        closes = " + ".join(f"day_{day}_close_{t}" for day in days)
        volumes = " + ".join(f"day_{day}_volume_{t}" for day in days)
        lines += [
            f"Compute range_{t}: round(({ranges}) / ({closes}), 4).",
            f"Compute turnover_{t}: round(({volumes}) / {request.days} * day_{request.days}_close_{t} / 1000000).",
            f"Compute consensus_{t}: round(({' + '.join(scores)}) / {len(scores)}, 4).",
            f"Compute best_{t}: max({', '.join(scores)}).",
            f"Compute worst_{t}: min({', '.join(scores)}).",
            (
                f"Compute limit_{t}: round(min(max_position, risk_budget / range_{t} / (1 + best_{t} - worst_{t}),"
                f" turnover_{t} / 1000), 4)."
            ),
        ]
    return Task("risk_manager", "risk_limits", tuple(lines), _form("limits", request.tickers, _LIMITS))


def portfolio_task(request: Request, analysts: Sequence[str]) -> Task:
    """Return what the portfolio manager is asked: what to do with each share, and with how many of it."""
    lines: list[str] = []
    for ticker in request.tickers:
        t = ticker.lower()
        signals = ", ".join(f"{analyst}_signal_{t}" for analyst in analysts)
        lines += [
            f"Conclude vote_{t}: majority of {signals}.",
            (
                f"Conclude action_{t}: buy if consensus_{t} > bullish_above / 2 and vote_{t} != bearish;"
                f" sell if consensus_{t} < bearish_below / 2 and vote_{t} != bullish; else hold."
            ),
            f"Compute shares_{t}: round(cash * limit_{t} / day_{request.days}_close_{t}).",
        ]
    form = _form("decision", request.tickers, _DECISION)
    return Task("portfolio_manager", "portfolio_decision", tuple(lines), form)


def facts_of(text: str) -> dict[str, str]:
    """Return the facts `name = value` that a text states, in order."""
    return dict(_FACT.findall(text))


def as_lines(facts: Mapping[str, Any]) -> str:
    """Return facts as lines `name = value`."""
    return "\n".join(f"{name} = {_shown(value)}" for name, value in facts.items())


def _shown(value: Any) -> str:
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def read_reply(reply: Reply) -> str:
    """Return an answer as text: as it was written, or the facts of its JSON."""
    return reply.text if reply.parsed is None else as_lines(reply.parsed)


def paragraphs(task: Task, shared: str, context: Sequence[str], *, structured: bool) -> list[str]:
    """Return the paragraphs of a prompt; what all agents are told comes first.

    Args:
        task: what is asked.
        shared: facts that every agent is told.
        context: what this agent is told besides.
        structured: the answer is asked for as JSON, without words.
    """
    return [shared, *context, *task.lines, *([] if structured else [WORDS_LINE])]


def messages(prompt: Sequence[str], *, shared_apart: bool) -> list[dict[str, Any]]:
    """Return the paragraphs as one message, or with the first one as a message of its own that a provider can cache."""
    if not shared_apart:
        return [{"role": "user", "content": "\n\n".join(prompt)}]
    return [{"role": "system", "content": prompt[0]}, {"role": "user", "content": "\n\n".join(prompt[1:])}]
