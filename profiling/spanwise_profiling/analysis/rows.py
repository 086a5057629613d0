"""Rows of columns made ready for a walk: times since their run's start, parents and links within the stretch, roles.

The counterpart of `tree` for many runs at once. A run whose root is no workflow and has company gets a made-up root
after the last row. Runs that the columns do not say all about, and those too long for the keys, are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from spanwise_profiling.analysis.tree import CALLS, DETACHED_SHARE, ROUNDING_NS, SOCKET
from spanwise_profiling.columns import KINDS, LINK_REASONS, WAIT_KINDS, dense

if TYPE_CHECKING:
    from spanwise_profiling.columns import Columns

    Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

TIME_BITS: Final = 44
"""Of a key, for the time: a run of up to 4.8 hours."""
_NODE_BITS: Final = 18
WORK, ADMISSION, SUSPENDED = range(3)
"""What `tree.Role` names."""
IS_CALL: Final = np.array([kind in CALLS for kind in KINDS])
SPAN, WAIT, WORKFLOW, CHAT = (KINDS.index(kind) for kind in ("span", "wait", "workflow", "chat"))
_TIMER, _CONNECTION, _HUMAN = (WAIT_KINDS.index(kind) for kind in ("timer", "connection", "human"))
_ADMITS: Final = np.array(
    [kind in {"rate_limit", "concurrency", "retry_backoff", "circuit_open", "human"} for kind in WAIT_KINDS] + [False]
)
_WAITS_ON: Final = LINK_REASONS.index("waits_on")
_ERROR: Final = 2


@dataclass(frozen=True, slots=True)
class Rows:
    """A stretch of whole runs; arrays of one element a node, times in nanoseconds since the run's start."""

    low: int
    """The first row; a node is a row less this, made-up roots come after the rows."""
    made_up: int
    """The first node that is a made-up root."""
    run: Array
    """The run's number, counted from the first of the stretch."""
    span_id: Array
    lost: Array
    """Whether it has no parent of its own in the run; these come after the others in the tree."""
    parent: Array
    start: Array
    end: Array
    kind: Array
    wait_kind: Array
    role: Array
    call: Array
    releaser: Array
    starter: Array
    """The node that started this one, by a link; -1."""
    chunk: Array
    """When the first chunk came; -1."""
    pooled: Array
    """Whether a wait for a connection is one for a place in a pool."""
    roots: Array
    """One a run: its root."""
    durations: Array
    """One a run."""
    exact: Array
    """One a run: whether it can be walked here."""

    def detached(self, nodes: Array) -> Array:
        """Return which of `nodes` outlive their parents, as `Tree.is_detached` says."""
        over = self.end[nodes] - self.end[self.parent[nodes]]
        return (over > ROUNDING_NS) & (over * DETACHED_SHARE > self.end[nodes] - self.start[nodes])


def rows_of(columns: Columns, first: int, last: int) -> Rows:
    """Return the runs from `first` to `last` (not included) of `columns`."""
    low, high = int(columns.run_rows[first]), int(columns.run_rows[last])
    run = columns.run[low:high].astype(np.int64) - first
    tops = columns.run_roots[first:last].astype(np.int64) - low
    kind = columns.kind[low:high].astype(np.int64)
    begin = columns.start[low:high][tops]
    start = columns.start[low:high] - begin[run]
    end = np.maximum(columns.end[low:high] - begin[run], start)
    parent = _parents(columns, low, high, run)
    durations = np.zeros(last - first, np.int64)
    np.maximum.at(durations, run[parent < 0], end[parent < 0])
    durations = np.where(kind[tops] == WORKFLOW, end[tops], durations)
    lost = (parent < 0) & (np.arange(high - low) != tops[run])
    several = np.zeros(last - first, bool)
    several[run[lost]] = True
    several &= kind[tops] != WORKFLOW
    made = np.flatnonzero(several)
    roots = tops.copy()
    roots[made] = high - low + np.arange(len(made))
    parent = np.where(lost | (several[run] & (parent < 0)), roots[run], parent)
    nodes = _nodes(columns, (low, high), (parent, start, end, kind), durations[made])
    call = nodes.calls()
    role = nodes.roles(call)
    chunk = dense(columns.first_chunk_rows, columns.first_chunk_ns, low, high)
    chunk = np.where((chunk >= 0) & (chunk <= end - start), np.maximum(chunk + start, 0), -1)
    exact = columns.run_exact[first:last].copy()
    exact[run[(kind == CHAT) & (chunk < 0) & (columns.status[low:high] == _ERROR)]] = False  # was it to stream?
    exact[run[several[run] & (columns.wait_kind[low:high] == _HUMAN)]] = False
    exact[run[end > (1 << TIME_BITS) - 1]] = False
    exact &= len(call) <= 1 << _NODE_BITS
    return Rows(
        low=low, made_up=high - low, run=np.concatenate([run, made]), lost=_more(lost, len(made), 0),
        span_id=_more(columns.span_id[low:high], len(made), 0), parent=nodes.parent, start=nodes.start, end=nodes.end,
        kind=nodes.kind, wait_kind=nodes.wait_kind, pooled=nodes.pooled, role=role, call=call,
        releaser=nodes.releasers(role), starter=nodes.starters(), chunk=_more(chunk, len(made), -1), roots=roots,
        durations=durations, exact=exact,
    )  # fmt: skip


