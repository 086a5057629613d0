"""Words and numbers of findings' titles, alike in all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from spanwise_profiling.advice.view import View

_MOST_NAMES = 6


def listed(names: Iterable[str]) -> str:
    """Return `a, b and c`; of many, the first six and how many more."""
    known = list(names)
    if len(known) > _MOST_NAMES:
        known = [*known[:_MOST_NAMES], f"{len(known) - _MOST_NAMES} more"]
    return " and ".join([", ".join(known[:-1]), known[-1]]) if len(known) > 1 else "".join(known)


def seconds(view: View, nanoseconds: int) -> str:
    """Return recorded nanoseconds as the system's seconds, with three digits that count."""
    return f"{view.run.scaled(nanoseconds):.3g} s"


def counted(number: int, noun: str) -> str:
    """Return `1 call`, `2 calls`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
