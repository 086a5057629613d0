"""How many tokens a call reserves: its prompt, and what its answer may take or what such answers really took."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

_CHARACTERS_A_TOKEN: Final = 4
_MESSAGE_TOKENS: Final = 4
_PROMPT_TOKENS: Final = 3
_REMEMBERED: Final = 200


@dataclass(frozen=True, slots=True)
class Reserve:
    """What a call reserves besides its prompt, and whether the rest is given back."""

    percentile: float | None = None
    """Reserve this percentile of what the step's answers took before; `None` reserves `max_tokens`."""
    least: int = 20
    """The percentile holds from so many answers on; until then `max_tokens` is reserved."""
    default_output: int = 1024
    """Reserved for an answer where the request sets no `max_tokens`."""
    charged: bool = True
    """Whether the provider charges what is reserved, as OpenAI does. `False`: it charges what was used, and the
    difference is settled when the answer is there."""
    prompt_tokens: Callable[[Mapping[str, Any]], int] | None = None
    """Counts the prompt of a request; `None` takes four characters for a token, and learns from reported usage."""

    def __post_init__(self) -> None:
        if self.percentile is not None and not 0 < self.percentile <= 1:
            raise ValueError(f"percentile must be above 0 and at most 1, this is {self.percentile}")


class Estimator:
    """Estimates the tokens of requests, and learns from their answers."""

    def __init__(self, settings: Reserve) -> None:
        self._settings = settings
        self._outputs: dict[Hashable, deque[int]] = {}
        self._factors: deque[float] = deque(maxlen=_REMEMBERED)

    def prompt(self, request: Mapping[str, Any]) -> float:
        """Return the tokens of the prompt."""
        if self._settings.prompt_tokens is not None:
            return self._settings.prompt_tokens(request)
        return counted(request) * max([*self._factors, 1.0])

    def output(self, request: Mapping[str, Any], step: Hashable) -> float:
        """Return the tokens that are reserved for the answer."""
        settings = self._settings
        asked = request.get("max_completion_tokens") or request.get("max_tokens") or settings.default_output
        known = self._outputs.get(step, ())
        if settings.percentile is None or len(known) < settings.least:
            return float(asked)
        return float(min(asked, sorted(known)[min(int(len(known) * settings.percentile), len(known) - 1)]))

    def learn(self, request: Mapping[str, Any], step: Hashable, input_tokens: int, output_tokens: int) -> None:
        """Take what the provider counted."""
        self._outputs.setdefault(step, deque(maxlen=_REMEMBERED)).append(output_tokens)
        if input_tokens:
            self._factors.append(input_tokens / counted(request))


def counted(request: Mapping[str, Any]) -> int:
    """Return about how many tokens a request's prompt has, four characters each; 1 at least."""
    total = _PROMPT_TOKENS
    for message in request.get("messages", ()):
        content = message.get("content")
        text = content if isinstance(content, str) else json.dumps(content) if content else ""
        total += _MESSAGE_TOKENS + _tokens(text)
        if calls := message.get("tool_calls"):
            total += _tokens(json.dumps(calls, separators=(",", ":")))
    if tools := request.get("tools"):
        total += _tokens(json.dumps(tools, separators=(",", ":")))
    if form := request.get("response_format"):
        total += _tokens(json.dumps(form, separators=(",", ":")))
    for text in _inputs(request.get("input")):
        total += _tokens(text)
    return total


def _inputs(given: Any) -> list[str]:
    if isinstance(given, str):
        return [given]
    return [one if isinstance(one, str) else json.dumps(one) for one in given or ()]


def _tokens(text: str) -> int:
    return int(len(text) / _CHARACTERS_A_TOKEN) + 1
