"""The whole records of a segment, whatever happened to it, and the streams of a folder.

Recovery is reading: there is no other step. Where a checksum does not hold, reading goes on at the next record that is
whole, and says what it left out. The end of a segment that is only half a record is told apart from damage: a process
may be writing it, or died while it did.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from spanwise.errors import InputError
from spanwise.journal import counts as counters
from spanwise.journal import packing
from spanwise.journal.format import FORMAT, HEADER, KINDS, MAGIC
from spanwise.journal.window import Damage, ScanReport, Window, pieces, renamed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from spanwise.journal.window import Record

__all__ = [
    "Damage",
    "Header",
    "ScanReport",
    "StreamFiles",
    "content",
    "exists",
    "header",
    "holds_records",
    "is_alive",
    "is_segment",
    "records",
    "segments",
    "sequence_of",
    "stream_of",
    "streams",
]

_NAME: Final = re.compile(r"(?P<stream>.+)-(?P<sequence>\d{6,18})\.seg(?P<packed>\.zst)?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class StreamFiles:
    """The segments that are there of one stream."""

    name: str
    segments: tuple[Path, ...]
    """By sequence number, oldest first; the oldest may have been deleted."""


def is_segment(name: str) -> bool:
    """Return whether a file of that name is a segment, compressed or not."""
    return _NAME.fullmatch(name) is not None


def holds_records(path: Path) -> bool:
    """Return whether a file is a segment, by its name or else by how it begins; raises `OSError`."""
    if is_segment(path.name):
        return True
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC or packing.is_packed(file)


def sequence_of(path: Path) -> int:
    """Return the number of a segment within its stream; `ValueError` where `path` is no segment's."""
    if match := _NAME.fullmatch(path.name):
        return int(match["sequence"])
    raise ValueError(f"{path}: not a segment")


def stream_of(path: Path) -> str:
    """Return the name of the stream that a segment belongs to; `ValueError` where `path` is no segment's."""
    if match := _NAME.fullmatch(path.name):
        return match["stream"]
    raise ValueError(f"{path}: not a segment")


def segments(folder: Path, stream: str) -> tuple[Path, ...]:
    """Return the segments that are there of one stream, oldest first; raises `OSError` as `streams`."""
    found = _streams(folder, [name for name in _names(folder) if name.startswith(stream)])
    return next((files.segments for files in found if files.name == stream), ())


def streams(folder: Path) -> list[StreamFiles]:
    """Return the streams that have segments in `folder`, by name; none where there is no folder.

    Raises:
        OSError: the folder may not be read.
    """
    return _streams(folder, _names(folder))


def exists(path: Path) -> bool:
    """Return whether a segment is there, compressed or not."""
    return path.exists() or renamed(path).exists()


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 - names are enough, and a folder can hold thousands
    except FileNotFoundError:
        return []


def _streams(folder: Path, names: Iterable[str]) -> list[StreamFiles]:
    found: defaultdict[str, dict[int, Path]] = defaultdict(dict)
    for name in sorted(names):
        if match := _NAME.fullmatch(name):
            # Of a segment and its compressed copy the first is taken: it sorts first, and the second is the same.
            found[match["stream"]].setdefault(int(match["sequence"]), folder / name)
    return [
        StreamFiles(name, tuple(path for _, path in sorted(members.items()))) for name, members in sorted(found.items())
    ]


def is_alive(folder: Path, stream: str) -> bool:
    """Return whether the process that writes `stream` lives: it holds a lock on the stream's counters."""
    return counters.alive(folder / (stream + counters.SUFFIX))


def records(path: Path, offset: int = 0, report: ScanReport | None = None) -> Iterator[Record]:
    """Yield the whole records of a segment, compressed or not, that begin at `offset` or behind it.

    `offset` is 0 or the end of a record. Records of kinds that are not known are left out and counted.

    Raises:
        InputError: a newer version wrote the segment.
        OSError: it may not be read.
    """
    report = ScanReport() if report is None else report
    for record in Window(path, offset, report).records():
        if record.kind == HEADER:
            _check(path, record.payload)
        if record.kind in KINDS:
            report.records += 1
            yield record
        else:
            report.unknown += 1


class Header(msgspec.Struct):
    """What the first record of a segment says."""

    format: int
    stream: str = ""
    sequence: int = 0
    pid: int = 0
    host: str = ""
    created_ns: int = 0
    """Nanoseconds since 1970, UTC."""
    spans_before: int = 0
    """Ended spans and waits in the segments of the stream that came before."""
    spanwise: str = ""
    """Version of the writer."""


def header(path: Path) -> Header | None:
    """Return the header of a segment; none where that is damaged.

    Raises:
        InputError, OSError: as `records`.
    """
    first = next(records(path), None)
    if first is None or first.kind != HEADER:
        return None
    return msgspec.json.decode(first.payload, type=Header)


def _check(path: Path, payload: bytes) -> None:
    try:
        number = msgspec.json.decode(payload, type=Header).format
    except msgspec.MsgspecError:
        number = 0
    if not 1 <= number <= FORMAT:
        raise InputError(
            f"{path}: written in format {number or 'unknown'}, and this version reads up to {FORMAT}; "
            "use the spanwise that wrote it or a newer one"
        )


def content(path: Path) -> bytearray:
    """Return a segment's bytes, with zeros where a compressed one is damaged; raises `OSError`."""
    data = bytearray()
    for offset, piece in pieces(path, 0, ScanReport()):
        data += bytes(offset - len(data)) + piece
    return data
