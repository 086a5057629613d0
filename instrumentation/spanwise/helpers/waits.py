"""`waiting`: a block of code as a wait of the current span."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from spanwise.otel import task_hook
from spanwise.recording.waits import record_wait

if TYPE_CHECKING:
    from collections.abc import Generator

    from opentelemetry.trace import SpanContext

    from spanwise import conventions as c


class Wait:
    """An open wait; tell it who released it."""

    def __init__(self) -> None:
        self.released_by: SpanContext | None = None


@contextmanager
def waiting(kind: c.WaitKind, resource: str) -> Generator[Wait]:
    """Record the block as a wait of the current span for `resource`; also when it is cancelled or fails."""
    wait = Wait()
    running = task_hook.watcher.running() if task_hook.watcher is not None else None
    if running is not None:
        running.explicit += 1  # what is waited for in here is this wait, not one more
    start_ns = time.time_ns()
    try:
        yield wait
    finally:
        if running is not None:
            running.explicit -= 1
        record_wait(kind, resource, start_ns, time.time_ns(), released_by=wait.released_by)
