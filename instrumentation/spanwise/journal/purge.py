"""Erases spans out of a journal, and moves nothing: places in a segment stay what they were for every cursor.

A record that holds spans to be erased is written again without them, padded with blanks to its old length; its number
of spans stays, so that a cursor that comes to it sees how many are gone. A file of which nothing is left is deleted.
What a living process is still writing to is not touched: it is asked to close its segment (`closing`), and goes on in
another.
"""

from __future__ import annotations

import errno
import os
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec

from spanwise.journal import closing, cursor, packing, past, reader, scan
from spanwise.journal.bounds import Deleting, closed, lines_in
from spanwise.journal.format import COUNTED, HEADER, START, Position, pack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from spanwise.journal.window import Record

    IsWanted: TypeAlias = Callable[[str, str], bool]
    """Takes a span's trace id and span id; true where it is to be erased."""

SET_ASIDE: Final = "set-aside"
"""Folder of what destinations refused."""


@dataclass(slots=True)
class Erased:
    """What was erased, or would be."""

    spans: int = 0
    """Ended ones and waits; what was recorded when they began goes with them."""
    files: int = 0
    """Files that were deleted because nothing was left in them."""
    undelivered: Counter[str] = field(default_factory=Counter[str])
    """Of the spans, how many a destination had not taken, by its name."""
    still_written: int = 0
    """Spans that are not erased: a living process writes to the segment they are in, and did not close it."""


def older(folder: Path, moment_ns: int) -> set[str]:
    """Return the traces whose last recorded moment lies before `moment_ns` and in which no span is open.

    Raises:
        InputError: as `reader.read`.
    """
    last: dict[str, float] = {}
    for span in reader.read(folder):
        moment = float("inf") if span.state == "open" else max(span.start_ns, span.end_ns)
        last[span.trace_id] = max(moment, last.get(span.trace_id, 0))
    return {trace_id for trace_id, moment in last.items() if moment < moment_ns}


def erase(folder: Path, is_wanted: IsWanted, *, dry_run: bool = False) -> Erased:
    """Erase spans from every segment and file of a journal that nobody writes to any more.

    Args:
        folder: the journal.
        is_wanted: says of a span (trace id, span id) whether it goes.
        dry_run: only say what would be erased.

    Raises:
        OSError: a file cannot be read or written; what was erased before stays so.
        InputError: a newer version wrote something.
    """
    with past.housekeeping(folder, wait=True):
        return _Eraser(folder, is_wanted, dry_run=dry_run).run()


class _Eraser:
    def __init__(self, folder: Path, is_wanted: IsWanted, *, dry_run: bool) -> None:
        self._folder = folder
        self._is_wanted = is_wanted
        self._dry_run = dry_run
        self._deleting = Deleting(folder)
        self._cursors = cursor.read_all(folder)
        self._erased = Erased()
        self._closed: set[Path] = set()

    def run(self) -> Erased:
        self._closed = self._closed_for_it()
        done_with = {*self._closed, *closed(self._folder)}
        no_room = [path for path in sorted(done_with) if not self._has_room(path)]
        for path in no_room:  # what was deleted since has made room
            self._segment(path)
        for path in self._segments().difference(done_with):
            self._erased.still_written += sum(count for kind, count in self._wanted_in(path) if kind in COUNTED)
        for path in lines_in(self._folder):
            self._lines(path)
        for path in sorted((self._folder / SET_ASIDE).glob("*/*.jsonl")):
            self._refused(path)
        return self._erased

    def _segments(self) -> set[Path]:
        return {path for stream in scan.streams(self._folder) for path in stream.segments}

    def _closed_for_it(self) -> set[Path]:
        """Have the segments closed that living processes write and that hold what is wanted; returns those."""
        written = self._segments().difference(closed(self._folder))
        wanted = {path for path in written if any(count for _, count in self._wanted_in(path))}
        if self._dry_run or not wanted:
            return wanted
        answered = closing.ask(self._folder, {scan.stream_of(path) for path in wanted})
        return {path for path in wanted if scan.stream_of(path) in answered}

    def _has_room(self, path: Path) -> bool:
        """Erase what is wanted of a segment; false, and nothing is done, where the disk is too full for that."""
        try:
            self._segment(path)
        except OSError as error:
            if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
                raise
            return False
        return True

    def _segment(self, path: Path) -> None:
        report, left, changed = scan.ScanReport(), 0, list[tuple[int, bytes]]()
        counted: list[tuple[Record, int]] = []
        for record in scan.records(path, 0, report):
            if record.kind == HEADER:
                continue
            payload, gone, kept = without(record.payload, self._is_wanted)
            left += kept
            if gone:
                blank = payload.ljust(len(record.payload))
                changed.append((record.start, pack(record.kind, blank, record.count)))
                counted.append((record, gone))
        if changed and not self._dry_run:
            # What was closed for this stays as a file: its stream goes on, and ends with another one at any moment.
            is_empty = left == 0 and report.unknown == 0 and path not in self._closed
            if is_empty and self._deleting.delete(path):
                self._erased.files += 1
            else:
                _overwrite(path, changed, report.damage)
        for record, gone in counted:
            self._count(path, record, gone)

    def _count(self, path: Path, record: Record, gone: int) -> None:
        if record.kind not in COUNTED:
            return
        self._erased.spans += gone
        stream, place = scan.stream_of(path), Position(scan.sequence_of(path), record.end)
        for destination, states in self._cursors.items():
            state = states.get(stream)
            if state is not None and state.position < place:
                self._erased.undelivered[destination] += gone

    def _wanted_in(self, path: Path) -> list[tuple[int, int]]:
        """Return the kind of each record of spans or waits, and how many of these are to be erased."""
        records = (record for record in scan.records(path) if record.kind in COUNTED | {START})
        return [(record.kind, without(record.payload, self._is_wanted)[1]) for record in records]

    def _lines(self, path: Path) -> None:
        lines, gone, kept = self._without_lines(path)
        self._erased.spans += gone
        if not gone or self._dry_run:
            return
        if kept == 0 and self._deleting.delete(path):
            self._erased.files += 1
        else:
            packing.replace(path, b"".join(lines))

    def _refused(self, path: Path) -> None:
        lines, gone, _ = self._without_lines(path)
        if gone and not self._dry_run:
            packing.replace(path, b"".join(lines))

    def _without_lines(self, path: Path) -> tuple[list[bytes], int, int]:
        """Return the lines of a file that stay, and how many spans go and stay."""
        lines, total_gone, total_kept = list[bytes](), 0, 0
        for line in path.read_bytes().splitlines(keepends=True):
            payload, gone, kept = without(line, self._is_wanted)
            lines += [payload + b"\n" if gone else line] if kept or not gone else []
            total_gone, total_kept = total_gone + gone, total_kept + kept
        return lines, total_gone, total_kept


