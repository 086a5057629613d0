"""What stood still while the event loop was blocked, the collector ran, or a span computed.

Spans say for how long in all and not when. A span's blocking is laid into the first of the path's own time that it was
open in, its collector pauses go to its own time in proportion, its computing into the first that is left. A call that
ended just as a span did which blocked the loop all along had its answer, and nobody to take it.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from spanwise import conventions
from spanwise_profiling import kinds
from spanwise_profiling.runs import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spanwise.journal.reader import SpanRecord
    from spanwise_profiling.analysis.tree import Tree
    from spanwise_profiling.profile import Bucket

_LATE_NS: Final = 5_000_000
_ALL_ALONG: Final = 0.9


class Blocking:
    """Splits own time; asked with stretches from first to last."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self.by_span: defaultdict[str, int] = defaultdict(int)
        self._blocked = _lengths(tree, conventions.LOOP_BLOCKED_SECONDS)
        self._pauses = _lengths(tree, conventions.GC_PAUSE_SECONDS)
        computing = _lengths(tree, conventions.CPU_SECONDS)
        self._computing = {node: max(0, cpu - self._blocked.get(node, 0)) for node, cpu in computing.items()}
        self._coming = sorted(self._blocked, key=lambda node: (tree.starts[node], node), reverse=True)
        self._open: list[int] = []

    def held_up(self, node: int, start: int, end: int) -> tuple[int, int]:
        """Return from when to when a call or wait that ended at `end` was held up by a blocked loop; else `end` twice.

        The loop was blocked until then, or until 5 ms before: it takes a while to get to all that is due.
        """
        tree = self._tree
        for blocker in self._blockers(start, end, node) if end >= tree.ends[node] else ():
            length, late = tree.ends[blocker] - tree.starts[blocker], end - tree.ends[blocker]
            if late <= _LATE_NS and self._blocked[blocker] >= _ALL_ALONG * length and blocker != tree.calls[node]:
                begin, until = max(start, tree.starts[blocker]), min(end, tree.ends[blocker])
                self._charge(blocker, until - begin)
                return begin, until
        return end, end

    def _charge(self, blocker: int, length: int) -> None:
        self._blocked[blocker] -= length
        self.by_span[self._tree.spans[blocker].span_id] += length

    def split(self, node: int, start: int, end: int, rest: Bucket) -> Iterator[tuple[Bucket, int]]:
        """Yield (bucket, until) for own time of `node`; `rest` is for what nothing is known of."""
        for blocker in self._blockers(start, end, node):
            begin = max(start, self._tree.starts[blocker])
            until = min(end, self._tree.ends[blocker], begin + self._blocked[blocker])
            if until > begin:
                yield from self._computed(node, start, begin, rest)
                yield "loop_blocked", until
                self._charge(blocker, until - begin)
                start = until
        yield from self._computed(node, start, end, rest)

    def _blockers(self, start: int, end: int, node: int) -> list[int]:
        """Return the spans of the same process as `node` that had still to be found a place for their blocking."""
        starts, ends = self._tree.starts, self._tree.ends
        while self._coming and starts[self._coming[-1]] < end:
            self._open.append(self._coming.pop())
        self._open = [node for node in self._open if ends[node] > start and self._blocked[node] > 0]
        spans = self._tree.spans
        return [blocker for blocker in self._open if spans[blocker].resource == spans[node].resource]

    def _computed(self, node: int, start: int, end: int, rest: Bucket) -> Iterator[tuple[Bucket, int]]:
        if start >= end:
            return
        if pauses := self._pauses.get(node):
            length = self._tree.ends[node] - self._tree.starts[node]
            start += min(pauses, length) * (end - start) // length
            yield "gc", start
        if computing := self._computing.get(node):
            taken = min(computing, end - start)
            self._computing[node] -= taken
            start += taken
            yield "cpu", start
        yield rest, end


def _lengths(tree: Tree, attribute: str) -> dict[int, int]:
    lengths = {
        node: _nanoseconds(span, attribute) for node, span in enumerate(tree.spans) if attribute in span.attributes
    }
    if tree.made_up:
        lengths.pop(0, None)
    return {node: length for node, length in lengths.items() if length > 0}


def _nanoseconds(span: SpanRecord, attribute: str) -> int:
    seconds = kinds.number_of(span, attribute)
    # NaN compares false, so it counts as nothing.
    return (
        round(min(seconds, span.duration_ns / NANOSECONDS) * NANOSECONDS) if seconds is not None and seconds > 0 else 0
    )
