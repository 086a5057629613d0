"""What a recording process has written into a journal folder: the requests of its records, as plain data."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from spanwise.journal import scan
from spanwise.journal.format import END

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def requests(folder: Path, kind: int = END) -> list[dict[str, Any]]:
    """Return the OTLP/JSON request of each record of a kind, stream by stream in the order of writing."""
    return [json.loads(payload) for payload in payloads(folder, kind)]


def payloads(folder: Path, kind: int = END, *, may_be_torn: bool = False) -> Iterator[bytes]:
    """Yield the payloads of such records; damage fails the test, and so does a torn end unless there may be one."""
    report = scan.ScanReport()
    for stream in scan.streams(folder):
        for path in stream.segments:
            yield from (record.payload for record in scan.records(path, report=report) if record.kind == kind)
    damage = [one for one in report.damage if not (one.torn and may_be_torn)]
    assert (damage, report.unknown) == ([], 0)


def spans(folder: Path, kind: int = END) -> list[dict[str, Any]]:
    """Return the spans of all such records."""
    return [span for request in requests(folder, kind) for span in spans_of(request)]


def spans_of(request: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the spans of one request."""
    return [span for group in request["resourceSpans"] for scope in group["scopeSpans"] for span in scope["spans"]]


def names(folder: Path, kind: int = END, *, may_be_torn: bool = False) -> list[str]:
    """Return their names."""
    found = payloads(folder, kind, may_be_torn=may_be_torn)
    return [span["name"] for payload in found for span in spans_of(json.loads(payload))]
