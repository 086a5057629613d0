"""Which waits are worth a look: those that somebody could have avoided, and not those that a runtime is made of.

A program that awaits a model waits for a socket, a task and a future at once, and none of these is anything but the
model's time. A limit, a pause before a retry, an open circuit, a place in a pool of connections and a person hold a
program up; so does a lock, outside of a call whose library takes it for itself.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from spanwise import conventions
from spanwise_profiling import kinds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spanwise.journal.reader import SpanRecord
    from spanwise_profiling.kinds import Kind
    from spanwise_profiling.runs import Run

SOCKET: Final = "connection"
"""Resource of waits for what a socket or pipe brings; a wait for a connection of a pool has the pool's name."""
_AVOIDABLE: Final = frozenset({"rate_limit", "concurrency", "retry_backoff", "circuit_open", "human"})
_OUTSIDE_CALLS: Final = frozenset({"lock"})
_CALLS: Final[frozenset[Kind]] = frozenset({"chat", "embeddings", "tool", "retrieval", "cache"})


def is_avoidable(wait: SpanRecord, *, in_call: bool = False) -> bool:
    """Whether somebody could have avoided this wait; `in_call`: a model call, a tool or the like is above it."""
    kind = kinds.text_of(wait, conventions.WAIT_KIND)
    if kind == "connection":
        return kinds.subject_of(wait) != SOCKET
    return kind in _AVOIDABLE or (kind in _OUTSIDE_CALLS and not in_call)


def avoidable(run: Run) -> Iterator[SpanRecord]:
    """Yield the waits of `run` that somebody could have avoided, in tree order."""
    return (span for span, could in _waits(run) if could)


def without_runtime(run: Run) -> tuple[Run, int]:
    """Return `run` as a tree without its other waits, and how many of them there were."""
    children = run.trace.children
    other = {span.span_id for span, could in _waits(run) if not could and span.span_id not in children}
    kept = {parent: tuple(s for s in members if s.span_id not in other) for parent, members in children.items()}
    trace = replace(run.trace, children={parent: members for parent, members in kept.items() if members})
    totals = replace(run.totals, waits=run.totals.waits - len(other))
    tops = tuple(top for top in run.tops if top.span_id not in other) or run.tops
    return replace(run, trace=trace, totals=totals, tops=tops), len(other)


def _waits(run: Run) -> Iterator[tuple[SpanRecord, bool]]:
    in_call: list[bool] = []  # in_call[d]: whether a call is at or above the last span at depth d
    for depth, span in run.walk():
        del in_call[depth:]
        above = bool(in_call) and in_call[-1]
        kind = kinds.kind_of(span)
        in_call.append(above or kind in _CALLS)
        if kind == "wait":
            yield span, is_avoidable(span, in_call=above)
