"""When an answer is sent: one latency formula, and deadlines counted from the request's arrival.

Deadlines are absolute on the event loop's clock, so the provider's own work is inside them, errors do not add up, and
the whole runs unchanged on a loop with a virtual clock.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from spanwise_pipeline.provider.profile import Model

MIN_GAP_S: Final = 0.010
"""Real seconds between two chunks of a stream: one chunk a millisecond would cost more time than it simulates."""
_SLIVER: Final = 1e-6
"""Makes up for rounding: what is due exactly now is due."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Real seconds from arrival to the first token and to the end."""

    first_s: float
    total_s: float


def latency(model: Model, *, prompt: int, cached: int, completion: int, factor: float, speed: float) -> Latency:
    """Return the latency of a request: tokens in, `cached` ones among them, tokens out, noise factor."""
    paid = prompt - cached + cached * model.cached_prefill_share
    first = model.time_to_first_token_s + model.prefill_s_per_1k_tokens * paid / 1000
    total = first + completion * model.time_per_token_s
    return Latency(first * factor / speed, total * factor / speed)


def chunk_plan(times: Latency, tokens: int) -> list[tuple[float, int]]:
    """Return (real seconds from arrival, tokens sent by then) for each chunk of a stream.

    The first chunk opens the stream at the time of the first token and the last one ends it at the latency's end; in
    between as many tokens as are due share a chunk.
    """
    if times.total_s - times.first_s < MIN_GAP_S:
        return [(times.total_s, tokens)]
    per_token = (times.total_s - times.first_s) / tokens
    plan = [(times.first_s, 0)]
    while True:
        at, sent = plan[-1]
        at = max(at + MIN_GAP_S, times.first_s + (sent + 1) * per_token)
        if at > times.total_s - MIN_GAP_S + _SLIVER:
            return [*plan, (times.total_s, tokens)]
        plan.append((at, int((at - times.first_s) / per_token + _SLIVER)))


async def sleep_until(deadline: float) -> None:
    """Sleep until the loop's clock shows `deadline`; give way to others even when that is past."""
    await asyncio.sleep(max(deadline - asyncio.get_running_loop().time(), 0))
