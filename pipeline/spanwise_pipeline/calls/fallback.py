"""What answers when a model does not: other models in turn, then an answer that was kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import openai

from spanwise_pipeline.calls.circuit import CircuitOpenError
from spanwise_pipeline.calls.errors import is_retryable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from spanwise_pipeline.calls.reply import Reply

_UNAVAILABLE: Final = frozenset({402, 404, 429})
"""Refusals that another model need not share: quota, a model that is gone, a limit."""


@dataclass(frozen=True, slots=True)
class Fallback:
    """What answers in place of a model that fails."""

    models: tuple[str, ...] = ()
    """Asked in this order, each with attempts of its own."""
    answer: Callable[[dict[str, Any]], Awaitable[Reply | None]] | None = None
    """Asked last, with the request; returns an answer that was kept, or `None`."""


def can_fall_back(error: BaseException) -> bool:
    """Return whether somebody else may answer: the provider is at fault, and not the request."""
    if isinstance(error, openai.APIStatusError) and error.status_code in _UNAVAILABLE:
        return True
    return is_retryable(error) or isinstance(error, CircuitOpenError)
