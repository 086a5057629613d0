"""The OpenAI Agents SDK's own traces: `trace` and `trace.span` objects, as its processors export them.

A `trace` object only names the workflow: it has no times and is no span, so that the run is made of its top spans.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from spanwise.journal.reader import STATUS_ERROR, AttributeValue, SpanRecord
from spanwise_profiling.sources import lenient, values

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from spanwise_profiling.sources.place import Place

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


_ITEM: Final = lenient.decoder(_Item)


def read_item(item: bytes, place: Place) -> Iterator[SpanRecord]:
    """Yield the span of one item; a `trace` is none."""
    decoded = _ITEM(item, place)
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
    response = values.members(data.get("response"))
    first = data.get("first_content_at")
    found: dict[str, Any] = {
        "openai_agents.type": kind,
        f"openai_agents.{_NAMED.get(kind, 'name')}": data.get("name"),
        "openai_agents.model": data.get("model") or response.get("model"),
        **_usage(values.members(data.get("usage")) or values.members(response.get("usage"))),
        "openai_agents.time_to_first_token": None if first is None else (values.nanoseconds(first) - start_ns) / 1e9,
        "openai_agents.input": _text(data.get("input")),
        "openai_agents.output": _text(data.get("output")),
    }
    return {key: values.attribute(value) for key, value in found.items() if value is not None}


def _usage(usage: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tokens, under the names of both of OpenAI's APIs."""
    given, made = (
        values.members(usage.get(f"{new}_tokens_details")) or values.members(usage.get(f"{old}_tokens_details"))
        for new, old in (("input", "prompt"), ("output", "completion"))
    )
    return {
        "openai_agents.usage.input_tokens": usage.get("input_tokens", usage.get("prompt_tokens")),
        "openai_agents.usage.output_tokens": usage.get("output_tokens", usage.get("completion_tokens")),
        "openai_agents.usage.cached_tokens": given.get("cached_tokens"),
        "openai_agents.usage.cache_write_tokens": given.get("cache_write_tokens"),
        "openai_agents.usage.reasoning_tokens": made.get("reasoning_tokens"),
    }


def _text(content: Any) -> str | None:
    if content is None or isinstance(content, str):
        return content
    return msgspec.json.encode(content).decode()
