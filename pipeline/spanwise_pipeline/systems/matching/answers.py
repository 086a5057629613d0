"""What was said in a conversation: the JSON object of a matcher, and whether a critic agrees with it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_DECODER: Final = json.JSONDecoder()
_TEXT: Final = frozenset({"registration", "offer", "incentive"})
"""Fields that are text; all others are numbers."""
_FACT: Final = re.compile(r"^([a-z][a-z0-9_]*) = (.+)$", re.MULTILINE)


def object_in(text: str) -> dict[str, Any]:
    """Return the JSON object that `text` begins with, whatever follows it; an empty one where there is none."""
    try:
        value, _ = _DECODER.raw_decode(text.lstrip())
    except ValueError:
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def is_valid(answer: Mapping[str, Any], required: Iterable[str], registration: str) -> bool:
    """Tell whether an answer has every required field, and is about `registration`."""
    return answer.get("registration") == registration and all(_has(answer, name) for name in required)


def approves(verdict: str, answer: Mapping[str, Any], checks: Mapping[str, str]) -> bool:
    """Tell whether a critic says APPROVE, and has found the figures of the answer that it approves.

    Args:
        verdict: what the critic said.
        answer: the matcher's.
        checks: name of a figure of the critic to the field of the answer that it must be equal to.
    """
    said = dict(_FACT.findall(verdict))
    agreed = all(said.get(mine) == _shown(answer[theirs]) for mine, theirs in checks.items())
    return agreed and said.get("verdict") == "APPROVE"


def cost_of(answer: Mapping[str, Any]) -> float | None:
    """Return what the offer in an answer costs, `None` where there is no offer."""
    return answer.get(f"{answer.get('offer')}_cost")


def _has(answer: Mapping[str, Any], name: str) -> bool:
    value = answer.get(name)
    if name in _TEXT:
        return isinstance(value, str) and bool(value)
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:.10g}"
