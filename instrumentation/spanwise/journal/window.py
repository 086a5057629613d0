"""A window that moves over a segment's content and finds its whole records, whatever lies between them.

Where no record is whole, it looks for the next magic whose record is. What it cannot read it reports: as torn, where it
is the beginning of a record at the very end, else as damage.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from spanwise.journal import packing
from spanwise.journal.format import HEAD, MAGIC, is_whole

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

UNKNOWN: Final = -1
"""Kind of a record with flags, which this version knows none of."""
_PIECE: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Record:
    """One whole record of a segment."""

    kind: int
    count: int
    """Spans, or waits, in the record; 0 in a header."""
    payload: bytes
    start: int
    """Offset of its first byte in the uncompressed segment."""
    end: int
    """Offset behind its last byte."""


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


class Window:
    """Moves over the content of one segment from `offset` on; all places are offsets into that content."""

    def __init__(self, path: Path, offset: int, report: ScanReport) -> None:
        self._path = path
        self._report = report
        self._pieces = pieces(path, offset, report)
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
        """Yield the whole records; raises `OSError`."""
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
        return Record(kind if flags == 0 else UNKNOWN, count, payload, at, end)

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


def pieces(path: Path, offset: int, report: ScanReport) -> Iterator[tuple[int, bytes]]:
    """Yield (offset, bytes) of a segment's content from `offset` on; in order, with gaps where it is damaged."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        path = renamed(path)  # compressed since it was listed
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


def renamed(path: Path) -> Path:
    """Return the other name that a segment can have: it was compressed, or not yet."""
    return path.with_suffix("") if path.suffix == packing.SUFFIX else path.with_name(path.name + packing.SUFFIX)
