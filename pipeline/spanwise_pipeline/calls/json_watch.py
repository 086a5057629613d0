"""Tells while an answer streams in that its JSON is complete and valid, in time that grows with the text alone."""

from __future__ import annotations

from typing import Any, Final, cast

import ijson  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]

_OPEN: Final = frozenset({"start_map", "start_array"})
_CLOSE: Final = frozenset({"end_map", "end_array"})


class JsonWatch:
    """Fed with the pieces of a text; a Markdown fence before the JSON is passed over.

    Only objects and arrays can be complete before the text ends: more digits may follow a number.
    """

    def __init__(self) -> None:
        self.complete = False
        """Whether an object or array has ended, with valid JSON up to there."""
        self._broken = False
        self._head: str | None = ""
        self._depth = 0
        self._events: Any = cast("Any", ijson).sendable_list()
        self._parser: Any = cast("Any", ijson).basic_parse_coro(self._events)

    def feed(self, text: str) -> bool:
        """Take a piece; returns whether the JSON is complete."""
        if self.complete or self._broken or not text:
            return self.complete
        if self._head is not None:
            self._head += text
            text = self._begun(self._head)
            if not text:
                return False
            self._head = None
        try:
            self._parser.send(text.encode())
        except ijson.JSONError:
            self._broken = True  # what came before the fault is looked at all the same
        self._count()
        return self.complete

    def _begun(self, head: str) -> str:
        """Return the text from the JSON on, empty while it has not begun."""
        begun = head.lstrip()
        if begun.startswith("```") or "```".startswith(begun):
            return begun.partition("\n")[2].lstrip()
        return begun

    def _count(self) -> None:
        for event, _ in self._events:
            self._depth += (event in _OPEN) - (event in _CLOSE)
            if self._depth == 0:
                self.complete = event in _CLOSE
                break
        self._events.clear()
