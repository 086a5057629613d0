"""What a model call's time depends on: the tokens that it wrote, as the call shows or all of its model together."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

import numpy as np

from spanwise import conventions as c
from spanwise_profiling import kinds
from spanwise_profiling.analysis.buckets import first_chunk_ns

if TYPE_CHECKING:
    from collections.abc import Iterable

    from spanwise.journal.reader import SpanRecord
    from spanwise_profiling.analysis.tree import Tree

_FEWEST: Final = 3
_EXPLAINED: Final = 0.8
"""Share of the variance of durations that tokens have to explain before a line through them is believed."""


class Decoding:
    """How long calls write, by call where they were streamed, else by a line through all calls of a model."""

    def __init__(self, trees: Iterable[Tree]) -> None:
        seen: defaultdict[str, list[tuple[float, int]]] = defaultdict(list)
        for tree in trees:
            for node, span in enumerate(tree.spans):
                tokens = kinds.number_of(span, c.USAGE_OUTPUT_TOKENS)
                if tree.kinds[node] == "chat" and tokens and not span.is_error:
                    seen[kinds.subject_of(span) or ""].append((tokens, tree.ends[node] - tree.starts[node]))
        self._slopes = {model: slope for model, points in seen.items() if (slope := _slope(points)) is not None}

    def nanoseconds(self, call: SpanRecord) -> int | None:
        """Return how long `call` wrote its output; None where nothing tells."""
        first = first_chunk_ns(call)
        tokens = kinds.number_of(call, c.USAGE_OUTPUT_TOKENS)
        if not tokens:
            return None
        if first is not None:
            return max(0, call.start_ns + call.duration_ns - first)
        slope = self._slopes.get(kinds.subject_of(call) or "")
        return None if slope is None else min(call.duration_ns, round(slope * tokens))


def _slope(points: list[tuple[float, int]]) -> float | None:
    """Return nanoseconds a token by least squares; None where tokens explain too little."""
    if len({tokens for tokens, _ in points}) < _FEWEST:
        return None
    tokens, lengths = (np.asarray(column, float) for column in zip(*points, strict=True))
    slope, _ = np.polyfit(tokens, lengths, 1)
    if slope <= 0 or float(np.corrcoef(tokens, lengths)[0, 1]) ** 2 < _EXPLAINED:
        return None
    return float(slope)