def _overwrite(path: Path, changed: Iterable[tuple[int, bytes]], damaged: Iterable[scan.Damage]) -> None:
    """Replace records of a segment by others of their length; damage goes: it may hold what is to be erased.

    Where the disk is full, a segment that is not compressed is written in place: that needs no room.
    """
    content = scan.content(path)
    for start, record in changed:
        content[start : start + len(record)] = record
    for damage in damaged:
        content[damage.offset : damage.offset + damage.length] = bytes(damage.length)
    try:
        packing.replace(path, bytes(content))
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT} or path.suffix == packing.SUFFIX:
            raise
        descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(descriptor, "wb") as file:  # of the same length; a descriptor is not truncated by that
            file.write(content)


_Part: TypeAlias = msgspec.Raw | msgspec.UnsetType


class _ScopeSpans(msgspec.Struct, rename="camel"):
    scope: _Part = msgspec.UNSET
    spans: list[msgspec.Raw] = []
    schema_url: _Part = msgspec.UNSET


class _ResourceSpans(msgspec.Struct, rename="camel"):
    resource: _Part = msgspec.UNSET
    scope_spans: list[_ScopeSpans] = []
    schema_url: _Part = msgspec.UNSET


class _Request(msgspec.Struct, rename="camel"):
    """A request of which only what is needed is looked into; the rest is written as it was."""

    resource_spans: list[_ResourceSpans]
    set_aside: _Part = msgspec.UNSET


class _Identity(msgspec.Struct, rename="camel"):
    trace_id: str
    span_id: str


_REQUEST: Final = msgspec.json.Decoder(_Request)
_IDENTITY: Final = msgspec.json.Decoder(_Identity)


def without(payload: bytes, is_wanted: IsWanted) -> tuple[bytes, int, int]:
    """Return an ExportTraceServiceRequest without the spans that are wanted gone, and how many went and stayed.

    What is no such request stays as it is and counts as one span that stays.
    """
    try:
        request = _REQUEST.decode(payload)
        gone, kept = _drop(request, is_wanted)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return payload, 0, 1
    return (msgspec.json.encode(request) if gone else payload), gone, kept


def _drop(request: _Request, is_wanted: IsWanted) -> tuple[int, int]:
    gone = kept = 0
    for of_resource in request.resource_spans:
        for of_scope in of_resource.scope_spans:
            before = len(of_scope.spans)
            of_scope.spans = [span for span in of_scope.spans if not _is(_IDENTITY.decode(span), is_wanted)]
            gone, kept = gone + before - len(of_scope.spans), kept + len(of_scope.spans)
        of_resource.scope_spans = [of_scope for of_scope in of_resource.scope_spans if of_scope.spans]
    request.resource_spans = [of_resource for of_resource in request.resource_spans if of_resource.scope_spans]
    return gone, kept


def _is(identity: _Identity, is_wanted: IsWanted) -> bool:
    return is_wanted(identity.trace_id.lower(), identity.span_id.lower())
