"""What a matcher answered: the JSON object in its text, and whether it has what is required."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, cast

from spanwise_pipeline.systems.matching.prompts import NONE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_DECODER: Final = json.JSONDecoder()
_TEXT: Final = frozenset({"registration", "offer", "incentive"})
"""Fields that are text; all other required ones are numbers."""


def object_in(text: str) -> dict[str, Any]:
    """Return the JSON object that `text` begins with, whatever follows it; an empty one where there is none."""
    try:
        value, _ = _DECODER.raw_decode(text.lstrip())
    except ValueError:
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def is_valid(answer: Mapping[str, Any], required: Iterable[str], registration: str) -> bool:
    """Tell whether an answer has every required field, and is about `registration`."""
    complete = answer.get("registration") == registration and all(_has(answer, name) for name in required)
    return complete and (answer.get("offer", NONE) == NONE or cost_of(answer) is not None)


def cost_of(answer: Mapping[str, Any]) -> float | None:
    """Return what the offer in an answer costs; `None` where there is no offer, or its cost is missing."""
    name = f"{answer.get('offer')}_cost"
    return float(answer[name]) if _has(answer, name) else None


def _has(answer: Mapping[str, Any], name: str) -> bool:
    value = answer.get(name)
    if name in _TEXT:
        return isinstance(value, str) and bool(value)
    return isinstance(value, int | float) and not isinstance(value, bool)


def approves(text: str) -> bool:
    """Tell whether a critic said APPROVE."""
    return any(line.strip() == "verdict = APPROVE" for line in text.splitlines())