def _nodes(columns: Columns, between: tuple[int, int], known: tuple[Array, ...], durations: Array) -> _Nodes:
    """Return the rows, and made-up roots of `durations` after them."""
    low, high = between
    parent, start, end, kind = known
    more = len(durations)
    target, reason = _links(columns, low, high)
    return _Nodes(
        parent=_more(parent, more, -1), start=_more(start, more, 0), end=np.concatenate([end, durations]),
        kind=_more(kind, more, SPAN), wait_kind=_more(columns.wait_kind[low:high].astype(np.int64), more, -1),
        pooled=_more(columns.subject[low:high] != _number(columns, SOCKET), more, 0),
        target=_more(target, more, -1), reason=_more(reason, more, -1),
    )  # fmt: skip


def _more(rows: Array, count: int, value: int) -> Array:
    """Return `rows` with `count` times `value` after them."""
    return np.concatenate([rows, np.full(count, value, rows.dtype)])


def _parents(columns: Columns, low: int, high: int, run: Array) -> Array:
    """Return the node of each parent in the same run, -1 for none."""
    parent = columns.parent[low:high].astype(np.int64) - low
    inside = np.flatnonzero((parent >= 0) & (parent < high - low))
    inside = inside[run[parent[inside]] == run[inside]]
    found = np.full(high - low, -1)
    found[inside] = parent[inside]
    return found


def _number(columns: Columns, text: str) -> int:
    return columns.strings.index(text) if text in columns.strings else -2


def _links(columns: Columns, low: int, high: int) -> tuple[Array, Array]:
    """Return for each row the node it links to and the reason, -1 for none."""
    target = dense(columns.link_rows, columns.link_targets.astype(np.int64) - low, low, high)
    return target, dense(columns.link_rows, columns.link_reasons.astype(np.int64), low, high)


@dataclass(frozen=True, slots=True)
class _Nodes:
    parent: Array
    start: Array
    end: Array
    kind: Array
    wait_kind: Array
    pooled: Array
    target: Array
    reason: Array

    def calls(self) -> Array:
        """Return the call that each node's own time is of: pointers over waits and plain spans, doubled each round."""
        passes = ((self.kind == SPAN) | (self.kind == WAIT)) & (self.parent >= 0)
        own = np.arange(len(self.kind))
        above = np.where(passes, self.parent, own)
        while True:
            further = above[above]
            if np.array_equal(further, above):
                return np.where(IS_CALL[self.kind[above]], above, -1)
            above = further

    def roles(self, call: Array) -> Array:
        wait: Array = self.kind == WAIT
        admits = _ADMITS[self.wait_kind] | ((self.wait_kind == _CONNECTION) & self.pooled)
        admits |= (self.wait_kind == _TIMER) & (call < 0)
        return np.where(wait, np.where(admits, ADMISSION, SUSPENDED), WORK)

    def _linked(self) -> Array:
        linked: Array = (self.target >= 0) & (self.target != self.parent) & (self.target != np.arange(len(self.target)))
        return linked

    def releasers(self, role: Array) -> Array:
        good = self._linked() & (role == SUSPENDED) & ((self.reason == _WAITS_ON) | (self.reason < 0))
        good &= (self.start[self.target] < self.end) & (self.end[self.target] > self.start)
        return np.where(good, self.target, -1)

    def starters(self) -> Array:
        return np.where(self._linked() & (self.reason >= 0) & (self.kind != WAIT), self.target, -1)
