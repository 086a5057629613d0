"""Tokens and money as every report of a profile tells them: unknown costs are said to be unknown, never shown as 0."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from spanwise_profiling.render.numbers import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spanwise_profiling.usage import Sum, Usage

UNKNOWN: Final = "unknown"
MODEL_COLUMNS: Final = ("calls", "tokens in", "cached", "out", "tok/s", "decode", "cost")
"""Of the table of models, after the name; `tok/s` over whole calls, `decode` after the first chunk."""
NO_NAME: Final = "(no name)"


def model_cells(total: Sum) -> tuple[str, ...]:
    """Return what stands in `MODEL_COLUMNS`."""
    decode = total.decode_tokens_per_second
    return (
        f"{total.calls:,}",
        f"{total.input_tokens:,}",
        f"{total.cached_tokens:,}",
        f"{total.output_tokens:,}",
        f"{total.tokens_per_second:.1f}",
        "-" if decode is None else f"{decode:.1f}",
        amount(total.cost),
    )


def amount(cost: float | None) -> str:
    """Return an amount of money without its currency: cents from one on, four decimals below."""
    if cost is None:
        return UNKNOWN
    return f"{cost:,.2f}" if cost >= 1 else f"{cost:.4f}"


def money(usage: Usage) -> Iterator[str]:
    """Yield a sentence on what the run cost; none where it called no model."""
    total = usage.total
    if not total.calls:
        return
    tokens = f"{total.input_tokens:,} tokens in ({total.cached_tokens:,} cached), {total.output_tokens:,} out"
    cost = f"{amount(total.cost)} {usage.currency} by the table of prices"
    if total.cost is None:
        cost = f"cost unknown: {total.unpriced:,} of {total.calls:,} calls have no known price (--prices FILE)"
    yield f"Models: {count(total.calls, 'call')}, {tokens}; {cost}."


def usage_document(usage: Usage) -> dict[str, Any]:
    """Return tokens and money as plain JSON values; an unknown cost is null."""
    return {
        "currency": usage.currency,
        "total": asdict(usage.total),
        "agents": [asdict(total) for total in usage.agents],
        "models": [asdict(total) for total in usage.models],
        "calls": [
            {
                **asdict(call),
                "tokens_per_second": call.tokens_per_second,
                "decode_tokens_per_second": call.decode_tokens_per_second,
            }
            for call in usage.calls
        ],
        "identical": [{**asdict(repeated), "span_ids": list(repeated.span_ids)} for repeated in usage.identical],
        "repeated_prefix_tokens": usage.repeated_prefix_tokens,
    }
