"""LangSmith's runs, as its API, its SDK and its bulk export write them: one JSON object a run.

A run is a span here. The parent is `parent_run_id` where it is given, else the last but one of `dotted_order`. What
came in over OpenTelemetry has its attributes back from the metadata.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from spanwise.journal.reader import STATUS_ERROR, AttributeValue, SpanRecord
from spanwise_profiling.sources import values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_ID_DIGITS: Final = 36
_OTEL_ID: Final = "0" * 16
_LIFTED: Final = ("gen_ai.", "spanwise.", "openinference.", "llm.", "error.", "server.")


class _Run(msgspec.Struct):
    id: str
    start_time: Any
    run_type: str = "chain"
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
    first_token_time: Any = None
    child_runs: list[msgspec.Raw] | None = None


_RUN: Final = msgspec.json.Decoder(_Run)


def read_run(item: bytes, skip: Callable[[str], None]) -> Iterator[SpanRecord]:
    """Yield the span of one run, and those of the runs that are nested in it."""
    pending = [item]
    while pending:
        run = _RUN.decode(pending.pop())
        try:
            record = _record(run)
        except (ValueError, OverflowError) as error:
            skip(f"run {run.id!r}: {error}")
        else:
            yield record
        pending.extend(bytes(child) for child in run.child_runs or ())


def _record(run: _Run) -> SpanRecord:
    start = values.nanoseconds(run.start_time)
    failed = run.error is not None or run.status == "error"
    return SpanRecord(
        trace_id=values.identifier(run.trace_id or _root_of(run) or run.id),
        span_id=_span_id(run.id),
        parent_id=_span_id(parent) if (parent := _parent_of(run)) else None,
        name=run.name or "",
        kind=0,
        start_ns=start,
        end_ns=0 if run.end_time is None else values.nanoseconds(run.end_time),
        attributes=_attributes(run, start),
        status_code=STATUS_ERROR if failed else 0,
        status_message=str(run.error or "").partition("\n")[0],
        resource={"service.name": run.session_name} if run.session_name else {},
        scope_name="langsmith",
    )


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


def _attributes(run: _Run, start_ns: int) -> dict[str, AttributeValue]:
    metadata = values.members((run.extra or {}).get("metadata")) | (run.metadata or {})
    invocation = values.members((run.extra or {}).get("invocation_params"))
    lifted = {key: value for key, value in metadata.items() if key.startswith(_LIFTED)}
    named = {f"langsmith.metadata.{key}": value for key, value in metadata.items() if key not in lifted}
    found: dict[str, Any] = {
        "langsmith.span.kind": run.run_type,
        "langsmith.model": metadata.get("ls_model_name") or invocation.get("model"),
        "langsmith.provider": metadata.get("ls_provider"),
        "langsmith.usage.input_tokens": _tokens(run, run.prompt_tokens, "input_tokens"),
        "langsmith.usage.output_tokens": _tokens(run, run.completion_tokens, "output_tokens"),
        "langsmith.time_to_first_token": _first_token(run, start_ns),
        "langsmith.inputs": _text(run.inputs),
        "langsmith.outputs": _text(run.outputs),
        **named,
        **lifted,
    }
    return {key: values.attribute(value) for key, value in found.items() if value is not None}


def _tokens(run: _Run, counted: int | None, name: str) -> int | None:
    """Return a count of tokens, of a model's run alone: LangSmith sums them up on every run above as well."""
    if run.run_type != "llm":
        return None
    own = values.members(values.members(run.outputs).get("usage_metadata")).get(name)
    return own if isinstance(own, int) else counted


def _first_token(run: _Run, start_ns: int) -> float | None:
    if run.first_token_time is None:
        return None
    return max(0, values.nanoseconds(run.first_token_time) - start_ns) / 1e9


def _text(content: Any) -> str | None:
    return None if not content else msgspec.json.encode(content).decode()
