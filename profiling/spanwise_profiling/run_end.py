"""What recording asks of profiling as calls and runs end: cost and budget, as attributes of their spans.

Named as entry points in pyproject.toml (`spanwise.call_end`, `spanwise.workflow_end`), so that neither package imports
the other. Seconds are recorded ones, like every other attribute's.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from spanwise import conventions as c
from spanwise_profiling import prices
from spanwise_profiling.analysis import budget_ns
from spanwise_profiling.runs import NANOSECONDS, runs_of
from spanwise_profiling.trace import build_trace

_DAY = 86_400 * NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from spanwise.journal.reader import SpanRecord


def budget(records: Sequence[SpanRecord]) -> dict[str, float]:
    """Return what a run's wall clock went to, in seconds by attribute; buckets that got nothing are left out.

    Args:
        records: the spans of the run, its workflow's last.
    """
    workflow = records[-1].span_id
    [run] = [run for run in runs_of([build_trace(records)]) if run.root.span_id == workflow]
    return {c.budget_attribute(bucket): spent / NANOSECONDS for bucket, spent in budget_ns(run).items() if spent}


def cost(attributes: Mapping[str, Any], start_ns: int) -> dict[str, float | str]:
    """Return what a model call that began at `start_ns` cost; nothing where its model has no price."""
    price = _price(attributes.get(c.RESPONSE_MODEL), attributes.get(c.REQUEST_MODEL), start_ns // _DAY)
    if price is None:
        return {}
    names = (
        c.USAGE_INPUT_TOKENS,
        c.USAGE_CACHE_READ_INPUT_TOKENS,
        c.USAGE_OUTPUT_TOKENS,
        c.USAGE_CACHE_WRITE_INPUT_TOKENS,
    )
    counts = [attributes.get(name, 0) for name in names]
    if not all(isinstance(count, int) and count >= 0 for count in counts):
        return {}
    amount = price.of(*counts)
    return {} if amount is None else {c.COST: amount, c.COST_CURRENCY: _prices().currency}


@functools.lru_cache(maxsize=1_000)
def _price(answered: object, asked: object, day: int) -> prices.Price | None:
    """Return the price of the model that answered, else of the one that was asked, on a day since 1970."""
    known = (_prices().of(model, day * _DAY) for model in (answered, asked) if isinstance(model, str))
    return next((price for price in known if price is not None), None)


@functools.cache
def _prices() -> prices.Prices:
    return prices.load()
