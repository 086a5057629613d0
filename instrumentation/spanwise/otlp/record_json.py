"""Spans that were read from anywhere as the requests in OTLP/JSON that a journal holds.

OTLP has room for ids of 8 and 16 bytes. Other tools have longer ones and words: these are hashed, so that the same id
becomes the same one wherever it is met.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

import msgspec

from spanwise.otlp.json_values import key_values

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spanwise.otlp.records import SpanRecord


_TRACE, _SPAN = 16, 8
_HEX = re.compile(r"[0-9a-fA-F]+", re.ASCII)


def encode(records: Sequence[SpanRecord]) -> bytes:
    """Return `records`, grouped by what they say of their resource and scope; values that JSON lacks become text."""
    groups: dict[bytes, tuple[dict[str, Any], dict[tuple[str, str], list[dict[str, Any]]]]] = {}
    for record in records:
        about = {"attributes": key_values(record.resource)}
        _, scopes = groups.setdefault(msgspec.json.encode(about), (about, {}))
        scopes.setdefault((record.scope_name, record.scope_version), []).append(_span(record))
    request = [
        {
            "resource": about,
            "scopeSpans": [{"scope": {"name": n, "version": v}, "spans": spans} for (n, v), spans in scopes.items()],
        }
        for about, scopes in groups.values()
    ]
    return msgspec.json.encode({"resourceSpans": request}) + b"\n"


def _span(record: SpanRecord) -> dict[str, Any]:
    parent = {"parentSpanId": _id(record.parent_id, _SPAN)} if record.parent_id else {}
    message = {"message": record.status_message} if record.status_message else {}
    return {
        "traceId": _id(record.trace_id, _TRACE),
        "spanId": _id(record.span_id, _SPAN),
        **parent,
        "name": record.name,
        "kind": record.kind,
        "startTimeUnixNano": str(record.start_ns),
        "endTimeUnixNano": str(record.end_ns),
        "attributes": key_values(record.attributes),
        "links": [
            {
                "traceId": _id(x.trace_id, _TRACE),
                "spanId": _id(x.span_id, _SPAN),
                "attributes": key_values(x.attributes),
            }
            for x in record.links
        ],
        "events": [
            {"timeUnixNano": str(x.time_ns), "name": x.name, "attributes": key_values(x.attributes)}
            for x in record.events
        ],
        "status": {"code": record.status_code, **message},
    }


def _id(given: str, size: int) -> str:
    """Return `given` where it is an id of `size` bytes in hexadecimal, else its hash."""
    if len(given) == 2 * size and _HEX.fullmatch(given):
        return given
    return hashlib.blake2b(given.encode("utf-8", "replace"), digest_size=size).hexdigest()
