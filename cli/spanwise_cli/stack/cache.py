"""Where the servers and their state live: one per-user folder, shared by every checkout and environment.

Binaries are keyed by version, so a new release of spanwise never runs an old server by accident. A file lock keeps two
installs or two `stack up` from working in the same folder at once; the kernel lets go of it when its holder dies.
"""

from __future__ import annotations

import contextlib
import fcntl
from typing import TYPE_CHECKING

from spanwise.config.folders import cache_folder, make_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path


def servers_folder() -> Path:
    """Return the folder of installed servers, one `<name>-<version>/bin` each; not created."""
    return cache_folder() / "servers"


def state_folder() -> Path:
    """Return the folder of the running stack: state, logs, data and delivered alerts; not created."""
    return cache_folder() / "stack"


@contextlib.contextmanager
def exclusive(folder: Path, waiting: Callable[[], None] = lambda: None) -> Generator[None, None, None]:
    """Hold `folder`'s lock; calls `waiting` once when another process has it."""
    with (make_folder(folder) / ".lock").open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
