"""Spans laid out on tracks, as viewers of profiles want them: on one track spans nest and never overlap otherwise.

A span goes on its parent's track where it fits, so that a sequential program is one track; else on the first track that
is free again, so that the number of tracks is the most that ran at once. Nothing is moved or cut.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spanwise.journal.reader import SpanRecord
    from spanwise_profiling.runs import Run


class _Track:
    """The spans of one track, and those of them that are open at the time reached."""

    def __init__(self) -> None:
        self.spans: list[SpanRecord] = []
        self._open: list[SpanRecord] = []

    def takes(self, span: SpanRecord) -> bool:
        """Whether nothing is open, or only `span`'s parent (and what is above) that ends no earlier.

        To be asked in order of starts.
        """
        while self._open and self._open[-1].end_ns <= span.start_ns:
            self._open.pop()
        if not self._open:
            return True
        return self._open[-1].span_id == span.parent_id and _end(span) <= self._open[-1].end_ns

    def add(self, span: SpanRecord) -> None:
        self.spans.append(span)
        self._open.append(span)


def tracks_of(run: Run) -> list[list[SpanRecord]]:
    """Return the spans of `run` by track, each in order of starts (of spans that start together, the longest first)."""
    tracks: list[_Track] = []
    placed: dict[str, int] = {}
    free: list[tuple[int, int]] = []  # when a track's outermost span ends, and the track's number
    for span in sorted((span for _, span in run.walk()), key=lambda span: (span.start_ns, -_end(span))):
        number = placed.get(span.parent_id or "", -1)
        if number < 0 or not tracks[number].takes(span):
            number = _free_track(tracks, free, span)
            heapq.heappush(free, (_end(span), number))
        tracks[number].add(span)
        placed[span.span_id] = number
    return [track.spans for track in tracks]


def _free_track(tracks: list[_Track], free: list[tuple[int, int]], span: SpanRecord) -> int:
    if free and free[0][0] <= span.start_ns and tracks[free[0][1]].takes(span):
        return heapq.heappop(free)[1]
    tracks.append(_Track())
    return len(tracks) - 1


def _end(span: SpanRecord) -> int:
    """Return the span's end, never before its start."""
    return max(span.start_ns, span.end_ns)
