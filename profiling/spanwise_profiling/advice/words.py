"""Words and numbers of findings' titles, alike in all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_MOST_NAMES: Final = 6
_LONGEST: Final = 60


def short(name: str) -> str:
    """Return a name of a recording as it can stand in a sentence: one line, at most 60 characters."""
    line = " ".join(name[: 4 * _LONGEST].split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


def listed(names: Iterable[str]) -> str:
    """Return `a, b and c`, each short; of many, the first six and how many more."""
    known = [short(name) for name in names]
    if len(known) > _MOST_NAMES:
        known = [*known[:_MOST_NAMES], f"{len(known) - _MOST_NAMES} more"]
    return " and ".join([", ".join(known[:-1]), known[-1]]) if len(known) > 1 else "".join(known)


def counted(number: int, noun: str) -> str:
    """Return `1 call`, `2 calls`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
