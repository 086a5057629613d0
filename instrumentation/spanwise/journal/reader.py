"""Recorded spans out of a journal's segments, and out of lines of OTLP/JSON, earlier journals' and the collector's.

Reading never raises over what a file holds: recordings outlive crashes, and one bad place must not hide the others.
What is damaged is skipped and listed in the caller's `ReadReport`; an end that another process may be writing is only
counted. Spans come in the order of their files and are neither joined nor sorted here. One that was begun and has no
end comes after the ended ones of its stream: `open` while the process that writes it lives, else `interrupted`.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from spanwise.errors import InputError
from spanwise.journal import scan
from spanwise.journal.follow import Follower
from spanwise.journal.report import ReadReport, Skipped
from spanwise.otlp import json_decoder as wire
from spanwise.otlp.records import (
    STATUS_ERROR,
    Attributes,
    AttributeValue,
    EventRecord,
    LinkRecord,
    SpanRecord,
    State,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

    from spanwise.journal.format import Position

__all__ = [
    "STATUS_ERROR",
    "SUFFIX",
    "AttributeValue",
    "Attributes",
    "EventRecord",
    "Follower",
    "LinkRecord",
    "ReadReport",
    "Skipped",
    "SpanRecord",
    "State",
    "follow",
    "is_segment",
    "read",
    "read_file",
    "read_stream",
]

SUFFIX: Final = ".otlp.jsonl"
"""Of the lines of OTLP/JSON that earlier versions wrote."""
_POLL_SECONDS: Final = 0.2


def read(folder: str | Path, report: ReadReport | None = None) -> Iterator[SpanRecord]:
    """Yield the spans of a journal `folder`, earlier versions' lines first; none where there is no folder.

    Raises:
        InputError: the folder, or a file in it, may not be read, or a newer version wrote it.
    """
    report = ReadReport() if report is None else report
    folder = Path(folder)
    for path in _lines_in(folder):
        # A file that another process purges between listing and opening is not an error.
        if path.exists():
            yield from read_file(path, report)
    with _readable(folder):
        yield from Follower(folder).whole(report)


def read_stream(segment: str | Path, report: ReadReport | None = None) -> Iterator[SpanRecord]:
    """Yield the spans of all segments that were written by the writer of one `segment`, which may be gone.

    Raises:
        InputError: as `read`.
    """
    path = Path(segment)
    with _readable(path.parent):
        yield from Follower(path.parent).whole(ReadReport() if report is None else report, scan.stream_of(path))


def follow(
    folder: str | Path,
    positions: Mapping[str, Position] | None = None,
    *,
    report: ReadReport | None = None,
    wait: Callable[[float], object] | None = None,
    interval: float = _POLL_SECONDS,
) -> Iterator[SpanRecord]:
    """Yield the spans of a folder's streams, and then new ones as they are written, until `wait` says to stop.

    A span comes when it is begun (`open`), if that is on record, again when it has ended, and again as `interrupted`
    when its process is gone without an end of it. Lines of earlier versions do not grow and are not looked at.

    Args:
        folder: the journal; it may not exist yet.
        positions: where to begin, by stream; others are read from their beginning.
        report: what could not be read.
        wait: called with `interval` when there is nothing new; ends the following by returning something true.
            `threading.Event().wait` fits, and the default waits so without an end.
        interval: seconds.

    Raises:
        InputError: as `read`.
    """
    wait = threading.Event().wait if wait is None else wait
    follower = Follower(Path(folder), positions)
    while True:
        with _readable(Path(folder)):
            yield from follower.poll(report)
        if wait(interval):
            return


def read_file(path: str | Path, report: ReadReport | None = None) -> Iterator[SpanRecord]:
    """Yield the spans of one segment of a journal, or of a file of OTLP/JSON lines, whatever its name.

    Raises:
        InputError: there is no such file, it may not be read, or a newer version wrote it.
    """
    path = Path(path)
    report = ReadReport() if report is None else report
    with _readable(path):
        if scan.holds_records(path):
            yield from Follower(path.parent).segment(path, report)
        else:
            yield from _read_lines(path, report)


def is_segment(path: str | Path) -> bool:
    """Return whether a file is a segment of a journal, by its name or else by how it begins.

    Raises:
        InputError: as `read_file`.
    """
    with _readable(Path(path)):
        return scan.holds_records(Path(path))


@contextmanager
def _readable(path: Path) -> Generator[None]:
    try:
        yield
    except FileNotFoundError:
        raise InputError(
            f"{path}: no such file; give the path of a segment of a journal or a file of OTLP/JSON lines"
        ) from None
    except NotADirectoryError:
        raise InputError(f"{path}: is a file; the journal is a folder, give the one that holds it") from None
    except OSError as error:
        raise InputError(
            f"{error.filename or path}: cannot be read ({error.strerror}); check its permissions"
        ) from None


def _lines_in(folder: Path) -> list[Path]:
    with _readable(folder):
        try:
            return sorted(entry for entry in folder.iterdir() if entry.name.endswith(SUFFIX))
        except FileNotFoundError:
            return []


def _read_lines(path: Path, report: ReadReport) -> Iterator[SpanRecord]:
    with path.open("rb") as lines:
        report.files += 1
        for number, line in enumerate(lines, start=1):
            spans = _read_line(line, path, number, report)
            report.spans += len(spans)
            yield from spans


def _read_line(line: bytes, path: Path, number: int, report: ReadReport) -> tuple[SpanRecord, ...]:
    if not line.strip():
        return ()
    try:
        return wire.spans_of(line)
    except wire.MALFORMED as error:
        if line.endswith(b"\n"):
            report.skipped.append(Skipped(path, number, str(error) or type(error).__name__))
        else:
            report.incomplete += 1
        return ()
