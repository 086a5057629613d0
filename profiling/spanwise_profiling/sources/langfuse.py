"""Langfuse's traces and observations: from its page's download, its API, and its exports.

An observation is a span. A trace has no end of its own: its span reaches from its first to its last observation. The
page writes `trace` beside `observations` (or, since version 4, `observations` beside `scores`), the API puts the
observations into the trace. Names are in camel case or in snake case, and objects may be JSON in a text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec

from spanwise import conventions as c
from spanwise.journal.reader import STATUS_ERROR, AttributeValue, SpanRecord
from spanwise_profiling.sources import json_text, lenient, values
from spanwise_profiling.sources.otlp_json import camel

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from spanwise_profiling.sources.place import Place

_INPUT: Final = ("input", "prompt_tokens", "promptTokens", "input_tokens", "inputTokens")
_OUTPUT: Final = ("output", "completion_tokens", "completionTokens", "output_tokens", "outputTokens")
_WRITTEN: Final = re.compile("creat|writ")
_REASONING: Final = re.compile("reason|thought")


class _Observation(msgspec.Struct, rename="camel"):
    id: str
    start_time: Any
    type: str | None = "SPAN"
    trace_id: str | None = None
    trace_name: str | None = None
    parent_observation_id: str | None = None
    name: str | None = None
    end_time: Any = None
    completion_start_time: Any = None
    time_to_first_token: float | None = None
    model: str | None = None
    provided_model_name: str | None = None
    level: str | None = None
    status_message: str | None = None
    usage: Any = None
    usage_details: Any = None
    prompt_tokens: Any = None
    completion_tokens: Any = None
    input_usage: Any = None
    output_usage: Any = None
    metadata: Any = None
    input: Any = None
    output: Any = None
    environment: str | None = None


@dataclass(slots=True)
class _Trace:
    """What is known of a trace; without an id, that of each observation counts."""

    id: str | None = None
    name: str | None = None
    session_id: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])


def read_item(item: bytes, place: Place) -> Iterator[SpanRecord]:
    """Yield the spans of one trace, or the one span of an observation that stands alone."""
    members = values.members(json_text.loads(item))
    if "observations" not in members:
        yield _record(_observation(members, place), None)
        return
    outer = values.members(members.get("trace")) or members
    named = {camel(key): value for key, value in outer.items()}
    trace = _Trace(_text(named.get("id")), _text(named.get("name")), _text(named.get("sessionId")))
    trace.metadata = values.members(named.get("metadata"))
    told = [each for each in (members["observations"], named.get("observations")) if values.is_list(each)]
    observations = [each for of_one in told for each in of_one]
    groups = _by_trace(observations, trace, place)
    for records in groups.values():
        yield _root(trace, records)
        yield from (record for record, _ in records)
    if observations and not groups:
        place.skip(f"trace {trace.id!r}: holds ids of observations or broken ones only; export the observations too")


def _by_trace(observations: list[Any], trace: _Trace, place: Place) -> dict[str, list[tuple[SpanRecord, _Observation]]]:
    """Return the spans of each trace; the page names each observation twice, and the first counts."""
    groups: dict[str, list[tuple[SpanRecord, _Observation]]] = {}
    seen: set[tuple[str, str]] = set()
    for each in observations:
        try:
            observation = _observation(each, place)
            record = _record(observation, trace)
        except (*json_text.FAULTS, TypeError) as error:
            place.skip(f"observation: {error}")
            continue
        if (key := (record.trace_id, record.span_id)) not in seen:
            seen.add(key)
            groups.setdefault(record.trace_id, []).append((record, observation))
    return groups


def _observation(members: Any, place: Place) -> _Observation:
    if not values.is_object(members):
        raise ValueError(f"Expected `object`, got `{type(members).__name__}`")
    named = {camel(key): value for key, value in members.items()}
    return lenient.fitted(named, _Observation, place)


def _record(observation: _Observation, trace: _Trace | None) -> SpanRecord:
    start = values.nanoseconds(observation.start_time)
    end = observation.end_time if observation.type != "EVENT" else observation.end_time or observation.start_time
    trace_id = values.identifier(observation.trace_id or (trace.id if trace else None))
    return SpanRecord(
        trace_id=trace_id,
        span_id=values.identifier(observation.id),
        parent_id=values.parent_identifier(
            observation.parent_observation_id or (_root_id(trace_id) if trace else None)
        ),
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


def _root_id(trace_id: str) -> str:
    return f"{trace_id}-trace"


def _root(trace: _Trace, observed: list[tuple[SpanRecord, _Observation]]) -> SpanRecord:
    records = [record for record, _ in observed]
    name = trace.name or next((one.trace_name for _, one in observed if one.trace_name), None)
    session = {"langfuse.session.id": trace.session_id} if trace.session_id else {}
    return SpanRecord(
        trace_id=records[0].trace_id,
        span_id=_root_id(records[0].trace_id),
        parent_id=None,
        name=name or "trace",
        kind=0,
        start_ns=min(record.start_ns for record in records),
        end_ns=max(max(record.start_ns, record.end_ns) for record in records),
        attributes={**values.attributes(trace.metadata), "langfuse.observation.type": "TRACE", **session},
        scope_name="langfuse",
    )


def _attributes(observation: _Observation, start_ns: int) -> dict[str, AttributeValue]:
    metadata = values.members(observation.metadata)
    found: dict[str, Any] = {
        "langfuse.model": observation.provided_model_name or observation.model,
        "langfuse.time_to_first_token": _first_token(observation, start_ns),
        "langfuse.input": _text(observation.input),
        "langfuse.output": _text(observation.output),
        # What came in over OpenTelemetry has its attributes in the metadata.
        **(_of_opentelemetry(metadata, "attributes") or metadata),
        "langfuse.observation.type": (observation.type or "SPAN").upper(),
        **_usage(observation),
    }
    return {key: values.attribute(value) for key, value in found.items() if value is not None}


def _first_token(observation: _Observation, start_ns: int) -> float | None:
    if observation.completion_start_time is None:
        return observation.time_to_first_token
    return max(0, values.nanoseconds(observation.completion_start_time) - start_ns) / 1e9


def _resource(observation: _Observation) -> dict[str, AttributeValue]:
    environment = {"deployment.environment.name": observation.environment} if observation.environment else {}
    recorded = _of_opentelemetry(values.members(observation.metadata), "resourceAttributes")
    return {**environment, **values.attributes(recorded)}


def _of_opentelemetry(metadata: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the attributes under `name`: an object, JSON in a text, or one member for each."""
    flat = {key.removeprefix(f"{name}."): value for key, value in metadata.items() if key.startswith(f"{name}.")}
    return {**flat, **values.members(metadata.get(name))}


