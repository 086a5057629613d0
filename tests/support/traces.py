"""Builders of recorded spans and runs: what a test does not care about has a default."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from spanwise import conventions
from spanwise.journal.reader import SpanRecord
from spanwise_profiling.runs import runs_of
from spanwise_profiling.trace import build_traces

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from spanwise_profiling.runs import Run

BEGIN_NS = 1_790_000_000_000_000_000
"""2026-09-21 14:13:20 UTC: when the builders' traces start."""

ONE_TRACE, ONE_SPAN, ONE_PARENT = "5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174", "eee19b7ec3c1b173"
ONE_OF_EACH: dict[str, Any] = {
    "resourceSpans": [
        {
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "desk"}}]},
            "scopeSpans": [
                {
                    "scope": {"name": "spanwise", "version": "0.1.0"},
                    "spans": [
                        {
                            "traceId": ONE_TRACE.upper(),
                            "spanId": ONE_SPAN,
                            "parentSpanId": ONE_PARENT,
                            "flags": 256,
                            "name": "chat sim-1",
                            "kind": 3,
                            "startTimeUnixNano": "1544712660000000001",
                            "endTimeUnixNano": "1544712661000000002",
                            "attributes": [
                                {"key": "text", "value": {"stringValue": ""}},
                                {"key": "yes", "value": {"boolValue": False}},
                                {"key": "big", "value": {"intValue": "9223372036854775807"}},
                                {"key": "float", "value": {"doubleValue": 2}},
                                {"key": "infinite", "value": {"doubleValue": "-Infinity"}},
                                {"key": "bytes", "value": {"bytesValue": "AAE="}},
                                {
                                    "key": "list",
                                    "value": {"arrayValue": {"values": [{"stringValue": "a"}, {"intValue": "1"}]}},
                                },
                                {"key": "empty list", "value": {"arrayValue": {}}},
                                {
                                    "key": "map",
                                    "value": {"kvlistValue": {"values": [{"key": "k", "value": {"boolValue": True}}]}},
                                },
                                {"key": "nothing", "value": {}},
                            ],
                            "events": [{"timeUnixNano": "1544712660500000000", "name": "first", "attributes": []}],
                            "links": [{"traceId": ONE_TRACE, "spanId": ONE_PARENT, "attributes": [], "flags": 256}],
                            "status": {"message": "too many", "code": 2},
                        }
                    ],
                    "schemaUrl": "https://opentelemetry.io/schemas/1.37.0",
                }
            ],
        }
    ]
}
"""A request with every field of a span and every type of attribute, as the collector's file exporter writes it."""


def identifier(number: int, digits: int = 16) -> str:
    """Return a span id (16 digits) or trace id (32) that starts with `number`."""
    return f"{number:04x}".ljust(digits, "a")


def span(
    number: int,
    start: float = 0.0,
    end: float = 1.0,
    *,
    parent: int | None = None,
    name: str = "work",
    trace: int = 1,
    attributes: Mapping[str, Any] | None = None,
    error: str | None = None,
    message: str = "",
    scale: float | None = None,
) -> SpanRecord:
    """Return a span; `start` and `end` are recorded seconds since `BEGIN_NS`."""
    failure = {conventions.ERROR_TYPE: error} if error else {}
    resource = {"service.name": "desk"} | ({conventions.TIME_SCALE: scale} if scale is not None else {})
    return SpanRecord(
        trace_id=identifier(trace, 32),
        span_id=identifier(number),
        parent_id=None if parent is None else identifier(parent),
        name=name,
        kind=1,
        start_ns=BEGIN_NS + round(start * 1e9),
        end_ns=BEGIN_NS + round(end * 1e9),
        attributes={**(attributes or {}), **failure},
        status_code=2 if error else 0,
        status_message=message,
        resource=resource,
        scope_name=conventions.SCOPE,
    )


def workflow(
    number: int,
    start: float,
    end: float,
    *,
    name: str = "trading",
    attributes: Mapping[str, Any] | None = None,
    **more: Any,
) -> SpanRecord:
    """Return a workflow's span."""
    return _operation(
        number, start, end, "invoke_workflow", subject=(conventions.WORKFLOW_NAME, name), attributes=attributes, **more
    )


def agent(
    number: int,
    start: float,
    end: float,
    *,
    name: str = "risk",
    attributes: Mapping[str, Any] | None = None,
    **more: Any,
) -> SpanRecord:
    """Return an agent's span."""
    return _operation(
        number, start, end, "invoke_agent", subject=(conventions.AGENT_NAME, name), attributes=attributes, **more
    )


