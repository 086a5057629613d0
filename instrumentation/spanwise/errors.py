"""The kinds of fault that spanwise reports to a person.

Each message names the place, what is wrong there and how to mend it. Only the command line turns one into text and an
exit code; everything below it raises.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable


class SpanwiseError(Exception):
    """Root of all errors raised by spanwise on purpose."""

    exit_code: ClassVar[int] = 2


class InputError(SpanwiseError):
    """Bad usage or bad input: a file, an option or a value that cannot be used."""


class UnavailableError(SpanwiseError):
    """Something that is needed (a server, a port, a disk, an extra) cannot be reached or used."""

    exit_code: ClassVar[int] = 4


class NothingMeasuredError(SpanwiseError):
    """There is nothing to judge: no run, or no baseline."""

    exit_code: ClassVar[int] = 5


class CheckFailedError(SpanwiseError):
    """The answer is no: a budget is broken, or what is committed differs from what is made."""

    exit_code: ClassVar[int] = 1


def nearest(name: str, allowed: Iterable[str]) -> str:
    """Return the hint that ends an unknown-name message: the nearest allowed name, and all of them."""
    import difflib  # noqa: PLC0415 - 10 ms, and only where something is wrong

    names = sorted(allowed)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    guess = f"did you mean {close[0]!r}? " if close else ""
    return f"{guess}Allowed: {', '.join(names)}"
