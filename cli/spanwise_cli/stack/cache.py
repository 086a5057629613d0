"""Where the servers and their state live: one per-user folder, shared by every checkout and environment.

Binaries are keyed by version, so a new release of spanwise never runs an old server by accident. A file lock keeps two
installs or two `stack up` from working in the same folder at once; the kernel lets go of it when its holder dies.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from typing import TYPE_CHECKING

from spanwise.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


def cache_folder() -> Path:
    """Return `$SPANWISE_CACHE_DIR`, else `$XDG_CACHE_HOME/spanwise`, else `~/.cache/spanwise`; not created."""
    if own := os.environ.get("SPANWISE_CACHE_DIR"):
        return Path(own).expanduser().absolute()
    if shared := os.environ.get("XDG_CACHE_HOME"):
        return Path(shared).expanduser().absolute() / "spanwise"
    return Path("~/.cache/spanwise").expanduser()


def servers_folder() -> Path:
    """Return the folder of installed servers, one `<name>-<version>/bin` each; not created."""
    return cache_folder() / "servers"


def state_folder() -> Path:
    """Return the folder of the running stack: state, logs, data and delivered alerts; not created."""
    return cache_folder() / "stack"


def make_folder(folder: Path) -> Path:
    """Create `folder` for this user alone and return it; raises `UnavailableError` where it cannot be made."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UnavailableError(f"{folder}: cannot be created ({error}); set SPANWISE_CACHE_DIR to a folder") from None
    return folder


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
