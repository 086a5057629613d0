"""Calls something when an event loop ends, without touching the loop: as one of its asynchronous generators.

`asyncio.run` closes the generators that were begun in it before it closes the loop, and that is a public promise of
`loop.shutdown_asyncgens`.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import AsyncGenerator, Callable

_waiting: WeakKeyDictionary[AbstractEventLoop, AsyncGenerator[None, None]] = WeakKeyDictionary()


async def _until_the_end(act: Callable[[], object]) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        act()


def call(loop: AbstractEventLoop, act: Callable[[], object]) -> None:
    """Call `act` when `loop`, which runs in this thread, shuts its generators down; the first one given counts."""
    if loop in _waiting:
        return
    generator = _waiting[loop] = _until_the_end(act)
    # A loop that is ending already warns of one more generator; it is flushed when the program ends.
    with suppress(StopIteration, ResourceWarning):
        generator.asend(None).send(None)
