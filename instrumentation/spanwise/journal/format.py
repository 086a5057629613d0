"""The bytes of a segment: records of a 16-byte head and a payload, each with a checksum over all that it says.

The magic begins with a byte that no UTF-8 text holds, so that nothing a span says can be taken for a record, and a
reader that met damage finds the next whole record by looking for it. All numbers are little-endian.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final, NamedTuple

FORMAT: Final = 1
"""The version that HEADER records state; a reader refuses a newer one."""
MAGIC: Final = b"\xf5swj"
HEAD: Final = struct.Struct("<4sIIBBH")
"""Magic, CRC-32 of all that follows it, length of the payload, kind, flags (0), number of spans."""
_UNCHECKED: Final = 8  # bytes of the head before what the checksum covers
_CHECKED_HEAD: Final = struct.Struct("<IBBH")
_LONGEST: Final = 2**32 - 1
MOST_SPANS: Final = 2**16 - 1
"""How many spans one record may hold."""

HEADER: Final = 0
"""First record of a segment: JSON that says who wrote it, in which format, and how many spans stand in those before."""
START: Final = 1
"""Spans that began and have no end yet: OTLP/JSON ExportTraceServiceRequest."""
END: Final = 2
"""Ended spans, likewise; the head's number says how many."""
WAIT: Final = 3
"""Waits, in the form that they have as spans of other tools; the kind of the record tells them from spans."""
COUNTED: Final = frozenset({END, WAIT})
"""What the ledger counts and destinations get; to both a wait is a span."""
KINDS: Final = frozenset({HEADER, START, END, WAIT})


class Position(NamedTuple):
    """A place in a stream: everything before it was taken. Positions compare in the order of writing."""

    sequence: int = 1
    """Number of the segment, from 1."""
    offset: int = 0
    """Bytes into the segment as it was written; compressing it changes nothing."""


def pack(kind: int, payload: bytes, count: int = 0) -> bytes:
    """Return the bytes of one record that holds `count` spans.

    Raises:
        ValueError: more spans or bytes than a record can hold.
    """
    if count > MOST_SPANS or len(payload) > _LONGEST:
        raise ValueError(f"a record holds at most {MOST_SPANS} spans and 4 GiB, not {count} and {len(payload)} bytes")
    crc = zlib.crc32(payload, zlib.crc32(_CHECKED_HEAD.pack(len(payload), kind, 0, count)))
    return HEAD.pack(MAGIC, crc, len(payload), kind, 0, count) + payload


def is_whole(data: memoryview, at: int, length: int, crc: int) -> bool:
    """Return whether the checksum of the record at `at`, with a payload of `length` bytes, is right."""
    return zlib.crc32(data[at + _UNCHECKED : at + HEAD.size + length]) == crc
