"""What agents have found: posted on a board that everybody reads as a whole, or handed on as a few figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from spanwise_pipeline import facts_of

if TYPE_CHECKING:
    from spanwise_pipeline import Clock

ENTRY_S: Final = 2.12
"""System seconds that fetching and ranking one entry of the board takes."""


class Board:
    """The entries of one run, in the order of their posting.

    Args:
        clock: system time.
        handed_on: give each agent the figures of the entries that it needs, and nothing else.
    """

    def __init__(self, clock: Clock, *, handed_on: bool) -> None:
        self._clock = clock
        self._handed_on = handed_on
        self._entries: dict[str, tuple[str, list[str]]] = {}

    def post(self, name: str, text: str, tables: list[str] | None = None) -> None:
        """Post an entry: a text, and the results of tools that it rests on."""
        self._entries[name] = (text, tables or [])

    async def read(self) -> None:
        """Fetch and rank everything that is posted; an empty board takes as long as one entry."""
        await self._clock.sleep(ENTRY_S * max(1, len(self._entries)))

    def shown(self, needed: tuple[str, ...], heard: tuple[str, ...]) -> list[str]:
        """Return the paragraphs for an agent: figures of what it needs, or all there is of that and of `heard`."""
        names = [name for name in self._entries if name in needed or (name in heard and not self._handed_on)]
        if self._handed_on:
            return [_figures(self._entries[name][0]) for name in names]
        return [paragraph for name in names for paragraph in (self._entries[name][0], *self._entries[name][1])]


def _figures(text: str) -> str:
    """Return an entry's heading and figures without its prose."""
    return "\n".join([text.splitlines()[0], *(f"{name} = {value}" for name, value in facts_of(text).items())])
