"""Loading modules on a thread of ours, out of the way of a fork.

A child that is forked while another thread loads a module waits for that module for ever, should it want it, too: the
thread that was at it stayed with the parent. So a fork waits until what is loaded here is loaded.
"""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from spanwise.process import own_threads

if TYPE_CHECKING:
    from collections.abc import Generator

_LONGEST: Final = 1.0
"""Seconds that a fork may be held up; loading takes some ten milliseconds."""
_lock = own_threads.RLock()


@contextmanager
def apart_from_forks() -> Generator[None]:
    """Let no other thread fork while the block runs; the block only imports."""
    with _lock:
        yield


def _before() -> None:
    _lock.acquire(timeout=_LONGEST)


def _after() -> None:
    with suppress(RuntimeError):  # it was not to be had in time
        _lock.release()


def _in_child() -> None:
    global _lock  # noqa: PLW0603 - whoever held it may not be here
    _lock = own_threads.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_in_child)
