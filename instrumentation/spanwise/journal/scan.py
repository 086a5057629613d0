"""The whole records of a segment, whatever happened to it, and the streams of a folder.

Recovery is reading: there is no other step. Where a checksum does not hold, reading goes on at the next record that is
whole, and says what it left out. The end of a segment that is only half a record is told apart from damage: a process
may be writing it, or died while it did.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec

from spanwise.errors import InputError
from spanwise.journal import counts as counters
from spanwise.journal import packing
from spanwise.journal.format import FORMAT, HEAD, HEADER, KINDS, MAGIC, Record, is_whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_NAME: Final = re.compile(r"(?P<stream>.+)-(?P<sequence>\d{6,18})\.seg(?P<packed>\.zst)?", re.DOTALL)
_PIECE: Final = 1024 * 1024
_UNKNOWN: Final = -1


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes of a segment that are no whole records; none where a compressed one lacks its end."""

    path: Path
    offset: int
    """Into the uncompressed segment."""
    length: int
    torn: bool = False
    """Whether it is the beginning of a record at the very end: being written, or cut off when its process ended."""

    def __str__(self) -> str:
        if not self.length:
            return f"{self.path}: cut off; what it held from {self.offset} on is lost"
        what = "cut off in the middle of a record" if self.torn else "damaged"
        return f"{self.path}: {self.length} bytes from {self.offset} skipped: {what}"


@dataclass(slots=True)
class ScanReport:
    """What a scan met; filled while its records are taken."""

    records: int = 0
    unknown: int = 0
    """Records of a kind that this version does not know."""
    damage: list[Damage] = field(default_factory=list[Damage])


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
    return path.exists() or _renamed(path).exists()


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
    for record in _Scanner(path, offset, report).records():
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
    """Ended spans in the segments of the stream that came before."""
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
    for offset, piece in _pieces(path, 0, ScanReport()):
        data += bytes(offset - len(data)) + piece
    return data


class _Scanner:
    """A window that moves over the content of one segment; all places are offsets into that content."""

    def __init__(self, path: Path, offset: int, report: ScanReport) -> None:
        self._path = path
        self._report = report
        self._pieces = _pieces(path, offset, report)
        self._data: bytes = b""
        self._base: int = offset
        """Where the window begins."""
        self._at: int = offset
        """What lies before it is not needed any more."""
        self._gap: tuple[int, bytes] | None = None
        """A piece that does not follow the window at once."""
        self._short: bool = False
        """Whether what was last looked at is the beginning of a record whose rest is missing."""

    def records(self) -> Iterator[Record]:
        while True:
            record = self._whole(self._at)
            if record is None and (record := self._resumed()) is None:
                if self._gap is None:
                    return
                self._base, self._data = self._gap
                self._at, self._gap = self._base, None
                continue
            self._at = record.end
            yield record

    def _whole(self, at: int) -> Record | None:
        """Return the record at `at`, if there is one and it is whole."""
        if not self._has(at, HEAD.size):
            begin = self._data[at - self._base :]
            self._short = bool(begin) and (begin.startswith(MAGIC) or MAGIC.startswith(begin))
            return None
        magic, crc, length, kind, flags, count = HEAD.unpack_from(self._data, at - self._base)
        self._short = magic == MAGIC and not self._has(at, HEAD.size + length)
        if magic != MAGIC or self._short or not is_whole(memoryview(self._data), at - self._base, length, crc):
            return None
        end = at + HEAD.size + length
        payload = self._data[at - self._base + HEAD.size : end - self._base]
        return Record(kind if flags == 0 else _UNKNOWN, count, payload, at, end)

    def _resumed(self) -> Record | None:
        """Return the first whole record behind a place where none is, and report what lies between."""
        damaged, is_short = self._at, self._short
        record = self._search()
        if record is not None:
            end = record.start
        else:
            end = self._base + len(self._data) if self._gap is None else self._gap[0]
        if end > damaged:
            torn = is_short and record is None and self._gap is None
            self._report.damage.append(Damage(self._path, damaged, end - damaged, torn))
        return record

    def _search(self) -> Record | None:
        while True:
            found = self._data.find(MAGIC, self._at + 1 - self._base)
            if found >= 0:
                self._at = self._base + found
                record = self._whole(self._at)
                if record is not None:
                    return record
            else:
                self._at = max(self._at, self._base + len(self._data) - len(MAGIC))
                if not self._pull():
                    return None

    def _has(self, at: int, length: int) -> bool:
        """Whether the window holds `length` bytes from `at` on, after it was widened if need be."""
        while self._base + len(self._data) < at + length:
            if not self._pull():
                return False
        return True

    def _pull(self) -> bool:
        """Widen the window by the next piece, if that follows at once."""
        if self._gap is not None:
            return False
        offset, piece = next(self._pieces, (self._base + len(self._data), b""))
        if offset != self._base + len(self._data):
            self._gap = offset, piece
            return False
        self._data = self._data[self._at - self._base :] + piece
        self._base = self._at
        return bool(piece)


def _pieces(path: Path, offset: int, report: ScanReport) -> Iterator[tuple[int, bytes]]:
    """Yield (offset, bytes) of a segment's content from `offset` on; in order, with gaps where it is damaged."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        path = _renamed(path)  # compressed since it was listed
        file = path.open("rb")
    with file:
        if path.suffix != packing.SUFFIX and not packing.is_packed(file):
            file.seek(offset)
            while piece := file.read(_PIECE):
                yield offset, piece
                offset += len(piece)
            return
        length = packing.length_of(file)
        for begin, piece in packing.pieces(file, offset):
            yield begin, piece
            offset = begin + len(piece)
        if length is None:
            report.damage.append(Damage(path, offset, 0))
        elif length > offset:
            yield length, b""


def _renamed(path: Path) -> Path:
    return path.with_suffix("") if path.suffix == packing.SUFFIX else path.with_name(path.name + packing.SUFFIX)
