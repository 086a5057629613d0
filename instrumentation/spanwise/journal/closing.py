"""How a purge gets at the segment that a living process writes: it asks by a file, and the writer closes the segment.

The file `<stream>.close` is made by who asks, and removed by the writer once nothing more will be written to the
segment that it had at that moment. A writer that is stopped, hangs, or looks seldom does not answer in time; the file
is then removed by who asked, and at the latest by housekeeping. Who asks holds the lock of `housekeeping`.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from spanwise.journal.folder import open_or_create
from spanwise.process import own_threads

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

SUFFIX: Final = ".close"
PATIENCE: Final = 3.0
"""Seconds; a recording process looks every half `journal_interval`."""
_LOOK: Final = 0.02


def path_of(folder: Path, stream: str) -> Path:
    """Return the file that asks the process of `stream` to close its segment."""
    return folder / f"{stream}{SUFFIX}"


def ask(folder: Path, streams: Iterable[str], patience: float | None = None) -> set[str]:
    """Have living processes close the segments that they write; returns the streams whose processes did, or ended.

    A stream that cannot be asked, since the disk is full, counts as one whose process did not.

    Args:
        folder: the journal.
        streams: of whom it is asked.
        patience: seconds to wait for all of them; by default `PATIENCE`.
    """
    from spanwise.journal import scan  # noqa: PLC0415 - who records takes the name of the file from here, and no more

    paths = {stream: path_of(folder, stream) for stream in streams}
    until = time.monotonic() + (PATIENCE if patience is None else patience)
    waiting: dict[str, Path] = {}
    try:
        for stream, path in paths.items():
            with suppress(OSError):  # a full disk takes no file to ask by
                os.close(open_or_create(path, os.O_WRONLY))
                waiting[stream] = path
        asked = set(waiting)
        while True:
            waiting = {
                stream: path for stream, path in waiting.items() if path.exists() and scan.is_alive(folder, stream)
            }
            if not waiting or time.monotonic() >= until:
                return asked - set(waiting)
            own_threads.sleep(_LOOK)
    finally:
        for path in paths.values():
            path.unlink(missing_ok=True)
