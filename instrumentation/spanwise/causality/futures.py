"""Futures that note who resolved them, and tasks that hide what drives them.

Both are asyncio's own, in C, with as little above them as can be. They carry the names of their bases, so that a
`repr`, a log line or a debugger shows what it showed before.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, cast

from spanwise.causality import primitives as p
from spanwise.causality.releases import (
    coroutine_of,
    current_task,
    next_number,
    release_from,
    span_key,
    thread_origin,
    timed,
)
from spanwise.causality.steps import compiled

if TYPE_CHECKING:
    from spanwise.causality.driver import Driver
    from spanwise.causality.releases import Release

_base = cast("Any", p.Future)
_frame = cast("Any", sys)._getframe  # noqa: SLF001 - the only way to see who calls
_set_result = _base.set_result
_set_exception = _base.set_exception
_cancel = _base.cancel


class TracedFuture(p.Future[Any]):
    """What `loop.create_future()` gives while causality is on."""

    __slots__ = ("release",)
    release: Release
    """Who resolved it; not there while it is pending."""

    def set_result(self, result: Any, /) -> None:
        """Mark the future as done, by whoever calls this."""
        _set_result(self, result)
        self.release = release_from(_frame(1), self._loop, result)

    def set_exception(self, exception: Any, /) -> None:
        """Mark the future as failed, by whoever calls this."""
        _set_exception(self, exception)
        self.release = release_from(_frame(1), self._loop, exception)

    def cancel(self, msg: Any | None = None) -> bool:
        """Cancel the future, by whoever calls this."""
        done: bool = _cancel(self, msg=msg)
        if done:
            self.release = release_from(_frame(1), self._loop, msg)
        return done


class TracedTask(p.Task[Any]):
    """What `loop.create_task()` gives while causality is on and the host has no task factory of its own."""

    __slots__ = ("eager_driver",)
    eager_driver: Driver
    """What drove a task that was begun eagerly, which may end before it is known to anybody."""

    @property
    def _coro(self) -> Any:
        return self.get_coro()

    def get_coro(self) -> Any:
        """Return the coroutine that the host gave; none where it ended eagerly, as with any task."""
        driver = coroutine_of(self)
        return driver.coroutine if driver is not None else None


if compiled is not None:
    TracedFuture.set_result = compiled.resolver(  # type: ignore[method-assign]
        future=TracedFuture, set_result=_set_result, release_from=release_from, next_number=next_number,
        current_task=current_task, coroutine_of=coroutine_of, thread_origin=thread_origin, run_handle=p.RUN_HANDLE,
        timed=timed, unknown=p.UNKNOWN, releasing=p.RELEASING, parts=p.PARTS, span_key=span_key,
    )  # fmt: skip
TracedFuture.__name__ = TracedFuture.__qualname__ = "Future"
TracedTask.__name__ = TracedTask.__qualname__ = "Task"
TracedFuture.__module__ = TracedTask.__module__ = "_asyncio"
