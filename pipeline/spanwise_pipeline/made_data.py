"""Data that a program makes once and keeps: a folder in the user's cache whose files are checked before each use."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from spanwise.config.folders import cache_folder, make_folder
from spanwise_pipeline.caches.keys import file_hash

if TYPE_CHECKING:
    from collections.abc import Callable

_HASHES: Final = "made.json"


def made_folder(system: str, name: str, make: Callable[[Path], None]) -> Path:
    """Return the folder of the data `name`; `make` fills it where it is not there, or not as it was made.

    Several processes may ask at once: one of the folders that they make stays, and all of them are the same.

    Raises:
        UnavailableError: the cache's folder cannot be made.
    """
    parent = make_folder(cache_folder() / "data" / system)
    folder = parent / name
    if folder.exists():
        if _as_made(folder):
            return folder
        shutil.rmtree(folder)
    making = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=parent))
    try:
        make(making)
        hashes = {file.name: file_hash(file) for file in sorted(making.iterdir())}
        (making / _HASHES).write_text(json.dumps(hashes), encoding="utf-8")
        making.rename(folder)
    except OSError:
        if not _as_made(folder):
            raise
    finally:
        shutil.rmtree(making, ignore_errors=True)  # gone already unless another process was faster, or making failed
    return folder


def _as_made(folder: Path) -> bool:
    """Return whether all files are there with the content that they were made with."""
    try:
        hashes: dict[str, str] = json.loads((folder / _HASHES).read_text(encoding="utf-8"))
        return all(file_hash(folder / name) == expected for name, expected in hashes.items())
    except (OSError, ValueError):
        return False
