"""Requests and tokens a minute: a call reserves what it will be charged for, and waits for its turn until it is there.

The limit keeps below the provider's by a margin, so that the provider has no reason to refuse. What the provider says
of its own bucket in `x-ratelimit-*` headers corrects ours where others use the same key.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import spanwise
from spanwise_pipeline.limits.bucket import Bucket
from spanwise_pipeline.limits.queue import FairQueue, current_run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spanwise_pipeline.clock import Clock

KINDS: Final = ("requests", "tokens")
_SHORTEST_WAIT_S: Final = 1e-6


class RequestTooLargeError(ValueError):
    """A call needs more tokens than the limit of a whole minute lets through."""


@dataclass(frozen=True, slots=True)
class RateStatistics:
    """A reading of a `RateLimit`. `None` stands for a limit that is not known."""

    name: str
    requests_per_minute: float | None
    """What is let through: the provider's limit times the margin."""
    tokens_per_minute: float | None
    requests_left: float | None
    tokens_left: float | None
    waiting: int
    waits: int
    """How many calls had to wait."""
    admitted: int
    charged_tokens: float
    """Reserved so far, less what was given back."""
    refused: int
    """Times that the provider said 429 all the same."""

    @property
    def saturation(self) -> float:
        """The share of the scarcer bucket that is used up, from 0 to 1."""
        pairs = ((self.requests_left, self.requests_per_minute), (self.tokens_left, self.tokens_per_minute))
        used = [1.0 - left / limit for left, limit in pairs if left is not None and limit]
        return min(1.0, max([*used, 0.0]))


@dataclass(slots=True, eq=False)
class Reservation:
    """What one admitted call was charged."""

    limit: RateLimit
    tokens: float
    gained: Mapping[str, float]
    """What had flowed into each bucket by then."""

    def settle(self, tokens: float) -> None:
        """Charge `tokens` in place of what was reserved, for a provider that charges what was used."""
        self.limit.charge_difference(self, tokens)

    def give_back(self) -> None:
        """Undo the charge of a call that was not sent."""
        self.limit.undo(self)

    def compare(self, headers: Mapping[str, str]) -> None:
        """Take what the provider says of its buckets in the answer to this call."""
        self.limit.compare(self, headers)


@dataclass(slots=True, eq=False)
class _Waiter:
    tokens: float
    admitted: asyncio.Future[Reservation]


