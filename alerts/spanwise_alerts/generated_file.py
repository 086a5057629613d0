"""Files that are made from the budgets and committed: written by `build`, compared by `check`.

A generated file is committed, so that people can read it and servers can use it as it is. The comparison keeps it
correct. Rules and dashboards share this module.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from spanwise.errors import UnavailableError

if TYPE_CHECKING:
    from pathlib import Path


def write(path: Path, text: str) -> bool:
    """Write `text` to `path` unless it is there already; returns whether anything changed.

    Raises:
        UnavailableError: The file cannot be written.
    """
    if read(path) == text:
        return False
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UnavailableError(f"{path}: cannot be written ({error.strerror}); choose another with --output") from None
    return True


def read(path: Path) -> str:
    """Return what is in `path`, or nothing where there is no such file.

    Raises:
        UnavailableError: The file is there and cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise UnavailableError(f"{path}: cannot be read ({error}); choose another with --output") from None


def difference(path: Path, text: str) -> str:
    """Return how the file differs from `text` as a unified diff, empty where it does not."""
    lines = difflib.unified_diff(
        read(path).splitlines(), text.splitlines(), f"{path} (committed)", f"{path} (from the budgets)", lineterm=""
    )
    return "\n".join(lines)
