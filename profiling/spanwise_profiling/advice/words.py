"""Words and numbers of findings' titles, alike in all of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_MOST_NAMES: Final = 6
_FEW_NAMES: Final = 2
_LONGEST: Final = 60
_WORD: Final = re.compile(r"[^\W\d_]+")


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


def together(names: Iterable[str]) -> str:
    """Return what several are called in a heading: `a and b`, `the 4 analysts`, `a and 3 more`."""
    known = list(dict.fromkeys(short(name) for name in names))
    if len(known) <= _FEW_NAMES:
        return listed(known)
    ends = {_WORD.findall(name)[-1].lower() if _WORD.findall(name) else "" for name in known}
    if len(ends) == 1 and (end := ends.pop()):
        return f"the {len(known)} {end if end.endswith('s') else f'{end}s'}"
    return f"{known[0]} and {len(known) - 1} more"


def counted(number: int, noun: str) -> str:
    """Return `1 call`, `2 calls`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
