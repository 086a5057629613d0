"""Closed segments compressed with zstd, in blocks that are read one by one.

A block is a skippable frame that says where its content belongs, then one zstd frame of about 1 MiB of whole records.
So a cursor goes on in the middle without decompressing what lies before, damage costs one block, and `zstdcat` still
gives the segment back, byte for byte. The last skippable frame, with no content, says how long the segment is.
"""

from __future__ import annotations

import io
import os
import struct
import sys
import zlib
from contextlib import suppress
from functools import cache
from typing import IO, TYPE_CHECKING, Any, Final

from spanwise.journal.folder import create
from spanwise.journal.format import MAGIC
from spanwise.process.imports import apart_from_forks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SUFFIX: Final = ".zst"
BLOCK: Final = 1024 * 1024
_MARK: Final = b"\x5b\x2a\x4d\x18\x18\x00\x00\x00"
"""A skippable frame of zstd (RFC 8878, 3.1.2) with 24 bytes of content."""
_PLACE: Final = struct.Struct("<QQI")
"""Offset and length of the content in the segment, length of the zstd frame; then their CRC-32."""
_CRC: Final = struct.Struct("<I")
_SIZE: Final = len(_MARK) + _PLACE.size + _CRC.size
_LEVEL: Final = 1
_WINDOW_LOG: Final = BLOCK.bit_length() - 1
"""So that all of a block is in reach: the level's own is half of it. Level 3 takes longer and packs hardly better."""


@cache
def _zstd() -> Any:
    with apart_from_forks():
        if sys.version_info >= (3, 14):
            from compression import zstd  # noqa: PLC0415 - only where something is compressed
        else:
            from backports import zstd  # noqa: PLC0415 - likewise
    return zstd


def pack_segment(path: Path) -> Path:
    """Replace a closed segment by its compressed form and return the path of that; doing it twice does no harm.

    Readers that have the old file open go on reading it; those that come later find the new one. Its age stays.

    Raises:
        OSError: the disk did not take it, or the segment is gone; it is as it was.
    """
    packed = path.with_name(path.name + SUFFIX)
    with path.open("rb") as source:
        _put(packed, lambda target: compress(source, target), os.fstat(source.fileno()))
    path.unlink(missing_ok=True)
    return packed


def replace(path: Path, content: bytes) -> None:
    """Replace the content of a file by `content`, compressed where the file is; its age stays.

    Raises:
        OSError: the disk did not take it; the file is as it was.
    """

    def write(target: IO[bytes]) -> None:
        if path.suffix == SUFFIX:
            compress(io.BytesIO(content), target)
        else:
            target.write(content)

    _put(path, write, path.stat())


def _put(path: Path, write: Callable[[IO[bytes]], object], age: os.stat_result) -> None:
    partial = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with os.fdopen(create(partial), "wb") as target:
            write(target)
        os.utime(partial, ns=(age.st_mtime_ns, age.st_mtime_ns))
        partial.replace(path)
    except OSError:
        with suppress(OSError):
            partial.unlink()
        raise


def compress(source: io.BufferedIOBase, target: IO[bytes]) -> None:
    """Write the content of a segment to `target` in blocks that end where a record does."""
    room = bytearray(2 * BLOCK)  # one for all blocks: fresh memory for each costs more than compressing it
    offset, held = 0, 0
    while True:
        if held + BLOCK > len(room):  # a record is longer than a block
            room.extend(bytes(len(room)))
        with memoryview(room) as view:
            got = source.readinto(view[held : held + BLOCK])
            if not got:
                break
            held += got
            cut = room.rfind(MAGIC, 0, held) if held >= BLOCK else 0
            if cut > 0:
                target.write(_block(offset, view[:cut]))
                offset, held = offset + cut, held - cut
                view[:held] = view[cut : cut + held]
    if held:
        target.write(_block(offset, memoryview(room)[:held]))
    target.write(_mark(offset + held, 0, 0))


def _block(offset: int, content: memoryview) -> bytes:
    zstd = _zstd()
    parameter = zstd.CompressionParameter
    options = {parameter.compression_level: _LEVEL, parameter.window_log: _WINDOW_LOG, parameter.checksum_flag: 1}
    frame: bytes = zstd.compress(content, options=options)
    return _mark(offset, len(content), len(frame)) + frame


def _mark(offset: int, length: int, packed: int) -> bytes:
    place = _PLACE.pack(offset, length, packed)
    return _MARK + place + _CRC.pack(zlib.crc32(place))


def _place(mark: bytes) -> tuple[int, int, int] | None:
    """Return (offset, length, packed length) of a block by its first bytes; none where these are no such."""
    if len(mark) != _SIZE or not mark.startswith(_MARK):
        return None
    place, crc = mark[len(_MARK) : -_CRC.size], mark[-_CRC.size :]
    return _PLACE.unpack(place) if _CRC.pack(zlib.crc32(place)) == crc else None


def is_packed(file: IO[bytes]) -> bool:
    """Return whether a file begins as a compressed segment does."""
    file.seek(0)
    return file.read(len(_MARK)) == _MARK


def length_of(file: IO[bytes]) -> int | None:
    """Return how long the segment in a compressed file is; none where its end is missing."""
    size = file.seek(0, os.SEEK_END)
    if size < _SIZE:
        return None
    file.seek(-_SIZE, os.SEEK_END)
    place = _place(file.read(_SIZE))
    return place[0] if place is not None and place[1] == 0 else None


def pieces(file: IO[bytes], offset: int) -> Iterator[tuple[int, bytes]]:
    """Yield (offset, bytes) of each block of a compressed file from `offset` on; damaged blocks are left out."""
    file.seek(0)
    while mark := file.read(_SIZE):
        place = _place(mark)
        if place is None:
            if not _seek_mark(file, file.tell() - len(mark) + 1):
                return
            continue
        begin, length, packed = place
        behind = file.tell() + packed
        if begin + length > offset:
            content = _content(file.read(packed), length)
            if content is None:
                _seek_mark(file, behind - packed)  # a frame that was cut or stretched ends at the next mark
                continue
            yield max(begin, offset), content[max(0, offset - begin) :]
        file.seek(behind)


def _seek_mark(file: IO[bytes], start: int) -> bool:
    """Go to the first block that begins at `start` or behind it."""
    file.seek(start)
    rest = file.read()
    at = rest.find(_MARK)
    while at >= 0 and _place(rest[at : at + _SIZE]) is None:
        at = rest.find(_MARK, at + 1)
    file.seek(start + at if at >= 0 else start + len(rest))
    return at >= 0


def _content(frame: bytes, length: int) -> bytes | None:
    """Return what a frame holds; none where it is damaged or holds anything but `length` bytes."""
    zstd = _zstd()
    decompressor = zstd.ZstdDecompressor()
    try:
        content: bytes = decompressor.decompress(frame, length + 1)
    except zstd.ZstdError:
        return None
    return content if len(content) == length and decompressor.eof else None