class RateLimit:
    """Requests and tokens a minute of one model, shared by all calls of this process.

    Args:
        name: stands in recorded waits.
        clock: system time.
        requests_per_minute: the provider's limit; `None` where there is none or it is not known.
        tokens_per_minute: likewise.
        margin: the share of the limits that is used. 0.9 costs a tenth of the throughput at saturation, and forgives
            estimates and other users of the key as much.

    A limit that is not known is learnt from the first answer's headers.
    """

    def __init__(
        self,
        name: str,
        *,
        clock: Clock,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        margin: float = 0.9,
    ) -> None:
        if not 0 < margin <= 1:
            raise ValueError(f"margin must be above 0 and at most 1, this is {margin}")
        self.name = name
        self._clock = clock
        self._margin = margin
        self._buckets: dict[str, Bucket] = {}
        self._queue: FairQueue[_Waiter] = FairQueue()
        self._timer: asyncio.TimerHandle | None = None
        self._paused_until = -math.inf
        self._waits = 0
        self._admitted = 0
        self._charged = 0.0
        self._refused = 0
        for kind, per_minute in (("requests", requests_per_minute), ("tokens", tokens_per_minute)):
            if per_minute is not None:
                if per_minute <= 0:
                    raise ValueError(f"{kind}_per_minute must be above 0, this is {per_minute}")
                self._know(kind, per_minute)

    def __repr__(self) -> str:
        left = ", ".join(f"{int(bucket.level)}/{int(bucket.capacity)} {kind}" for kind, bucket in self._buckets.items())
        waiting = f" with {len(self._queue)} waiting" if self._queue else ""
        return f"<RateLimit {self.name}: {left or 'not known'}{waiting}>"

    def statistics(self) -> RateStatistics:
        """Return how the limit stands."""
        for bucket in self._buckets.values():
            bucket.fill(self._clock.now())
        buckets = [self._buckets.get(kind) for kind in KINDS]
        limits = [bucket.per_minute if bucket else None for bucket in buckets]
        left = [bucket.level if bucket else None for bucket in buckets]
        return RateStatistics(
            self.name, limits[0], limits[1], left[0], left[1], len(self._queue), self._waits, self._admitted,
            self._charged, self._refused,
        )  # fmt: skip

    async def reserve(self, tokens: float) -> Reservation:
        """Wait for one request's turn and for `tokens`, and charge them.

        Raises:
            RequestTooLargeError: the limit never holds so many.
        """
        self._check(tokens)
        if (reservation := self.reserve_nowait(tokens)) is not None:
            return reservation
        waiter = _Waiter(tokens, asyncio.get_running_loop().create_future())
        self._queue.push(waiter, current_run(), tokens)
        self._waits += 1
        self._serve()
        with spanwise.waiting("rate_limit", self.name):
            try:
                return await waiter.admitted
            except asyncio.CancelledError:
                self._leave(waiter)
                raise

    def reserve_nowait(self, tokens: float) -> Reservation | None:
        """Charge one request and `tokens` at once, or return `None` where they are not there or others wait."""
        return self._charge(tokens) if self.has_now(tokens) else None

    def has_now(self, tokens: float) -> bool:
        """Return whether one request and `tokens` could be had without waiting."""
        return not self._queue and self._wait(tokens) <= 0

    def pause(self, seconds: float) -> None:
        """Admit nobody for so many seconds: the provider said 429."""
        self._refused += 1
        self._paused_until = max(self._paused_until, self._clock.now() + seconds)

    def _check(self, tokens: float) -> None:
        bucket = self._buckets.get("tokens")
        if bucket is not None and tokens > bucket.capacity:
            raise RequestTooLargeError(
                f"a call of limit {self.name!r} reserves {tokens:g} tokens, and a minute lets {bucket.capacity:g} "
                "through; ask for fewer with max_tokens, shorten the prompt, or reserve what answers really take"
            )

    def _wait(self, tokens: float) -> float:
        """Return the seconds until one request and `tokens` are there."""
        now = self._clock.now()
        waits = [self._paused_until - now]
        for kind, bucket in self._buckets.items():
            bucket.fill(now)
            waits.append(bucket.wait(1.0 if kind == "requests" else tokens))
        return max(waits)

    def _charge(self, tokens: float) -> Reservation:
        for kind, bucket in self._buckets.items():
            bucket.take(1.0 if kind == "requests" else tokens)
        self._admitted += 1
        self._charged += tokens
        return Reservation(self, tokens, {kind: bucket.gained for kind, bucket in self._buckets.items()})

    def _serve(self) -> None:
        """Admit whoever is first as long as there is enough, and come back when there will be."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._queue:
            waiter = self._queue.first()
            wait = self._wait(waiter.tokens)
            if wait > 0:
                real = max(self._clock.real(wait), _SHORTEST_WAIT_S)
                self._timer = asyncio.get_running_loop().call_later(real, self._serve)
                return
            self._queue.pop()
            if not waiter.admitted.done():
                waiter.admitted.set_result(self._charge(waiter.tokens))

    def _leave(self, waiter: _Waiter) -> None:
        if not self._queue.remove(waiter) and not waiter.admitted.cancelled():
            self.undo(waiter.admitted.result())  # it had been admitted in the same turn of the loop
        self._serve()

    def undo(self, reservation: Reservation) -> None:
        """Give back what `reservation` was charged."""
        if "requests" in self._buckets:
            self._buckets["requests"].take(-1.0)
        self._admitted -= 1
        self.charge_difference(reservation, 0.0)

    def charge_difference(self, reservation: Reservation, tokens: float) -> None:
        """Charge `tokens` in place of those of `reservation`."""
        difference = tokens - reservation.tokens
        reservation.tokens = tokens
        self._charged += difference
        if "tokens" in self._buckets:
            self._buckets["tokens"].take(difference)
        if difference < 0:
            self._serve()

    def compare(self, reservation: Reservation, headers: Mapping[str, str]) -> None:
        """Learn from the headers of the answer to `reservation`'s call.

        A limit that was not known is taken over, and so is one that is lower than what was set. The provider's bucket
        may have been charged for all our calls so far when it wrote the headers, whatever order they came in, and for
        nothing that flowed in since this call. Where it held less than that, others use it too, and ours is lowered.
        """
        for kind in KINDS:
            limit = _number(headers.get(f"x-ratelimit-limit-{kind}"))
            left = _number(headers.get(f"x-ratelimit-remaining-{kind}"))
            bucket = self._buckets.get(kind)
            if limit is not None and limit > 0 and (bucket is None or limit * self._margin < bucket.per_minute):
                self._know(kind, limit)
            elif bucket is not None and left is not None and kind in reservation.gained:
                bucket.fill(self._clock.now())
                least = bucket.level - (bucket.gained - reservation.gained[kind])
                bucket.take(max(0.0, least - left))
        self._serve()

    def _know(self, kind: str, per_minute: float) -> None:
        known = self._buckets.get(kind)
        used = known.capacity - known.level if known is not None else 0.0
        through = per_minute * self._margin
        self._buckets[kind] = Bucket(through, through, self._clock.now())
        self._buckets[kind].take(used)


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None
