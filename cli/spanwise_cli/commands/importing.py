"""`spanwise import`: recorded spans out of files into the journal, so that every command finds them."""

from __future__ import annotations

from itertools import chain, islice
from pathlib import Path  # noqa: TC003 - typer looks the annotation up
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

import typer

from spanwise.errors import InputError, UnavailableError
from spanwise.journal import folder as folders
from spanwise.journal import payloads, reader, record_json, wire
from spanwise.journal.reader import Skipped
from spanwise.journal.stream import Stream
from spanwise_cli.commands.runs import warn
from spanwise_cli.options import DEFAULT_JOURNAL, JournalOption, JsonOption, console, emit_json
from spanwise_profiling.sources import recognise

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spanwise.journal.reader import ReadReport, SpanRecord

    Requests: TypeAlias = Iterator[tuple[bytes, int]]

_AT_ONCE: Final = 512
_MOST: Final = 10_000
"""Spans of a line that is journaled as one record."""


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(name="import")(import_files)


def import_files(
    *,
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="Files of recorded spans.")],
    json: JsonOption = False,
    journal: JournalOption = DEFAULT_JOURNAL,
) -> None:
    """Take spans out of files into the journal: any format that `spanwise profile` reads, and segments of journals.

    They are kept as they are, content included, and count in the ledger as started. Destinations get them only with
    `spanwise export`.

    Example: spanwise import collector/traces.jsonl
    """
    report = reader.ReadReport()
    opened = [(path, _first(path, report)) for path in files]
    folders.prepare(journal)
    with Stream(journal) as stream:
        numbers = {str(path): _take(requests, stream) for path, requests in opened}
    if json:
        document: dict[str, Any] = {"schema": "spanwise.import/1", "spans": sum(numbers.values()), "files": numbers}
        emit_json(document | {"stream": stream.name, "skipped": [str(one) for one in report.skipped]})
        return
    warn(map(str, report.skipped))
    total = sum(numbers.values())
    out = console()
    out.print(f"{total:,} span{'' if total == 1 else 's'} imported into {journal}.", markup=False, soft_wrap=True)


def _first(path: Path, report: ReadReport) -> Requests:
    """Return the requests of a file; raises `InputError`, before anything is written, where it holds no span."""
    requests = _lines(path, report) if payloads.is_lines(path) else _records(path, report)
    first = list(islice(requests, 1))
    if not first:
        problem = str(report.skipped[-1]) if report.skipped else f"{path}: holds no span"
        raise InputError(f"{problem}; give a file of recorded spans ({recognise.READ_HERE})")
    return chain(first, requests)


def _lines(path: Path, report: ReadReport) -> Requests:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                spans = wire.spans_of(line)
            except wire.MALFORMED as error:
                report.skipped.append(Skipped(path, number, str(error) or type(error).__name__))
                continue
            if 0 < len(spans) <= _MOST:
                yield line.rstrip() + b"\n", len(spans)
            else:
                yield from _requests(iter(spans))


def _records(path: Path, report: ReadReport) -> Requests:
    return _requests(record for record in recognise.read(path, report) if not record.is_open)


def _requests(records: Iterator[SpanRecord]) -> Requests:
    while some := list(islice(records, _AT_ONCE)):
        yield record_json.encode(some), len(some)


def _take(requests: Requests, stream: Stream) -> int:
    number = 0
    for payload, spans in requests:
        try:
            for kind, part, held in payloads.records_of(payload, spans):
                stream.add(part, held, kind)
        except OSError as error:
            raise UnavailableError(
                f"{stream.folder}: takes no more ({error.strerror}); free the disk and import the rest again"
            ) from None
        number += spans
    return number
