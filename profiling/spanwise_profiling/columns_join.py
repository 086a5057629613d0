"""Rows joined into trees and runs: what `trace` and `runs` do, for millions of spans at once.

Everything works on stretches of whole traces, so that what is needed beside the columns stays small. Ancestors are
found by doubling: after n rounds each row knows its 2^n-th ancestor, so depth costs its logarithm.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import numpy as np

from spanwise_profiling import columns

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterator

    from spanwise_profiling.columns import Builder, Columns

    Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

_STRETCH: Final = 200_000
_MIX: Final = np.uint64(0x9E3779B97F4A7C15)
_BY_START: Final = ("start", "end", "span_id")
_NOT_YET: Final = (1 << 63) - 1
"""Sorts a span without an end as the longest."""
_WORKFLOW: Final = 0
"""Index of `workflow` in `columns.KINDS`."""


class Rows:
    """The columns while they are made: arrays by name."""

    def __init__(self, builder: Builder) -> None:
        self.repairs: Counter[str] = Counter()
        self.of: dict[str, Array] = {name: _taken(builder, name) for name in columns.ARRAYS}

    def stretches(self) -> Iterator[slice]:
        """Yield slices of whole traces, of about `_STRETCH` rows each."""
        trace = self.of["trace"]
        low = 0
        while low < len(trace):
            high = min(low + _STRETCH, len(trace))
            if high < len(trace):
                high = max(_place(trace, trace[high]), low)
            if high == low:
                high = _place(trace, trace[low], "right")
            yield slice(low, high)
            low = high

    def reorder(self, order: Array) -> None:
        """Keep the rows `order`, in its order."""
        for name in self.of:
            self.of[name] = self.of[name][order]


def joined(builder: Builder) -> Columns:
    """Return what `builder` holds as columns, and leave it empty."""
    strings, services, trace_ids = builder.strings.table, tuple(builder.services), tuple(builder.traces)
    rows = Rows(builder)
    if np.any(np.diff(rows.of["trace"]) < 0):
        rows.reorder(np.argsort(rows.of["trace"], kind="stable"))
    _drop_duplicates(rows)
    run, parent = _joined_rows(rows)
    rows.of.pop("parent_id")
    unsigned = run.view(np.uint32)  # -1 comes last
    if np.any(unsigned[1:] < unsigned[:-1]):
        order = np.argsort(unsigned, kind="stable")
        new = np.empty(len(order), np.int32)
        new[order] = np.arange(len(order), dtype=np.int32)
        parent = np.where(parent >= 0, new[parent], -1)[order].astype(np.int32)
        run = run[order]
        rows.reorder(order)
    run_rows = np.searchsorted(run.view(np.uint32), np.arange(int(run.max(initial=-1)) + 2, dtype=np.uint32))
    return columns.Columns(
        run=run, parent=parent, **rows.of, run_rows=run_rows, run_roots=_roots(rows, run_rows, parent),
        strings=strings, services=services, trace_ids=trace_ids, repairs=dict(rows.repairs),
    )  # fmt: skip


def _taken(builder: Builder, name: str) -> Array:
    """Return an array of `builder` without copying it."""
    taken: array[int] = getattr(builder, name)
    setattr(builder, name, type(taken)(taken.typecode))
    return np.frombuffer(taken, dtype=np.dtype(taken.typecode)) if len(taken) else np.empty(0, taken.typecode)


def _place(ascending: Array, value: object, side: Literal["left", "right"] = "left") -> int:
    place: int = np.searchsorted(ascending, np.asarray([value]), side)[0].item()
    return place


def _keys(rows: Rows, here: slice, ids: Array) -> Array:
    """Return a number for each id together with its trace."""
    keys: Array = ids ^ ((rows.of["trace"][here].astype(np.uint64) + np.uint64(1)) * _MIX)
    return keys


def _drop_duplicates(rows: Rows) -> None:
    """Keep of each span that came more than once the first that has ended."""
    kept = np.ones(len(rows.of["trace"]), bool)
    for here in rows.stretches():
        keys = _keys(rows, here, rows.of["span_id"][here])
        order = np.lexsort((rows.of["end"][here] == 0, keys))
        again = keys[order[1:]] == keys[order[:-1]]
        kept[order[1:][again] + here.start] = False
    if dropped := len(kept) - int(np.count_nonzero(kept)):
        rows.repairs["came more than once"] += dropped
        rows.reorder(np.flatnonzero(kept))


def _joined_rows(rows: Rows) -> tuple[Array, Array]:
    """Return each row's run, and the row of its parent."""
    count = len(rows.of["trace"])
    run, parent = np.empty(count, np.int32), np.empty(count, np.int32)
    runs = 0
    for here in rows.stretches():
        local = _parents(rows, here)
        named = rows.of["parent_id"][here] != 0
        rows.repairs["without a recorded parent"] += int(((local < 0) & named).sum())
        rows.repairs["in a circle of parents"] += _cut_circles(local, *(rows.of[name][here] for name in _BY_START))
        _mend_times(rows, here)
        mine = _runs(rows, here, local, (local < 0) & named)
        used, numbers = np.unique(mine, return_inverse=True)
        has_none = len(used) > 0 and used[0] < 0
        run[here] = np.where(mine < 0, -1, numbers - has_none + runs)
        runs += len(used) - has_none
        parent[here] = np.where(local < 0, -1, local + here.start)
    rows.repairs += Counter()  # drops what is zero
    return run, parent


