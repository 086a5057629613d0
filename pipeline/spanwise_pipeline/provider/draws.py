"""Randomness that belongs to the request: every number is a hash of (seed, key, n) and a label.

No generator state, so neither order nor concurrency changes a draw. n counts how often this process has seen (seed,
key), so that a retry draws anew; runs that differ in their prompts share draws as long as they share keys.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spanwise_pipeline.provider.fields import optional_integer, optional_object

if TYPE_CHECKING:
    from spanwise_pipeline.provider.fields import JsonObject
    from spanwise_pipeline.provider.profile import Failures


@dataclass(frozen=True, slots=True)
class Draw:
    """The random numbers of one request."""

    seed: int
    key: str
    n: int

    def uniform(self, label: str) -> float:
        """Return a number in [0, 1) that depends on (seed, key, n) and `label` only."""
        digest = hashlib.sha256(f"{self.seed}\n{self.key}\n{self.n}\n{label}".encode()).digest()
        return (int.from_bytes(digest[:8], "big") >> 11) / 2**53

    def lognormal(self, label: str, sigma: float) -> float:
        """Return a positive number with median 1 whose logarithm has the standard deviation `sigma`."""
        radius = math.sqrt(-2 * math.log(1 - self.uniform(f"{label}/radius")))
        return math.exp(sigma * radius * math.cos(2 * math.pi * self.uniform(f"{label}/angle")))

    def failure(self, failures: Failures) -> str | None:
        """Return which of the profile's failures befalls the request, or None."""
        left = self.uniform("failure")
        for kind in ("error_500", "stall", "drop", "malformed"):
            left -= getattr(failures, kind)
            if left < 0:
                return kind
        return None


class Draws:
    """Counts the requests of this process by (seed, key)."""

    def __init__(self) -> None:
        self._seen: Counter[tuple[int, str]] = Counter()

    def next(self, body: JsonObject) -> Draw:
        """Return the draw of the request `body`, and count it."""
        seed = optional_integer(body, "seed") or 0
        key = _key(body)
        n = self._seen[seed, key]
        self._seen[seed, key] += 1
        return Draw(seed, key, n)


def canonical(body: JsonObject) -> bytes:
    """Return `body` as JSON with sorted keys: the same bytes for the same request."""
    return json.dumps(body, sort_keys=True, separators=(",", ":")).encode()


def _key(body: JsonObject) -> str:
    metadata = optional_object(body, "metadata")
    if "agent" in metadata or "step" in metadata:
        return f"{metadata.get('agent', '')}/{metadata.get('step', '')}"
    return hashlib.sha256(canonical({name: value for name, value in body.items() if name != "seed"})).hexdigest()
