"""OTLP/JSON written by hand, for tests in which no exporter of ours shall take part."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_KINDS = {bool: "boolValue", int: "intValue", float: "doubleValue", str: "stringValue"}


def attributes(values: Mapping[str, object]) -> list[dict[str, Any]]:
    """Return `values` as OTLP/JSON key-value pairs; 64-bit integers are text there."""
    return [
        {"key": key, "value": {_KINDS[type(value)]: str(value) if type(value) is int else value}}
        for key, value in values.items()
    ]


def export_request(
    trace_id: str, spans: Sequence[tuple[str, int, Mapping[str, object]]], resource: Mapping[str, object]
) -> dict[str, Any]:
    """Return an ExportTraceServiceRequest of `spans` (name, milliseconds, attributes), the first the others' parent."""
    begin = time.time_ns() - 10**10
    entries = [
        {
            "traceId": trace_id, "spanId": f"{number:016x}", "parentSpanId": "" if number == 1 else f"{1:016x}",
            "name": name, "kind": 1, "startTimeUnixNano": str(begin),
            "endTimeUnixNano": str(begin + milliseconds * 10**6), "attributes": attributes(values),
        }
        for number, (name, milliseconds, values) in enumerate(spans, start=1)
    ]  # fmt: skip
    scopes = [{"scope": {"name": "by hand"}, "spans": entries}]
    return {"resourceSpans": [{"resource": {"attributes": attributes(resource)}, "scopeSpans": scopes}]}
