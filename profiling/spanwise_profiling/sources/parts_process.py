"""The process that reads parts of a big file for another one: see `parts`.

It is asked by two numbers, where a part begins and ends, and answers with the size of a message and the message.
"""

from __future__ import annotations

import gc
import os
import sys
from typing import TYPE_CHECKING

import msgspec

from spanwise.journal.reader import Skipped
from spanwise_profiling import columns
from spanwise_profiling.sources import fast, parts

if TYPE_CHECKING:
    from collections.abc import Iterator


def main(descriptor: int) -> None:
    """Answer for parts of the open file `descriptor` until standard input ends."""
    gc.disable()
    out, buffer = sys.stdout.buffer, bytearray()
    out.write(parts.READY)
    out.flush()
    while asked := sys.stdin.buffer.read(2 * parts.NUMBER_BYTES):
        begin, end = (int.from_bytes(number, "little") for number in (asked[:8], asked[8:]))
        message = msgspec.msgpack.encode(_answer(descriptor, begin, end, buffer))
        out.write(len(message).to_bytes(parts.NUMBER_BYTES, "little"))
        out.write(message)
        out.flush()


def _answer(descriptor: int, begin: int, end: int, buffer: bytearray) -> parts.Part | parts.Failure:
    try:
        size = _read(descriptor, begin, end - begin, buffer)
        return part_of(buffer, size)
    except (MemoryError, OSError) as error:
        return parts.Failure(str(error) or type(error).__name__)


def _read(descriptor: int, begin: int, size: int, buffer: bytearray) -> int:
    """Read into `buffer`, which grows to the largest part: new memory costs as much as reading. Returns the bytes."""
    if len(buffer) < size:
        buffer.extend(bytes(size - len(buffer)))
    filled = 0
    with memoryview(buffer) as view:
        while filled < size and (read := os.preadv(descriptor, [view[filled:size]], begin + filled)):
            filled += read
    return filled


def part_of(content: bytearray, size: int) -> parts.Part:
    """Return what the lines in the first `size` bytes of `content` say."""
    loader = fast.Loader(columns.Builder())
    for line in _lines(content, size):
        loader.take(line)
    loader.flush()
    builder = loader.builder
    return parts.Part(
        columns={name: memoryview(getattr(builder, name)).cast("B") for name in columns.ARRAYS},
        strings=list(builder.strings.table),
        services=list(builder.services),
        traces=list(builder.traces),
        lines=loader.number,
        spans=loader.report.spans,
        incomplete=loader.report.incomplete,
        noted=loader.report.noted,
        skipped=[(one.line, one.reason) for one in loader.report.skipped if isinstance(one, Skipped)],
    )


def _lines(content: bytearray, size: int) -> Iterator[memoryview]:
    start = 0
    with memoryview(content) as view:
        while start < size:
            end = content.find(b"\n", start, size) + 1 or size
            with view[start:end] as line:
                yield line
            start = end
