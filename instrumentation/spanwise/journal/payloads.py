"""Recorded spans as they stand in a journal or a file, a request in OTLP/JSON at a time: to be passed on unchanged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import msgspec

from spanwise import conventions as c
from spanwise.content.outlet import is_wait
from spanwise.journal import scan
from spanwise.journal.format import COUNTED, END, WAIT
from spanwise.otlp.json_decoder import MALFORMED
from spanwise.otlp.json_messages import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from collections.abc import Set as AbstractSet
    from pathlib import Path

_LINES = ".otlp.jsonl"


def of_folder(folder: Path) -> Iterator[bytes]:
    """Yield the ended spans and the waits of a journal, lines of earlier versions first.

    Raises:
        InputError: a newer version wrote a segment.
        OSError: a file cannot be read.
    """
    for path in sorted(folder.glob(f"*{_LINES}")):
        yield from of_file(path)
    for stream in scan.streams(folder):
        for path in stream.segments:
            yield from of_file(path)


def of_file(path: Path) -> Iterator[bytes]:
    """Yield what a segment, or a file with a request a line, holds; blank lines are left out. Raises as `of_folder`."""
    if scan.is_segment(path.name):
        yield from (record.payload for record in scan.records(path) if record.kind in COUNTED)
        return
    with path.open("rb") as lines:
        yield from (line for line in lines if line.strip())


def is_lines(path: Path) -> bool:
    """Whether a file holds a request a line, so that they can be passed on as they are, to the last flag."""
    if scan.is_segment(path.name) or not path.is_file():
        return False
    try:
        counted(next(of_file(path), b""))
    except (*MALFORMED, OSError):
        return False
    return True


def chosen(payload: bytes, wanted: Mapping[str, AbstractSet[str]]) -> tuple[bytes, int] | None:
    """Return those spans of `payload` that are `wanted` (trace id to span ids, lower case), and their number.

    A payload that holds none of them, or is no request, gives none.
    """
    lowered = payload.lower()
    if not any(trace_id.encode() in lowered for trace_id in wanted):
        return None
    return _only(payload, lambda span: _is_wanted(span, wanted))


def records_of(payload: bytes, number: int) -> Iterator[tuple[int, bytes, int]]:
    """Yield a request of `number` spans as a journal holds it: kind of the record, its payload, how many it holds."""
    waits = _only(payload, is_wait) if c.WAIT_KIND.encode() in payload else None
    if waits is None:
        yield END, payload, number
        return
    yield WAIT, *waits
    if (spans := _only(payload, lambda span: not is_wait(span))) is not None:
        yield END, *spans


def _only(payload: bytes, keep: Callable[[Mapping[str, Any]], bool]) -> tuple[bytes, int] | None:
    """Return the spans of a request that are kept, and their number; none where it is none or holds none of them."""
    try:
        request = _Request.decode(payload)
    except MALFORMED:
        return None
    number = 0
    for of_resource in request.resource_spans:
        scopes = _objects(of_resource.get("scopeSpans"))
        for of_scope in scopes:
            of_scope["spans"] = [span for span in _objects(of_scope.get("spans")) if keep(span)]
            number += len(of_scope["spans"])
        of_resource["scopeSpans"] = [of_scope for of_scope in scopes if of_scope["spans"]]
    kept = [of_resource for of_resource in request.resource_spans if of_resource["scopeSpans"]]
    return (msgspec.json.encode({"resourceSpans": kept}) + b"\n", number) if number else None


def _objects(values: object) -> list[dict[str, Any]]:
    """Return the objects of a list; of what a file holds instead of one, nothing."""
    listed = cast("list[object]", values) if isinstance(values, list) else []
    return [cast("dict[str, Any]", value) for value in listed if isinstance(value, dict)]


class _Whole(msgspec.Struct, rename="camel"):
    """A request whose spans are looked into; what else stands in the line is not passed on."""

    resource_spans: list[dict[str, Any]]


_Request: msgspec.json.Decoder[_Whole] = msgspec.json.Decoder(_Whole)


def _is_wanted(span: Mapping[str, Any], wanted: Mapping[str, AbstractSet[str]]) -> bool:
    return str(span.get("spanId", "")).lower() in wanted.get(str(span.get("traceId", "")).lower(), ())


def counted(payload: bytes) -> int:
    """Return the number of spans of a request; raises `ValueError` where it is none."""
    request = _Counted.decode(payload)
    return sum(len(of_scope.spans or ()) for of_resource in request.resource_spans for of_scope in of_resource.scopes())


_Counted: msgspec.json.Decoder[Request[msgspec.Raw]] = msgspec.json.Decoder(Request[msgspec.Raw])
