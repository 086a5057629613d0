"""The OpenAI Agents SDK's own traces: `trace` and `trace.span` objects, as its processors export them.

A `trace` object only names the workflow: it has no times and is no span, so that the run is made of its top spans.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from spanwise.journal.reader import STATUS_ERROR, AttributeValue, SpanRecord
from spanwise_profiling.sources import values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_NAMED: Final = {"agent": "agent", "function": "function", "mcp_tools": "function"}


class _Item(msgspec.Struct):
    object: str
    id: str
    trace_id: str | None = None
    parent_id: str | None = None
    started_at: Any = None
    ended_at: Any = None
    span_data: dict[str, Any] | None = None
    error: Any = None


_ITEM: Final = msgspec.json.Decoder(_Item)


def read_item(item: bytes, _skip: Callable[[str], None]) -> Iterator[SpanRecord]:
    """Yield the span of one item; a `trace` is none."""
    decoded = _ITEM.decode(item)
    if decoded.object == "trace.span":
        yield _record(decoded)


def _record(item: _Item) -> SpanRecord:
    data = item.span_data or {}
    kind = str(data.get("type") or "custom")
    start = values.nanoseconds(item.started_at)
    return SpanRecord(
        trace_id=values.identifier((item.trace_id or "").removeprefix("trace_")),
        span_id=values.identifier(item.id),
        parent_id=values.parent_identifier(item.parent_id),
        name=str(data.get("name") or kind),
        kind=0,
        start_ns=start,
        end_ns=0 if item.ended_at is None else values.nanoseconds(item.ended_at),
        attributes=_attributes(kind, data, start),
        status_code=STATUS_ERROR if item.error else 0,
        status_message=str(values.members(item.error).get("message") or ""),
        scope_name="openai_agents",
    )


def _attributes(kind: str, data: dict[str, Any], start_ns: int) -> dict[str, AttributeValue]:
    usage = values.members(data.get("usage"))
    first = data.get("first_content_at")
    found: dict[str, Any] = {
        "openai_agents.type": kind,
        f"openai_agents.{_NAMED.get(kind, 'name')}": data.get("name"),
        "openai_agents.model": data.get("model"),
        "openai_agents.usage.input_tokens": usage.get("input_tokens"),
        "openai_agents.usage.output_tokens": usage.get("output_tokens"),
        "openai_agents.time_to_first_token": None if first is None else (values.nanoseconds(first) - start_ns) / 1e9,
        "openai_agents.input": _text(data.get("input")),
        "openai_agents.output": _text(data.get("output")),
    }
    return {key: values.attribute(value) for key, value in found.items() if value is not None}


def _text(content: Any) -> str | None:
    if content is None or isinstance(content, str):
        return content
    return msgspec.json.encode(content).decode()
