"""Rate limits as token buckets that hold a minute's worth, charge in advance and never give back.

Buckets fill in system time (real time x speed), so a faster simulation is limited like a slow one; what clients are
told (`retry-after`, resets) is real time, because that is what they wait.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from spanwise_pipeline.provider.errors import ApiError

if TYPE_CHECKING:
    from spanwise_pipeline.provider.profile import Model

_MINUTE: Final = 60.0


@dataclass(slots=True)
class Bucket:
    """One limit; `now` is in system seconds throughout."""

    per_minute: float
    level: float
    filled_at: float

    def refill(self, now: float) -> None:
        """Bring the level up to `now`."""
        self.level = min(self.per_minute, self.level + (now - self.filled_at) * self.per_minute / _MINUTE)
        self.filled_at = now

    def wait_s(self, amount: float) -> float:
        """Return the system seconds until `amount` is there; a minute for more than the bucket holds."""
        if amount > self.per_minute:
            return _MINUTE
        return max(amount - self.level, 0.0) * _MINUTE / self.per_minute

    def full_in_s(self) -> float:
        """Return the system seconds until the bucket is full."""
        return (self.per_minute - self.level) * _MINUTE / self.per_minute


class Limits:
    """The buckets of every model."""

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._buckets: dict[str, dict[str, Bucket]] = {}

    def charge(self, name: str, model: Model, tokens: int, now_real: float) -> dict[str, str]:
        """Take one request and `tokens` from the model's buckets and return the x-ratelimit headers.

        Raises 429 in OpenAI's form, with nothing taken, when either bucket lacks them.
        """
        now = now_real * self._speed
        buckets = self._of(name, model, now)
        amounts = {"requests": 1.0, "tokens": float(tokens)}
        for bucket in buckets.values():
            bucket.refill(now)
        waits = {kind: bucket.wait_s(amounts[kind]) for kind, bucket in buckets.items()}
        if short := [kind for kind, wait in waits.items() if wait > 0]:
            kind = max(short, key=waits.__getitem__)
            raise self._refusal(name, kind, amounts[kind], waits[kind], buckets)
        for kind, bucket in buckets.items():
            bucket.level -= amounts[kind]
        return self._headers(buckets)

    def _of(self, name: str, model: Model, now: float) -> dict[str, Bucket]:
        if name not in self._buckets:
            rates = {"requests": model.requests_per_minute, "tokens": model.tokens_per_minute}
            self._buckets[name] = {kind: Bucket(rate, rate, now) for kind, rate in rates.items() if rate is not None}
        return self._buckets[name]

    def _headers(self, buckets: dict[str, Bucket]) -> dict[str, str]:
        found: dict[str, str] = {}
        for kind, bucket in buckets.items():
            found[f"x-ratelimit-limit-{kind}"] = str(int(bucket.per_minute))
            found[f"x-ratelimit-remaining-{kind}"] = str(int(bucket.level))
            found[f"x-ratelimit-reset-{kind}"] = duration(bucket.full_in_s() / self._speed)
        return found

    def _refusal(self, name: str, kind: str, amount: float, wait: float, buckets: dict[str, Bucket]) -> ApiError:
        real = wait / self._speed
        bucket = buckets[kind]
        limit, used = int(bucket.per_minute), int(bucket.per_minute - bucket.level)
        message = (
            f"Rate limit reached for {name} on {kind} per min: Limit {limit}, Used {used}, Requested {int(amount)}. "
            f"Please try again in {duration(real)}."
        )
        if amount > bucket.per_minute:
            message = f"Request too large for {name} on {kind} per min: Limit {limit}, Requested {int(amount)}."
        waits = {"retry-after": str(math.ceil(real)), "retry-after-ms": str(math.ceil(real * 1000))}
        headers = self._headers(buckets) | waits
        return ApiError(429, message, type=kind, code="rate_limit_exceeded", headers=headers)


def duration(seconds: float) -> str:
    """Return `seconds` as OpenAI's reset headers spell them: `17ms`, `1.2s`, `6m0s`."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    minutes, rest = divmod(seconds, _MINUTE)
    text = f"{rest:.3f}".rstrip("0").rstrip(".")
    return f"{int(minutes)}m{text}s" if minutes else f"{text}s"
