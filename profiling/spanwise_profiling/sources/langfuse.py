"""Langfuse's traces (with their observations) and observations, from its API and its exports.

An observation is a span. A trace has no end of its own: its span reaches from its first to its last observation.
Exports write names in camel case or in snake case, depending on where they were made.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from spanwise.journal.reader import STATUS_ERROR, AttributeValue, SpanRecord
from spanwise_profiling.sources import values
from spanwise_profiling.sources.otlp_json import camel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_INPUT: Final = ("input", "prompt_tokens", "promptTokens")
_OUTPUT: Final = ("output", "completion_tokens", "completionTokens")


class _Observation(msgspec.Struct, rename="camel"):
    id: str
    type: str = "SPAN"
    trace_id: str | None = None
    parent_observation_id: str | None = None
    name: str | None = None
    start_time: Any = None
    end_time: Any = None
    completion_start_time: Any = None
    model: str | None = None
    provided_model_name: str | None = None
    level: str | None = None
    status_message: str | None = None
    usage: Any = None
    usage_details: Any = None
    metadata: Any = None
    input: Any = None
    output: Any = None
    environment: str | None = None


class _Trace(msgspec.Struct, rename="camel"):
    id: str
    name: str | None = None
    timestamp: Any = None
    session_id: str | None = None
    metadata: Any = None
    observations: list[Any] | None = None


def read_item(item: bytes, skip: Callable[[str], None]) -> Iterator[SpanRecord]:
    """Yield the spans of one trace, or the one span of an observation that stands alone."""
    members = msgspec.json.decode(item, type=dict[str, Any])
    if "observations" not in members:
        yield from _observation(members, None, skip)
        return
    trace = msgspec.convert({camel(key): value for key, value in members.items()}, _Trace)
    records = [record for each in trace.observations or () for record in _observation(each, trace, skip)]
    if records:
        yield _root(trace, records)
        yield from records
    elif trace.observations:
        skip(f"trace {trace.id!r}: holds ids of observations or broken ones only; export the observations too")


def _observation(members: Any, trace: _Trace | None, skip: Callable[[str], None]) -> Iterator[SpanRecord]:
    try:
        named = {camel(key): value for key, value in values.members(members).items()}
        record = _record(msgspec.convert(named, _Observation), trace)
    except (msgspec.MsgspecError, ValueError, OverflowError) as error:
        skip(f"observation: {error}")
        return
    yield record


def _record(observation: _Observation, trace: _Trace | None) -> SpanRecord:
    start = values.nanoseconds(observation.start_time)
    end = observation.end_time if observation.type != "EVENT" else observation.end_time or observation.start_time
    return SpanRecord(
        trace_id=values.identifier(observation.trace_id or (trace.id if trace else None)),
        span_id=values.identifier(observation.id),
        parent_id=values.parent_identifier(observation.parent_observation_id or (_root_id(trace) if trace else None)),
        name=observation.name or "",
        kind=0,
        start_ns=start,
        end_ns=0 if end is None else values.nanoseconds(end),
        attributes=_attributes(observation, start),
        status_code=STATUS_ERROR if observation.level == "ERROR" else 0,
        status_message=observation.status_message or "",
        resource=_resource(observation),
        scope_name="langfuse",
    )


def _root_id(trace: _Trace) -> str:
    return f"{values.identifier(trace.id)}-trace"


def _root(trace: _Trace, records: list[SpanRecord]) -> SpanRecord:
    metadata = values.attributes(trace.metadata)
    session = {"langfuse.session.id": trace.session_id} if trace.session_id else {}
    return SpanRecord(
        trace_id=records[0].trace_id,
        span_id=_root_id(trace),
        parent_id=None,
        name=trace.name or "trace",
        kind=0,
        start_ns=min(record.start_ns for record in records),
        end_ns=max(max(record.start_ns, record.end_ns) for record in records),
        attributes={"langfuse.observation.type": "TRACE", **session, **metadata},
        scope_name="langfuse",
    )


def _attributes(observation: _Observation, start_ns: int) -> dict[str, AttributeValue]:
    first = observation.completion_start_time
    usage = observation.usage_details or observation.usage
    metadata = values.members(observation.metadata)
    found: dict[str, Any] = {
        "langfuse.observation.type": observation.type,
        "langfuse.model": observation.provided_model_name or observation.model,
        "langfuse.usage.input_tokens": _summed(observation.usage_details, "input") or _count(usage, _INPUT),
        "langfuse.usage.output_tokens": _summed(observation.usage_details, "output") or _count(usage, _OUTPUT),
        "langfuse.usage.cache_read_input_tokens": _cached(observation.usage_details),
        "langfuse.time_to_first_token": None if first is None else (values.nanoseconds(first) - start_ns) / 1e9,
        "langfuse.input": _text(observation.input),
        "langfuse.output": _text(observation.output),
        # What came in over OpenTelemetry has its attributes in the metadata.
        **(values.members(metadata.get("attributes")) or metadata),
    }
    return {key: values.attribute(value) for key, value in found.items() if value is not None}


def _resource(observation: _Observation) -> dict[str, AttributeValue]:
    metadata = values.members(observation.metadata)
    environment = {"deployment.environment.name": observation.environment} if observation.environment else {}
    return {**environment, **values.attributes(metadata.get("resourceAttributes"))}


def _count(usage: object, names: tuple[str, ...]) -> int | None:
    counts = values.members(usage)
    return next((counts[name] for name in names if isinstance(counts.get(name), int)), None)


def _summed(details: object, word: str) -> int | None:
    """Return the sum of the usage types that have `word` in their names, as Langfuse counts: none holds another one."""
    counts = [count for name, count in values.members(details).items() if word in name and isinstance(count, int)]
    return sum(counts) if counts else None


def _cached(details: object) -> int | None:
    kept = {name: count for name, count in values.members(details).items() if "cache" in name}
    return _summed({name: n for name, n in kept.items() if not re.search("creat|writ", name)}, "cache")


def _text(content: Any) -> str | None:
    if content is None or isinstance(content, str):
        return content
    return msgspec.json.encode(content).decode()
