"""The streams of a folder from where a reader stands, across rotation, compression and deletion.

A stream is read up to what is there now, and later from there on: positions count uncompressed bytes, so that they hold
whatever becomes of the files. A segment is left for the next one only when that one was there before it was read to its
end: then its writer was done with it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from spanwise.journal import scan
from spanwise.journal.format import HEADER, START, Position
from spanwise.journal.report import ReadReport, Skipped
from spanwise.journal.segment import path_of
from spanwise.otlp import json_decoder as wire

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from spanwise.journal.scan import ScanReport, StreamFiles
    from spanwise.journal.window import Record
    from spanwise.otlp.records import SpanRecord, State

_Begun: TypeAlias = "dict[tuple[str, str], SpanRecord]"


def records(
    folder: Path,
    stream: str,
    position: Position | None = None,
    report: ScanReport | None = None,
    *,
    segments: tuple[Path, ...] | None = None,
) -> Iterator[tuple[Position, Path, Record]]:
    """Yield (position behind it, segment, record) of a stream from `position` on, up to what is there now.

    Where the segment of `position` was deleted, the next one that is there follows; its header says how many spans
    stood before it.

    Args:
        folder: the journal.
        stream: name of the stream.
        position: where to begin; by default at its beginning.
        report: what could not be read.
        segments: those of the stream, where they were listed already.

    Raises:
        InputError: a newer version wrote a segment.
        OSError: a segment may not be read.
    """
    position = Position() if position is None else position
    segments = scan.segments(folder, stream) if segments is None else segments
    while (path := _first(segments, position)) is not None:
        sequence = scan.sequence_of(path)
        if sequence > position.sequence:
            position = Position(sequence)
        is_closed = path != segments[-1]
        try:
            for record in scan.records(path, position.offset, report):
                position = Position(sequence, record.end)
                yield position, path, record
        except FileNotFoundError:  # deleted since it was listed
            is_closed = True
        if is_closed:
            position = Position(sequence + 1)
        elif scan.exists(path_of(folder, stream, sequence + 1)):
            segments = scan.segments(folder, stream)
        else:
            return


def _first(segments: tuple[Path, ...], position: Position) -> Path | None:
    return next((path for path in segments if scan.sequence_of(path) >= position.sequence), None)


class Follower:
    """Spans of a folder's streams; remembers where it stands in each, and which spans have no end yet."""

    def __init__(self, folder: Path, positions: Mapping[str, Position] | None = None) -> None:
        self._folder = folder
        self.positions: dict[str, Position] = dict(positions or {})
        """Behind the last record that was read, by stream."""
        self._begun: dict[str, _Begun] = {}
        self._finished: set[str] = set()

    def whole(self, report: ReadReport, only: str | None = None) -> Iterator[SpanRecord]:
        """Yield each span of every stream, or `only` of one, as its last record left it: those without an end last."""
        for stream in scan.streams(self._folder):
            if only not in (None, stream.name):
                continue
            report.files += len(stream.segments)
            alive = scan.is_alive(self._folder, stream.name)
            for span in self._stream(stream, report, alive=alive):
                if not span.is_open:
                    report.spans += 1
                    yield span
            left = self._left(stream.name, "open" if alive else "interrupted")
            report.spans += len(left)
            yield from left

    def poll(self, report: ReadReport | None = None) -> Iterator[SpanRecord]:
        """Yield what is new since the last call, as `reader.follow` says."""
        report = ReadReport() if report is None else report
        incomplete = report.incomplete
        for stream in scan.streams(self._folder):
            if stream.name in self._finished:
                continue
            alive = scan.is_alive(self._folder, stream.name)
            for span in self._stream(stream, report, alive=alive):
                report.spans += 1
                yield span
            if not alive:
                self._finished.add(stream.name)
                yield from self._left(stream.name, "interrupted")
        report.incomplete = incomplete  # what is being written is so at each look

    def segment(self, path: Path, report: ReadReport) -> Iterator[SpanRecord]:
        """Yield the spans of one segment, each once."""
        stream = scan.stream_of(path) if scan.is_segment(path.name) else path.name
        found = scan.ScanReport()
        report.files += 1
        for record in scan.records(path, 0, found):
            for span in self._spans(stream, path, record, report):
                if not span.is_open:
                    report.spans += 1
                    yield span
        alive = scan.is_alive(self._folder, stream)
        _tell(report, found, alive=alive)
        left = self._left(stream, "open" if alive else "interrupted")
        report.spans += len(left)
        yield from left

    def _stream(self, stream: StreamFiles, report: ReadReport, *, alive: bool) -> Iterator[SpanRecord]:
        found, name = scan.ScanReport(), stream.name
        new = records(self._folder, name, self.positions.get(name), found, segments=stream.segments)
        for position, path, record in new:
            yield from self._spans(name, path, record, report)
            self.positions[name] = position
        _tell(report, found, alive=alive)

    def _spans(self, stream: str, path: Path, record: Record, report: ReadReport) -> tuple[SpanRecord, ...]:
        if record.kind == HEADER:
            return ()
        try:
            spans = wire.spans_of(record.payload)
        except wire.MALFORMED as error:
            report.skipped.append(Skipped(path, record.start, str(error) or type(error).__name__))
            return ()
        begun = self._begun.setdefault(stream, {})
        if begun:
            for span in spans:
                begun.pop((span.trace_id, span.span_id), None)
        if record.kind == START:
            # One with an end is over, and a hook has dropped it.
            spans = tuple(replace(span, state="open") for span in spans if not span.end_ns)
            begun.update({(span.trace_id, span.span_id): span for span in spans})
        return spans

    def _left(self, stream: str, state: State) -> list[SpanRecord]:
        """Return the spans of a stream that have no end, and forget them."""
        return [replace(span, state=state) for span in self._begun.pop(stream, {}).values()]


def _tell(report: ReadReport, found: ScanReport, *, alive: bool) -> None:
    report.unknown += found.unknown
    for damage in found.damage:
        if alive and damage.torn:
            report.incomplete += 1
        elif damage not in report.skipped:
            report.skipped.append(damage)
