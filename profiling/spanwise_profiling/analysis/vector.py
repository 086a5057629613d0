"""Critical path and budget of many runs at once: the walk of `walk` and the buckets of `buckets`, in step over columns.

All runs of a stretch take their steps together, each in its own tree, so that a step costs a few calls of numpy
however many runs there are. What the columns do not hold (how long the loop was blocked, several links of one span) is
left to `profile_of`: `exact` says of which runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from spanwise_profiling.analysis.buckets import HAVE_OWN_COURSE, OF_CALLS, OF_WAITS
from spanwise_profiling.analysis.lists import Lists
from spanwise_profiling.analysis.rows import CHAT, SUSPENDED, WAIT, rows_of
from spanwise_profiling.analysis.steps import Steps, walked
from spanwise_profiling.columns import KINDS, WAIT_KINDS
from spanwise_profiling.profile import BUCKETS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spanwise_profiling.analysis.rows import Rows
    from spanwise_profiling.columns import Columns

    Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

_STRETCH: Final = 80_000
_BUCKET: Final = {bucket: number for number, bucket in enumerate(BUCKETS)}
_UNKNOWN, _QUEUE = _BUCKET["unknown"], _BUCKET["queue"]
_PREFILL, _DECODE = _BUCKET["model_prefill"], _BUCKET["model_decode"]
_OF_KIND: Final = np.array(
    [
        _BUCKET["model"]
        if kind == "chat"
        else _BUCKET[OF_CALLS.get(kind, "coordination" if kind in HAVE_OWN_COURSE else "unknown")]
        for kind in KINDS
    ]
)
_OF_WAIT: Final = np.array([_BUCKET[OF_WAITS.get(kind, "unknown")] for kind in WAIT_KINDS] + [_UNKNOWN])
_CONNECTION: Final = WAIT_KINDS.index("connection")


@dataclass(frozen=True, slots=True)
class Paths:
    """The critical paths of many runs; the arrays from `run` to `overlap` have one element a segment, in order."""

    run: Array
    """int64: the run's number in the columns."""
    row: Array
    """int64: row of the span whose own time it is."""
    start: Array
    """int64: nanoseconds since the run's start."""
    end: Array
    bucket: Array
    """int8: index into `profile.BUCKETS`."""
    observed: Array
    """bool."""
    overlap: Array
    """bool."""
    durations: Array
    """int64, one a run."""
    budgets: Array
    """int64, one row a run and one column a bucket; adds up to the duration where it is exact, else zeros."""
    exact: Array
    """bool, one a run: whether it was analysed here; the others need `profile_of`."""


def paths_of(columns: Columns) -> Paths:
    """Return the critical paths and budgets of all runs in `columns`."""
    parts = [_paths(columns, first, last) for first, last in _stretches(columns)]
    if not parts:
        none = np.empty(0, np.int64)
        return Paths(none, none, none, none, none, none, none, none, np.empty((0, len(BUCKETS)), np.int64), none)
    return Paths(*(np.concatenate([getattr(part, name) for part in parts]) for name in Paths.__slots__))


def _stretches(columns: Columns) -> Iterator[tuple[int, int]]:
    rows, first = columns.run_rows, 0
    while first < len(rows) - 1:
        last = max(first + 1, int(np.searchsorted(rows, rows[first] + _STRETCH, side="right")) - 1)
        yield first, last
        first = last


def _paths(columns: Columns, first: int, last: int) -> Paths:
    rows = rows_of(columns, first, last)
    steps = _coloured(rows, walked(rows))
    steps, bucket = _sorted_into_buckets(rows, steps)
    run = rows.run[steps.node]
    place = run * len(BUCKETS) + bucket
    # A run's times stay far below 2^53, so that floats hold their sums exactly.
    budgets = np.bincount(place, steps.end - steps.start, len(rows.roots) * len(BUCKETS)).astype(np.int64)
    row = np.where(steps.node >= rows.made_up, columns.run_roots[first:last][run], steps.node + rows.low)
    return Paths(
        run + first, row, steps.start, steps.end, bucket.astype(np.int8), steps.observed, steps.overlap, rows.durations,
        budgets.reshape(-1, len(BUCKETS)), rows.exact,
    )  # fmt: skip


def _coloured(rows: Rows, steps: Steps) -> Steps:
    """Split own time of agents, workflows and steps where waits of theirs lie in it; in order of run and time."""
    waits = Lists(rows, np.flatnonzero((rows.role == SUSPENDED) & (rows.parent >= 0)))
    plain = (rows.call[steps.node] >= 0) | (rows.kind[steps.node] == WAIT) | ~waits.has[steps.node]
    done, left = [steps.taken(np.flatnonzero(plain))], steps.taken(np.flatnonzero(~plain))
    endless = np.int64(2**62)
    while len(left.node):
        place = waits.place(left.node, left.end)
        wait = waits.at(left.node, place)
        now = (wait >= 0) & (rows.end[wait] == left.end)
        going = waits.going(left.node, left.end, place, np.full(len(place), endless))
        wait = np.where(now | (going < 0), wait, going)
        wait = np.where((wait >= 0) & (rows.end[wait] > left.start), wait, -1)
        until = np.where(wait >= 0, np.minimum(rows.end[wait], left.end), left.start)
        begin = np.where(wait >= 0, np.maximum(rows.start[wait], left.start), left.start)
        colours = Steps(np.where(wait >= 0, wait, left.node), begin, until, left.observed, left.overlap)
        done += [left.between(until, left.end), colours.between(begin, until)]
        left = left.between(left.start, begin)
    return Steps.joined(done).in_order(rows)


def _sorted_into_buckets(rows: Rows, steps: Steps) -> tuple[Steps, Array]:
    """Return the steps, split where a first chunk came, and the bucket of each."""
    call, kind, wait = rows.call[steps.node], rows.kind[steps.node], rows.wait_kind[steps.node]
    of_wait = np.where((wait == _CONNECTION) & ~rows.pooled[steps.node].astype(bool), _UNKNOWN, _OF_WAIT[wait])
    is_wait = (kind == WAIT) & ((call < 0) | (rows.role[steps.node] != SUSPENDED))
    bucket = np.where(is_wait, of_wait, _OF_KIND[np.where(call >= 0, rows.kind[call], kind)])
    bucket = np.where(steps.node >= rows.made_up, _QUEUE, bucket)
    chunk = np.where(~is_wait & (call >= 0) & (rows.kind[call] == CHAT), rows.chunk[call], -1)
    bucket = np.where(chunk >= 0, np.where(steps.start < chunk, _PREFILL, _DECODE), bucket)
    split = np.flatnonzero((chunk > steps.start) & (chunk < steps.end))
    if not len(split):
        return steps, bucket
    until = steps.end.copy()
    until[split] = chunk[split]
    later = steps.taken(split)
    both = Steps.joined(
        [steps.between(steps.start, until, empty=True), later.between(chunk[split], later.end, empty=True)]
    )
    order = both.order(rows)
    return both.taken(order), np.concatenate([bucket, np.full(len(split), _DECODE)])[order]
