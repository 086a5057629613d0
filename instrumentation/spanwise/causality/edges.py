"""A wait with its cause, made when the task resumes: what it awaited is still there, and who resolved it is known.

Nothing is worked out when a task suspends, so that a wait which turns out too short to be recorded costs two readings
of the clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from spanwise.causality import primitives as p
from spanwise.causality.releases import cause_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.trace import SpanContext

    from spanwise.causality.driver import Driver
    from spanwise.conventions import WaitKind

_Task: Final[type[Any]] = p.Task


class Edge(NamedTuple):
    """That a task waited, and what ended it."""

    waiter: Driver
    kind: WaitKind
    resource: str
    released_by: Driver | None
    """The task that ended the wait, where there was one that causality drives."""
    span: SpanContext | None
    """The span of the one who ended it."""


def edge_of(waiter: Driver, awaited: Any, *, thrown: bool) -> Edge:
    """Return why a suspension of `waiter` is over.

    Args:
        waiter: the task that is about to go on.
        awaited: what it yielded to the loop.
        thrown: whether it goes on with an exception thrown into it.
    """
    if awaited is None:
        return Edge(waiter, *p.SLEEP, None, None)
    place, by, span, _ = cause_of(awaited)
    return Edge(waiter, *_place(waiter, awaited, place, thrown=thrown), by, span)


def _place(waiter: Driver, awaited: Any, released: p.Place | None, *, thrown: bool) -> p.Place:
    if isinstance(awaited, _Task):
        return p.Place("task", getattr(awaited.get_coro(), "__qualname__", "task"))
    if released is p.PERHAPS_SLEEP:
        return p.SLEEP if _awaited_place(waiter.coroutine) is p.SLEEP else p.UNKNOWN
    if released is not None:
        return released
    if thrown and awaited.cancelled():
        return _awaited_place(waiter.coroutine) or p.UNKNOWN
    return p.FUTURE


def _awaited_place(coroutine: Any) -> p.Place | None:
    """Return the primitive that a chain of awaits ends in: the outermost of the innermost run of asyncio's own."""
    place, inside = None, False
    for node in _chain(coroutine):
        code = getattr(node, "cr_code", None) or getattr(node, "gi_code", None)
        found = p.WAITING.get(id(code)) if code is not None else None
        if found is not None and not inside:
            place, inside = found, True
        elif code is not None and found is None:
            place, inside = None, False
        elif type(node).__name__ == "FutureIter":  # the chain is whole: a future is awaited by the host itself
            place = place or p.FUTURE
    return place


def _chain(node: Any) -> Iterator[Any]:
    while node is not None:
        yield node
        node = getattr(node, "cr_await", None) or getattr(node, "gi_yieldfrom", None)