def _usage(observation: _Observation) -> dict[str, Any]:
    """Return the tokens under our names, as far as Langfuse has counted any.

    Its own counts replace those of the attributes: they stay numbers where attributes become text, and its types of
    usage say what was cached. They are added up as Langfuse does it, because none of them holds another one, save
    where `total` shows that `input` and `output` already are everything.
    """
    counted = {name: values.count(value) for name, value in values.members(observation.usage_details).items()}
    details = {name: count for name, count in counted.items() if count is not None}
    usage = values.members(observation.usage)
    given, made = (sum(n for name, n in details.items() if word in name) for word in ("input", "output"))
    plain = [next((details[name] for name in names if name in details), 0) for names in (_INPUT, _OUTPUT)]
    if sum(plain) == details.get("total") != given + made:
        given, made = plain
    given, made = given or plain[0], made or plain[1]
    cached = {name: count for name, count in details.items() if "cache" in name}
    written = sum(count for name, count in cached.items() if _WRITTEN.search(name))
    found = {
        c.USAGE_INPUT_TOKENS: given or _first(usage, _INPUT, observation.input_usage, observation.prompt_tokens),
        c.USAGE_OUTPUT_TOKENS: made or _first(usage, _OUTPUT, observation.output_usage, observation.completion_tokens),
        c.USAGE_CACHE_READ_INPUT_TOKENS: sum(cached.values()) - written,
        c.USAGE_CACHE_WRITE_INPUT_TOKENS: written,
        c.USAGE_REASONING_OUTPUT_TOKENS: sum(n for name, n in details.items() if _REASONING.search(name)),
    }
    return {name: count for name, count in found.items() if count}


def _first(usage: Mapping[str, Any], names: tuple[str, ...], *others: Any) -> int | None:
    """Return the first count that is more than nothing."""
    counts = (values.count(value) for value in (*(usage.get(name) for name in names), *others))
    return next((count for count in counts if count), None)


def _text(content: Any) -> str | None:
    if content is None or isinstance(content, str):
        return content
    return msgspec.json.encode(content).decode()
