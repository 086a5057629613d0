"""Reading from a source of data: each question is a span with a hash of it, so that repeats show."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

import spanwise

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

T = TypeVar("T")


async def fetch(source: str, inputs: Mapping[str, Any], load: Callable[[], Awaitable[T]]) -> T:
    """Return what `load` gets from `source`; recorded as a retrieval.

    Args:
        source: name of the service, file or index.
        inputs: what is asked, JSON-able; the same inputs mean the same question.
        load: gets it.
    """
    with spanwise.retrieval(source) as span:
        span.query(json.dumps(dict(inputs), sort_keys=True, ensure_ascii=False))
        return await load()
