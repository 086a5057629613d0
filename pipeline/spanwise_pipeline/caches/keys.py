"""What a value depends on, as a key: a hash of the inputs' JSON, and of a file's content."""

from __future__ import annotations

import functools
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def key_of(inputs: Mapping[str, Any]) -> str:
    """Return the key of `inputs`: SHA-256 over their canonical JSON, so the order of names does not matter."""
    canonical = json.dumps(dict(inputs), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def file_hash(path: str | Path) -> str:
    """Return SHA-256 over a file's content, read once for each path, size, time of change and inode.

    Raises:
        OSError: the file cannot be read.
    """
    found = Path(path).resolve()
    status = found.stat()
    return _hashed(str(found), status.st_size, status.st_mtime_ns, status.st_ino)


@functools.lru_cache(maxsize=1024)
def _hashed(path: str, _size: int, _mtime_ns: int, _inode: int) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
