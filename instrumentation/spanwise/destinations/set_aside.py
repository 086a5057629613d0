"""What a destination refuses, kept where a person finds it: a file a stream, each line with the reason and the span.

A line is an ExportTraceServiceRequest with two more fields, so that whatever reads OTLP/JSON reads it.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, Final

import msgspec

from spanwise.journal.folder import open_or_create

if TYPE_CHECKING:
    from pathlib import Path

    from spanwise.destinations.batches import Entry

FOLDER: Final = "set-aside"


def path_of(folder: Path, destination: str, stream: str) -> Path:
    """Return the file for what `destination` refused of `stream`."""
    return folder / FOLDER / destination / f"{stream}.jsonl"


def keep(path: Path, entry: Entry | None, reason: str, number: int) -> None:
    """Append one line; where it is not known which of the sent spans were rejected, it holds none. Raises `OSError`."""
    about: dict[str, Any] = {"reason": reason, "spans": number, "timeUnixNano": str(time.time_ns())}
    line = msgspec.json.encode({**((entry and entry.alone()) or {"resourceSpans": []}), "setAside": about}) + b"\n"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = open_or_create(path, os.O_WRONLY | os.O_APPEND)
    try:
        os.write(descriptor, line)
    finally:
        os.close(descriptor)
