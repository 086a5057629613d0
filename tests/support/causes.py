"""Programs on the virtual clock, and the edges that causality found in them, by the names of their coroutines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spanwise.causality import observed
from spanwise.testing.virtual_clock import run_virtual

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from spanwise.causality import Edge
Found = tuple[str, str, str, str | None]
"""Waiter, kind, resource, releaser."""


def plain(edge: Edge) -> Found:
    """Return waiter, kind, resource, releaser; tasks by the names of their coroutine functions."""
    by = edge.released_by
    return edge.waiter.__name__, edge.kind, edge.resource, None if by is None else by.__name__


def causes(program: Callable[[], Coroutine[Any, Any, Any]], *, sleeps: bool = False) -> list[Found]:
    """Return the edges of a program in the order in which the waits ended, without those of plain sleeps."""
    with observed() as edges:
        run_virtual(program)
    found = [plain(edge) for edge in edges]
    return [one for one in found if sleeps or one[2] != "sleep"]
