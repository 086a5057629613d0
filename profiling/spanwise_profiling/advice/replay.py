"""What a run would have taken, had some spans been shorter or begun earlier: its events in order, with new times.

Each start and end happened some time after the last thing that it can have waited for: the start of its parent, the
end of each sibling that had ended by then, the end of a span that released a recorded wait. These delays are kept;
what they count from moves. Waiting for every sibling that had ended is the careful guess: it promises too little
where siblings had nothing to do with one another, and never that a parallel branch does not bind. Without a change
every event stays where it was.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from spanwise import conventions as c
from spanwise_profiling import kinds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from spanwise.journal.reader import SpanRecord
    from spanwise_profiling.advice.view import View

_WORK: Final = frozenset({"rate_limit", "concurrency", "retry_backoff", "circuit_open", "connection", "timer", "human"})
"""Kinds of waits that take their time themselves; others end when something else does."""
_STARTS: Final = 3
"""Rank of starts among events of one time."""


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be different."""

    cuts: Mapping[str, int] = field(default_factory=dict[str, int])
    """Span id to nanoseconds that it takes less."""
    together: Sequence[Sequence[SpanRecord]] = ()
    """Spans that begin when the first of them does."""
    after: Mapping[str, Sequence[str]] = field(default_factory=dict[str, "Sequence[str]"])
    """Span id to the spans that it begins after, in place of all that had ended."""


def saving_of(view: View, change: Change) -> int:
    """Return the nanoseconds by which the run would have ended earlier, at least 0."""
    if not (any(change.cuts.values()) or change.together or change.after):
        return 0
    run = view.run
    return max(0, run.start_ns + run.duration_ns - _Replay(view, change).end())


class _Replay:
    """One pass over the events of a run; `_known` is the latest cause of each span: recorded and new time."""

    def __init__(self, view: View, change: Change) -> None:
        self._view, self._cuts, self._after = view, change.cuts, change.after
        self._first = {span.span_id: group[0].span_id for group in change.together for span in group[1:]}
        begin = view.run.start_ns
        self._known: dict[str, tuple[int, int]] = {"": (begin, begin)}
        self._starts: dict[str, int] = {}
        self._ends: dict[str, int] = {}

    def end(self) -> int:
        finish = self._view.run.start_ns + self._view.run.duration_ns
        root = self._view.run.root
        for _, rank, _, span in _events(self._view):
            if rank == _STARTS:
                self._start(span)
            else:
                self._end(span)
        if kinds.kind_of(root) == "workflow" and root.end_ns == finish:
            return self._ends[root.span_id]
        time, moved = self._known[""]
        return moved + finish - time

    def _start(self, span: SpanRecord) -> None:
        span_id = span.span_id
        # A parent that starts after its child, which a skewed clock can make of it, caused nothing.
        time, moved = self._known.get(self._view.parents[span_id], (span.start_ns, span.start_ns))
        new = moved + span.start_ns - time
        if span_id in self._first:
            new = self._starts[self._first[span_id]]
        elif span_id in self._after:
            new = min(new, max(self._ends[other] for other in self._after[span_id]))
        self._starts[span_id] = new
        time, moved = self._known.get(span_id, (0, 0))
        self._known[span_id] = (max(time, span.start_ns), max(moved, new))

    def _end(self, span: SpanRecord) -> None:
        span_id = span.span_id
        time, moved = self._known[span_id]
        end = span.start_ns + span.duration_ns
        new = max(self._starts[span_id], moved + max(0, end - time) - self._cuts.get(span_id, 0))
        self._ends[span_id] = new
        cause = self._cause(span)
        if cause is not None:
            parent = self._view.parents[span_id]
            time, moved = self._known.get(parent, (0, 0))
            self._known[parent] = (max(time, cause[0]), max(moved, cause[1]))

    def _cause(self, span: SpanRecord) -> tuple[int, int] | None:
        """Return what the parent may have waited for: the end of `span`, or of what released this wait."""
        end = span.start_ns + span.duration_ns
        if self._view.kinds[span.span_id] != "wait" or kinds.text_of(span, c.WAIT_KIND) in _WORK:
            return end, self._ends[span.span_id]
        for link in span.links:
            if link.span_id in self._ends and link.span_id != span.span_id:
                released = self._view.spans[link.span_id]
                return released.start_ns + released.duration_ns, self._ends[link.span_id]
            if link.span_id in self._known and link.span_id != self._view.parents[span.span_id]:
                return self._known[link.span_id]  # it went on, and whatever it had got to ended the wait
        return None


def _events(view: View) -> list[tuple[int, int, int, SpanRecord]]:
    """Return (time, rank, place, span), causes before effects where times are equal, as on a virtual clock.

    First what has nothing below it ends, then waits, then what is above them, the deepest first; then spans start, and
    those of no length end.
    """
    events: list[tuple[int, int, int, SpanRecord]] = []
    for place, (span_id, span) in enumerate(view.spans.items()):
        events.append((span.start_ns, _STARTS, place, span))
        rank = 1 if view.kinds[span_id] == "wait" else 2 if span_id in view.run.trace.children else 0
        events.append((span.start_ns + span.duration_ns, rank if span.duration_ns else _STARTS + 1, -place, span))
    return sorted(events, key=lambda event: event[:3])
