"""`spanwise import`: recorded spans out of files and servers into the journal, so that every command finds them."""

from __future__ import annotations

from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

import typer

from spanwise.errors import InputError, UnavailableError
from spanwise.journal import folder as folders
from spanwise.journal import payloads, reader
from spanwise.journal.reader import Skipped
from spanwise.journal.stream import Stream
from spanwise.otlp import json_decoder as wire
from spanwise.otlp import record_json
from spanwise_cli.commands.runs import warn
from spanwise_cli.opening import progress
from spanwise_cli.options import DEFAULT_JOURNAL, JournalOption, JsonOption, console, emit_json
from spanwise_profiling.sources import recognise, servers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

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
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE",
            help="Files of recorded spans; also a Jaeger address with a trace's id, and langsmith:ID or the address of "
            "a run in LangSmith.",
        ),
    ],
    json: JsonOption = False,
    journal: JournalOption = DEFAULT_JOURNAL,
) -> None:
    """Copy spans into the journal from any file or server that `spanwise profile` reads.

    They are kept as they are, content included, and count in the ledger as started. Destinations get them only with
    `spanwise export`.

    Example: spanwise import collector/traces.jsonl
    """
    report = reader.ReadReport()
    opened = [(file, _first(file, report)) for file in files]
    folders.prepare(journal)
    with Stream(journal) as stream:
        numbers = {file: _take(requests, stream) for file, requests in opened}
    if json:
        document: dict[str, Any] = {"schema": "spanwise.import/1", "spans": sum(numbers.values()), "files": numbers}
        emit_json(document | {"stream": stream.name, "skipped": [str(one) for one in report.skipped]})
        return
    warn(map(str, report.skipped))
    total = sum(numbers.values())
    out = console()
    out.print(f"{total:,} span{'' if total == 1 else 's'} imported into {journal}.", markup=False, soft_wrap=True)


def _first(file: str, report: ReadReport) -> Requests:
    """Return the requests of a file; raises `InputError`, before anything is written, where it holds no span."""
    if servers.is_server(file):
        requests = _of_server(file, report)
    else:
        requests = _lines(Path(file), report) if payloads.is_lines(Path(file)) else _records(Path(file), report)
    first = list(islice(requests, 1))
    if not first:
        problem = str(report.skipped[-1]) if report.skipped else f"{file}: holds no span"
        raise InputError(f"{problem}; give a file of recorded spans ({recognise.READ_HERE})")
    return chain(first, requests)


def _of_server(address: str, report: ReadReport) -> Requests:
    with progress() as tell:
        records = servers.read(address, report, (), tell)
    return _ended(records)


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
    return _ended(recognise.read(path, report))


def _ended(records: Iterable[SpanRecord]) -> Requests:
    return _requests(record for record in records if not record.is_open)


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
