"""Calls something when an event loop ends, without touching the loop: as one of its asynchronous generators.

`asyncio.run` closes the generators that were begun in it before it closes the loop, and that is a public promise of
`loop.shutdown_asyncgens`.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import AsyncGenerator, Callable

_waiting: WeakKeyDictionary[AbstractEventLoop, _End] = WeakKeyDictionary()


class _End:
    """What is called at a loop's end, and the generator that learns of it."""

    def __init__(self, act: Callable[[], object]) -> None:
        self.act = act
        self.generator = self._until_then()

    async def _until_then(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            if running() is not None:  # else the loop was closed without a word, and this is the collector's call
                self.act()


def running() -> AbstractEventLoop | None:
    """Return the event loop that runs in this thread; asyncio is not loaded for it."""
    events = sys.modules.get("asyncio.events")
    return events._get_running_loop() if events is not None else None  # noqa: SLF001


def call(loop: AbstractEventLoop, act: Callable[[], object]) -> None:
    """Call `act` when `loop`, which runs in this thread, shuts its generators down; the last one given counts."""
    if (known := _waiting.get(loop)) is not None:
        known.act = act
        return
    end = _waiting[loop] = _End(act)
    # A loop that is ending already warns of one more generator; it is flushed when the program ends.
    with suppress(StopIteration, ResourceWarning):
        end.generator.asend(None).send(None)
