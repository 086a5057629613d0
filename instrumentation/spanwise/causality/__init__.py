"""Causality in asyncio: each suspension of a task knows what ended it, without a change in the traced program.

A thin coroutine around each task's own sees every suspension and every resumption, and futures note who resolves them.
Both are put in place by replacing methods of the event loop classes, so that all loops of all threads take part at
once, running ones included, and a task factory of the host stays where it is. Off, nothing of this is loaded.
"""

from spanwise.causality.edges import Edge
from spanwise.causality.switch import active_mode, observed, start, stop

__all__ = ["Edge", "active_mode", "observed", "start", "stop"]
