"""What a model call's time depends on: the tokens that it read and wrote, as calls show alone or together."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

import numpy as np

from spanwise import conventions as c
from spanwise_profiling import kinds
from spanwise_profiling.analysis.buckets import first_chunk_ns

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from spanwise.journal.reader import SpanRecord
    from spanwise_profiling.analysis.tree import Tree

    Points = defaultdict[str, list[tuple[float, int]]]

_FEWEST: Final = 3
_EXPLAINED: Final = 0.8
"""Share of the variance of times that tokens have to explain before a line through them is believed."""


class CallTimes:
    """How long calls read and wrote.

    Args:
        trees: runs whose calls are looked at. Of calls that were not streamed, and of reading, a line through all
            calls of a model tells the nanoseconds for each token.
    """

    def __init__(self, trees: Iterable[Tree]) -> None:
        wrote: Points = defaultdict(list)
        read: Points = defaultdict(list)
        for tree in trees:
            calls = [span for span, kind in zip(tree.spans, tree.kinds, strict=True) if kind == "chat"]
            for call in calls:
                given, made = tokens_of(call)
                first, model = first_chunk_ns(call), kinds.subject_of(call) or ""
                if made and not call.is_error:
                    wrote[model].append((made, call.duration_ns))
                if given and first is not None and not call.is_error:
                    read[model].append((given, first - call.start_ns))
        self._writing = {model: slope for model, points in wrote.items() if (slope := _slope(points)) is not None}
        self._reading = {model: slope for model, points in read.items() if (slope := _slope(points)) is not None}

    def writing_ns(self, call: SpanRecord) -> int | None:
        """Return how long `call` wrote its output; None where nothing tells."""
        first, (_, made) = first_chunk_ns(call), tokens_of(call)
        if not made:
            return None
        if first is not None:
            return max(0, call.start_ns + call.duration_ns - first)
        slope = self._writing.get(kinds.subject_of(call) or "")
        return None if slope is None else min(call.duration_ns, round(slope * made))

    def reading_ns(self, call: SpanRecord, tokens: float) -> int | None:
        """Return how much less `call` would take with so many input tokens less; None where nothing tells."""
        slope = self._reading.get(kinds.subject_of(call) or "")
        first = first_chunk_ns(call)
        return None if slope is None or first is None else min(first - call.start_ns, round(slope * tokens))


def tokens_of(call: SpanRecord) -> tuple[float, float]:
    """Return the input and output tokens of a call; 0 where they are not recorded."""
    return kinds.number_of(call, c.USAGE_INPUT_TOKENS) or 0, kinds.number_of(call, c.USAGE_OUTPUT_TOKENS) or 0


def _slope(points: Sequence[tuple[float, int]]) -> float | None:
    """Return nanoseconds a token by least squares; None where tokens explain too little."""
    if len({tokens for tokens, _ in points}) < _FEWEST:
        return None
    tokens, lengths = (np.asarray(column, float) for column in zip(*points, strict=True))
    slope, _ = np.polyfit(tokens, lengths, 1)
    if slope <= 0 or float(np.corrcoef(tokens, lengths)[0, 1]) ** 2 < _EXPLAINED:
        return None
    return float(slope)
