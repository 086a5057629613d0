"""LangSmith's runs, as its API (both versions), its SDK, its bulk export and data frames write them: an object a run.

A run is a span here. The parent is `parent_run_id` where it is given, else the last but one of `dotted_order`. What
came in over OpenTelemetry has its attributes back from the metadata, and the trace id from what our destination put
there: LangSmith gives traces the id of their first run.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from spanwise import conventions as c
from spanwise.journal.reader import STATUS_ERROR, AttributeValue, SpanRecord
from spanwise_profiling.sources import lenient, values

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from spanwise_profiling.sources.place import Place

_ID_DIGITS: Final = 36
_OTEL_ID: Final = "0" * 16
_LIFTED: Final = ("gen_ai.", "spanwise.", "openinference.", "llm.", "error.", "server.")
_OF_RESOURCE: Final = ("service.", "host.", "telemetry.", c.TIME_SCALE)
_WITH_TOKENS: Final = frozenset({"llm", "embedding"})


class _Run(msgspec.Struct):
    id: str
    start_time: Any
    run_type: str | None = "chain"
    name: str | None = None
    end_time: Any = None
    trace_id: str | None = None
    parent_run_id: str | None = None
    parent_run_ids: list[str] | None = None
    dotted_order: str | None = None
    status: str | None = None
    error: Any = None
    extra: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    session_name: str | None = None
    inputs: Any = None
    outputs: Any = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_token_details: Any = None
    completion_token_details: Any = None
    first_token_time: Any = None
    child_runs: list[Any] | None = None


_EXCEPTION: Final = re.compile(r"([A-Za-z_][\w.]*)\(", re.ASCII)
FIELDS: Final = tuple(name for name in _Run.__struct_fields__ if name != "child_runs")
"""What of a run is read."""
_RUN: Final = lenient.decoder(_Run)


def read_run(item: bytes, place: Place) -> Iterator[SpanRecord]:
    """Yield the span of one run, and those of the runs that are nested in it."""
    pending = [_RUN(item, place)]
    while pending:
        run = pending.pop()
        try:
            record = _record(run)
        except (ValueError, OverflowError) as error:
            place.skip(f"run {run.id!r}: {error}")
        else:
            yield record
        for child in run.child_runs or ():
            try:
                pending.append(lenient.fitted(child, _Run, place))
            except ValueError as error:
                place.skip(f"run in {run.id!r}: {error}")


def _record(run: _Run) -> SpanRecord:
    start = values.nanoseconds(run.start_time)
    failed = bool(run.error) or (run.status or "").lower() == "error"
    metadata = values.members((run.extra or {}).get("metadata")) | (run.metadata or {})
    return SpanRecord(
        trace_id=values.identifier(metadata.get(c.TRACE_ID) or run.trace_id or _root_of(run) or run.id),
        span_id=_span_id(run.id),
        parent_id=_span_id(parent) if (parent := _parent_of(run)) else None,
        name=run.name or "",
        kind=0,
        start_ns=start,
        end_ns=0 if run.end_time is None else values.nanoseconds(run.end_time),
        attributes=_attributes(run, start, metadata),
        status_code=STATUS_ERROR if failed else 0,
        status_message=str(run.error or "").partition("\n")[0],
        resource=_resource(run, metadata),
        scope_name="langsmith",
    )


def _resource(run: _Run, metadata: Mapping[str, Any]) -> dict[str, AttributeValue]:
    """Return what is of the process: the project by its name, and the attributes of the resource in the metadata."""
    named = {"service.name": run.session_name} if run.session_name else {}
    return named | {key: values.attribute(value) for key, value in metadata.items() if key.startswith(_OF_RESOURCE)}


def _span_id(run_id: str) -> str:
    """Return the id of a span: that of OpenTelemetry where LangSmith made a UUID of it by filling up with zeros."""
    span_id = values.identifier(run_id)
    return span_id.removeprefix(_OTEL_ID) or span_id


def _ancestors(run: _Run) -> list[str]:
    """Return the ids in `dotted_order`, the root's first: each part is a time and then a UUID."""
    return [part[-_ID_DIGITS:] for part in (run.dotted_order or "").split(".") if len(part) >= _ID_DIGITS]