def _mend_times(rows: Rows, here: slice) -> None:
    start, end = rows.of["start"][here], rows.of["end"][here]
    open_, before = end == 0, (end != 0) & (end < start)
    if not (open_.any() or before.any()):
        return
    rows.repairs["without an end"] += int(open_.sum())
    rows.repairs["ended before starting"] += int(before.sum())
    trace = rows.of["trace"][here] - rows.of["trace"][here.start]
    last = np.zeros(int(trace.max()) + 1, np.int64)
    np.maximum.at(last, trace, np.maximum(start, end))
    if not rows.of["end"].flags.writeable:
        rows.of["end"] = rows.of["end"].copy()
    rows.of["end"][here] = np.where(open_, last[trace], np.maximum(start, end))


def _parents(rows: Rows, here: slice) -> Array:
    """Return the row of each parent, counted from the start of the stretch; -1 where it is not here."""
    keys = _keys(rows, here, rows.of["span_id"][here])
    wanted = _keys(rows, here, rows.of["parent_id"][here])
    order = np.argsort(keys, kind="stable")
    place = np.minimum(np.searchsorted(keys, wanted, sorter=order), len(keys) - 1)
    found = order[place]
    matches = (keys[found] == wanted) & (rows.of["parent_id"][here] != 0)
    return np.where(matches, found, -1)


def _cut_circles(parent: Array, start: Array, end: Array, span_id: Array) -> int:
    """Make the first row of each circle, as `trace.by_start` sorts, a root, in place; returns how many were cut."""

    def by_start(row: int) -> tuple[int, int, int]:
        return int(start[row]), -int(end[row] or _NOT_YET), int(span_id[row])

    above = parent.copy()
    for _ in range(max(1, len(parent).bit_length())):
        if (above < 0).all():
            return 0
        above = np.where(above >= 0, above[above], -1)
    cut = 0
    settled: set[int] = set()
    # What still has an ancestor after that many is in a circle, or below one.
    for row in np.flatnonzero(above >= 0).tolist():
        path: dict[int, None] = {}
        here = row
        while here not in settled and here not in path and here >= 0:
            path[here] = None
            here = int(parent[here])
        if here in path:
            members = list(path)
            circle = members[members.index(here) :]
            parent[min(circle, key=by_start)] = -1
            cut += 1
        settled.update(path)
    return cut


def _runs(rows: Rows, here: slice, parent: Array, lost: Array) -> Array:
    """Return for each row the row of its run's root, counted from the start of the stretch; -1 outside of runs.

    `lost` are the roots that had a parent.
    """
    workflow = rows.of["kind"][here] == _WORKFLOW
    own = np.arange(len(parent))
    root, top = own.copy(), np.where(workflow, own, -1)
    above = parent.copy()
    while (above >= 0).any():
        has = above >= 0
        top = np.where(has & (top[above] >= 0), top[above], top)
        root = np.where(has, root[above], root)
        above = np.where(has, above[above], -1)
    trace = rows.of["trace"][here] - rows.of["trace"][here.start]
    count = np.bincount(trace[top == own], minlength=int(trace.max()) + 1)
    only = np.full(len(count), -1)
    only[trace[top == own]] = own[top == own]
    single = only[trace]
    joining = lost[root] & (root != root[single]) & (count[trace] == 1)
    return np.where(count[trace] == 0, _first_roots(rows, here, parent, trace), np.where(joining, single, top))


def _first_roots(rows: Rows, here: slice, parent: Array, trace: Array) -> Array:
    """Return for each row the earliest root of its trace."""
    roots = np.flatnonzero(parent < 0)
    order = roots[np.lexsort((-rows.of["end"][here][roots], rows.of["start"][here][roots]))][::-1]
    first = np.full(int(trace.max()) + 1, -1)
    first[trace[order]] = order
    return first[trace]


def _roots(rows: Rows, run_rows: Array, parent: Array) -> Array:
    """Return the row of each run's workflow: of its earliest span without a parent in the run, workflows first."""
    roots = np.empty(len(run_rows) - 1, np.int32)
    for number, (low, high) in enumerate(zip(run_rows[:-1].tolist(), run_rows[1:].tolist(), strict=True)):
        tops = np.flatnonzero((parent[low:high] < low) | (parent[low:high] >= high)) + low
        is_workflow = rows.of["kind"][tops] == _WORKFLOW
        order = np.lexsort((rows.of["span_id"][tops], -rows.of["end"][tops], rows.of["start"][tops], ~is_workflow))
        roots[number] = tops[order[0]]
    return roots
