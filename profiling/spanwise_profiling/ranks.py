"""Two groups of runs compared: by ranks, by how many have something, and corrected for looking many times."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def rank_sum(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the two-sided p of Mann and Whitney's U test: normal approximation, corrected for ties and continuity."""
    pooled = sorted([(value, 0) for value in one] + [(value, 1) for value in other])
    n, m = len(one), len(other)
    total, ties, place = 0.0, 0.0, 0
    while place < n + m:
        end = place
        while end < n + m and pooled[end][0] == pooled[place][0]:
            end += 1
        rank = (place + 1 + end) / 2
        total += rank * sum(group == 0 for _, group in pooled[place:end])
        ties += (end - place) ** 3 - (end - place)
        place = end
    size = n + m
    variance = n * m / 12 * (size + 1 - ties / (size * (size - 1))) if size > 1 else 0.0
    if variance <= 0:
        return 1.0
    z = max(0.0, abs(total - n * (n + 1) / 2 - n * m / 2) - 0.5) / math.sqrt(variance)
    return min(1.0, math.erfc(z / math.sqrt(2)))


def fisher(have: int, of: int, others_have: int, of_others: int) -> float:
    """Return the two-sided p of Fisher's exact test for how many `of` one group and of the others have something."""
    having, size = have + others_have, of + of_others
    whole = math.comb(size, having)

    def chance(number: int) -> int:
        return math.comb(of, number) * math.comb(of_others, having - number)

    observed = chance(have)
    possible = range(max(0, having - of_others), min(of, having) + 1)
    return min(1.0, sum(ways for number in possible if (ways := chance(number)) <= observed) / whole)


def corrected(ps: Sequence[float]) -> list[float]:
    """Return p values corrected for their number so that the share of false ones is bounded (Benjamini, Hochberg)."""
    order = sorted(range(len(ps)), key=lambda i: -ps[i])
    result, smallest = [1.0] * len(ps), 1.0
    for place, i in enumerate(order):
        smallest = min(smallest, ps[i] * len(ps) / (len(ps) - place))
        result[i] = smallest
    return result