def _root_of(run: _Run) -> str | None:
    return next(iter(_ancestors(run)), None)


def _parent_of(run: _Run) -> str | None:
    above = _ancestors(run)[:-1] or run.parent_run_ids
    return run.parent_run_id or (above[-1] if above else None)


def _attributes(run: _Run, start_ns: int, metadata: Mapping[str, Any]) -> dict[str, AttributeValue]:
    invocation = values.members((run.extra or {}).get("invocation_params"))
    own = {key: value for key, value in metadata.items() if not key.startswith(_OF_RESOURCE) and key != c.TRACE_ID}
    lifted = {key: value for key, value in own.items() if key.startswith(_LIFTED)}
    named = {f"langsmith.metadata.{key}": value for key, value in own.items() if key not in lifted}
    found: dict[str, Any] = {
        "langsmith.span.kind": (run.run_type or "chain").lower(),
        "langsmith.model": metadata.get("ls_model_name") or invocation.get("model"),
        "langsmith.provider": metadata.get("ls_provider"),
        **_tokens(run, metadata),
        "langsmith.time_to_first_token": _first_token(run, start_ns),
        "langsmith.inputs": _text(run.inputs),
        "langsmith.outputs": _text(run.outputs),
        c.ERROR_TYPE: _error_type(run.error),
        **named,
        **lifted,
    }
    return {key: values.attribute(value) for key, value in found.items() if value is not None}


def _tokens(run: _Run, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tokens of a model's run alone: LangSmith sums them up on every run above as well."""
    if (run.run_type or "").lower() not in _WITH_TOKENS:
        return {}
    outputs = values.members(run.outputs)
    told = (outputs.get("usage_metadata"), metadata.get("usage_metadata"), _of_generation(outputs))
    usage = next((found for found in map(values.members, told) if found), dict[str, Any]())
    input_details = _details(usage.get("input_token_details"), run.prompt_token_details)
    output_details = _details(usage.get("output_token_details"), run.completion_token_details)
    found = {
        "langsmith.usage.input_tokens": values.count(usage.get("input_tokens")) or values.count(run.prompt_tokens),
        "langsmith.usage.output_tokens": values.count(usage.get("output_tokens"))
        or values.count(run.completion_tokens),
        "langsmith.usage.cache_read_input_tokens": values.count(input_details.get("cache_read")),
        "langsmith.usage.cache_write_input_tokens": values.count(input_details.get("cache_creation")),
        "langsmith.usage.reasoning_output_tokens": values.count(output_details.get("reasoning")),
    }
    return {name: count for name, count in found.items() if count is not None}


def _details(*told: Any) -> dict[str, Any]:
    """Return the first breakdown that says something; the second API has it in `raw`."""
    found = next((details for details in map(values.members, told) if details), dict[str, Any]())
    return values.members(found.get("raw", found))


def _of_generation(outputs: Mapping[str, Any]) -> object:
    """Return the usage of LangChain's first message, where older versions keep it."""
    generations: object = outputs.get("generations")
    while values.is_list(generations):
        generations = generations[0] if generations else None
    message = values.members(values.members(generations).get("message"))
    return values.members(message.get("kwargs")).get("usage_metadata")


def _error_type(error: Any) -> str | None:
    """Return the class of an exception, of which the SDK writes `repr` and then the traceback."""
    found = _EXCEPTION.match(error) if isinstance(error, str) else None
    return found[1] if found else None


def _first_token(run: _Run, start_ns: int) -> float | None:
    if run.first_token_time is None:
        return None
    return max(0, values.nanoseconds(run.first_token_time) - start_ns) / 1e9


def _text(content: Any) -> str | None:
    if not content or isinstance(content, str):
        return content or None
    return msgspec.json.encode(content).decode()
