"""What a pure function returned, remembered for as long as it fits: the one cache of this package.

Names and short texts repeat from span to span, so most of what is asked was asked before. A memo that is full forgets
everything, which costs a constant share of the work however many different keys come.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

K = TypeVar("K")
V = TypeVar("V")
MOST: Final = 10_000


class Memo(dict[K, V]):
    """A dict that works out what it is asked for and does not have.

    Args:
        work_out: a pure function; what it raises is raised.
        most: how many results are remembered.
        fits: whether a key and its result are small enough to be remembered.
    """

    __slots__ = ("_fits", "_most", "_work_out")

    def __init__(
        self, work_out: Callable[[K], V], *, most: int = MOST, fits: Callable[[K, V], bool] | None = None
    ) -> None:
        super().__init__()
        self._work_out = work_out
        self._most = most
        self._fits = fits

    def __missing__(self, key: K) -> V:
        value = self._work_out(key)
        if self._fits is None or self._fits(key, value):
            if len(self) >= self._most:
                self.clear()
            self[key] = value
        return value
