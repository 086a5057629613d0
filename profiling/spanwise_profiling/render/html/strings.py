"""Every text of a report once, and no more of it than the report may hold.

Names repeat and prompts are long. Texts are numbered where they are met; at the end the longest are cut to one common
length such that all together fit, so that a report of 1,000 spans stays below a megabyte whatever was recorded, and
each cut text says how long it was.
"""

from __future__ import annotations

from typing import Final

from spanwise_profiling.text import readable

_EXAMINED: Final = 200_000
"""No text is looked at further than this: cutting comes later, but a gigabyte is not gone through by the character."""


class Strings:
    """Texts by number, in the order in which they were first met."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, text: str) -> int:
        """Return the number of `text`."""
        return self._numbers.setdefault(text, len(self._numbers))

    def table(self, room: int) -> tuple[list[str], dict[int, int]]:
        """Return all texts, readable and cut so that they take about `room` bytes, and the full lengths of cut ones."""
        shown = [readable(text[:_EXAMINED]) for text in self._numbers]
        longest = longest_that_fits([_size(text) for text in shown], room)
        cut: dict[int, int] = {}
        for number, (text, full) in enumerate(zip(shown, self._numbers, strict=True)):
            if _size(text) > longest or len(full) > _EXAMINED:
                shown[number] = _shortened(text, longest)
                cut[number] = len(full)
        return shown, cut


def longest_that_fits(sizes: list[int], room: int) -> int:
    """Return the greatest length such that texts of `sizes`, each cut to it, take no more than `room` together."""
    left = room
    ordered = sorted(sizes)
    for position, size in enumerate(ordered):
        remaining = len(ordered) - position
        if size * remaining > left:
            return left // remaining
        left -= size
    return max(ordered, default=0)


def _size(text: str) -> int:
    """Return about how many bytes `text` takes in the report, where `<`, `>` and `&` take six."""
    if text.isascii() and not any(mark in text for mark in '<>&"\\\n\t'):
        return len(text)
    six = sum(text.count(mark) for mark in "<>&")
    two = sum(text.count(mark) for mark in '"\\\n\t')
    return len(text.encode("utf-8", "surrogatepass")) + 5 * six + two


def _shortened(text: str, longest: int) -> str:
    """Return the beginning of `text` that takes at most `longest` bytes in the report."""
    low, high = 0, min(len(text), longest)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if _size(text[:middle]) <= longest else (low, middle - 1)
    return text[:low]
