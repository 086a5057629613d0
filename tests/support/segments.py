"""Streams of a journal, written record by record as a recording process does."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from support.traces import line_of

from spanwise.journal import packing, scan
from spanwise.journal.format import END, START, WAIT
from spanwise.journal.segment import SegmentWriter

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from spanwise.journal.reader import SpanRecord

STREAM = "20260921T133320-7-0000000a"
OTHER_STREAM = "20260921T133321-8-0000000b"


def payload_of(*spans: SpanRecord) -> bytes:
    """Return `spans` as the payload of a record."""
    return line_of(*spans).encode().rstrip()


def begin(writer: SegmentWriter, *spans: SpanRecord) -> None:
    """Write a START record, of spans that have no end yet."""
    writer.append(START, payload_of(*(replace(span, end_ns=0) for span in spans)), len(spans))


def withdraw(writer: SegmentWriter, *spans: SpanRecord) -> None:
    """Write the START record that says that spans have ended and are not recorded."""
    writer.append(START, payload_of(*spans), len(spans))


def end(writer: SegmentWriter, *spans: SpanRecord) -> None:
    """Write an END record, or of waits a WAIT record."""
    writer.append(WAIT if all(span.is_wait for span in spans) else END, payload_of(*spans), len(spans))


def ended_segments(writer: SegmentWriter) -> list[Path]:
    """Return the segments that `writer` has ended, oldest first: they will not change any more."""
    current = writer.path
    return [path for path in scan.segments(current.parent, scan.stream_of(current)) if path.name < current.name]


def write_segments(
    folder: Path, *segments: Sequence[Sequence[SpanRecord]], stream: str = STREAM, packed: bool = False
) -> list[Path]:
    """Write ended spans and waits as one stream, each of `segments` a list of records, and return the files."""
    folder.mkdir(exist_ok=True)
    writer = SegmentWriter(folder, stream)
    for segment in segments:
        for spans in segment:
            end(writer, *spans)
        writer.rotate()
    return [packing.pack_segment(path) if packed else path for path in ended_segments(writer)]


@contextmanager
def living(folder: Path, stream: str = STREAM) -> Iterator[None]:
    """Hold the lock that says that the process of `stream` lives."""
    descriptor = os.open(folder / f"{stream}.counts", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(descriptor)