def chat(
    number: int, start: float, end: float, *, tokens: tuple[int, int] = (100, 20), model: str = "sim-1",
    attributes: Mapping[str, Any] | None = None, **more: Any,
) -> SpanRecord:  # fmt: skip
    """Return a model call's span that used `tokens` (input, output)."""
    usage = {conventions.USAGE_INPUT_TOKENS: tokens[0], conventions.USAGE_OUTPUT_TOKENS: tokens[1]}
    return _operation(
        number,
        start,
        end,
        "chat",
        subject=(conventions.REQUEST_MODEL, model),
        attributes={**usage, **(attributes or {})},
        **more,
    )


def tool(number: int, start: float, end: float, *, name: str = "prices", **more: Any) -> SpanRecord:
    """Return a tool call's span."""
    return _operation(
        number, start, end, "execute_tool", subject=(conventions.TOOL_NAME, name), attributes=None, **more
    )


def cache_lookup(number: int, start: float, end: float, *, result: str = "hit", **more: Any) -> SpanRecord:
    """Return a cache lookup's span."""
    attributes = {conventions.CACHE_NAME: "market", conventions.CACHE_RESULT: result}
    return span(number, start, end, name="cache_lookup market", attributes=attributes, **more)


def wait(
    number: int, start: float, end: float, *, resource: str = "llm", kind: str = "concurrency", **more: Any
) -> SpanRecord:
    """Return a wait's span."""
    attributes = {conventions.WAIT_KIND: kind, conventions.WAIT_RESOURCE: resource}
    return span(number, start, end, name=f"wait {resource}", attributes=attributes, **more)


def step(number: int, start: float, end: float, *, name: str = "load", **more: Any) -> SpanRecord:
    """Return the span of a pipeline's plain step."""
    return span(number, start, end, name=name, attributes={conventions.STEP_NAME: name}, **more)


def failing(times: int) -> list[SpanRecord]:
    """Return a run with a call whose first `times` attempts fail, each with a pause behind it."""
    spans: list[SpanRecord] = [workflow(1, 0, 2 * times + 1)]
    for i in range(times):
        spans.append(
            chat(10 + i, 2 * i, 2 * i + 1, parent=1, error="429", attributes={conventions.RETRY_SCHEDULED: True})
        )
        spans.append(wait(30 + i, 2 * i + 1, 2 * i + 2, kind="retry_backoff", parent=1))
    return [*spans, chat(50, 2 * times, 2 * times + 1, parent=1)]


def run_of(*spans: SpanRecord) -> Run:
    """Return the one run that `spans` make."""
    (run,) = runs_of(build_traces(spans))
    return run


def line_of(*spans: SpanRecord) -> str:
    """Return `spans` (of one resource) as the collector's file exporter writes them: one line, its end included."""
    resource = {"attributes": [_pair(*item) for item in spans[0].resource.items()]}
    scope = {"scope": {"name": spans[0].scope_name}, "spans": [_wire(record) for record in spans]}
    return json.dumps({"resourceSpans": [{"resource": resource, "scopeSpans": [scope]}]}) + "\n"


def record(folder: Path, *spans: SpanRecord, file: str = "a") -> Path:
    """Write `spans` to a file of the journal `folder` and return its path."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{file}.otlp.jsonl"
    path.write_text(line_of(*spans), encoding="utf-8")
    return path


def _operation(
    number: int, start: float, end: float, operation: str, *, subject: tuple[str, str],
    attributes: Mapping[str, Any] | None, **more: Any,
) -> SpanRecord:  # fmt: skip
    everything = {conventions.OPERATION_NAME: operation, subject[0]: subject[1], **(attributes or {})}
    return span(number, start, end, name=f"{operation} {subject[1]}", attributes=everything, **more)


def _wire(record: SpanRecord) -> dict[str, Any]:
    return {
        "traceId": record.trace_id,
        "spanId": record.span_id,
        "parentSpanId": record.parent_id or "",
        "flags": 256,
        "name": record.name,
        "kind": record.kind,
        "startTimeUnixNano": str(record.start_ns),
        "endTimeUnixNano": str(record.end_ns),
        "attributes": [_pair(key, value) for key, value in record.attributes.items()],
        "status": {"code": record.status_code, "message": record.status_message} if record.status_code else {},
    }


def _pair(key: str, value: Any) -> dict[str, Any]:
    match value:
        case bool():
            return {"key": key, "value": {"boolValue": value}}
        case int():
            return {"key": key, "value": {"intValue": str(value)}}
        case float():
            return {"key": key, "value": {"doubleValue": value}}
        case _:
            return {"key": key, "value": {"stringValue": value}}
