"""Where spanwise keeps what it made or fetched once: a folder of the user, shared by every checkout and environment."""

from __future__ import annotations

import os
from pathlib import Path

from spanwise.errors import UnavailableError


def cache_folder() -> Path:
    """Return `$SPANWISE_CACHE_DIR`, else `$XDG_CACHE_HOME/spanwise`, else `~/.cache/spanwise`; not created."""
    if own := os.environ.get("SPANWISE_CACHE_DIR"):
        return Path(own).expanduser().absolute()
    if shared := os.environ.get("XDG_CACHE_HOME"):
        return Path(shared).expanduser().absolute() / "spanwise"
    return Path("~/.cache/spanwise").expanduser()


def make_folder(folder: Path) -> Path:
    """Create `folder` for this user alone and return it; raises `UnavailableError` where it cannot be made."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UnavailableError(f"{folder}: cannot be created ({error}); set SPANWISE_CACHE_DIR to a folder") from None
    return folder
