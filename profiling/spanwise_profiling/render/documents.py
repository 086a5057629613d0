"""Runs as the JSON documents of `runs --json` and `show --json`: scaled seconds, plain JSON values only."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from spanwise_profiling import kinds
from spanwise_profiling.agents import agent_usage
from spanwise_profiling.runs import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from spanwise.journal.reader import Attributes, AttributeValue, SpanRecord
    from spanwise_profiling.agents import AgentUsage
    from spanwise_profiling.runs import Run

RUNS_SCHEMA: Final = "spanwise.runs/1"
SHOW_SCHEMA: Final = "spanwise.show/1"


def runs_document(runs: Iterable[Run], warnings: Iterable[str] = ()) -> dict[str, Any]:
    """Return the document of `spanwise runs --json`, in the order given."""
    return {"schema": RUNS_SCHEMA, "runs": [run_document(run) for run in runs], "warnings": list(warnings)}


def show_document(run: Run, warnings: Iterable[str] = ()) -> dict[str, Any]:
    """Return the document of `spanwise show --json`: the run with its agents and, in tree order, all its spans."""
    agents = [_agent(agent) for agent in agent_usage(run)]
    spans = [_span(run, depth, span) for depth, span in run.walk()]
    document = {**run_document(run), "agents_by_seconds": agents, "warnings": list(run.warnings), "spans": spans}
    return {"schema": SHOW_SCHEMA, "run": document, "warnings": list(warnings)}


def run_document(run: Run) -> dict[str, Any]:
    """Return the figures of a run; seconds are scaled, `start` is UTC."""
    totals = run.totals
    return {
        "run_id": run.run_id,
        "trace_id": run.trace_id,
        "workflow": run.workflow,
        "variant": run.variant,
        "service": run.service,
        "start": _utc(run.start_ns),
        "state": run.state,
        "duration_s": run.seconds,
        "scale": run.scale,
        "tokens": {"input": totals.input_tokens, "output": totals.output_tokens, "total": totals.tokens},
        "tokens_per_s": run.tokens_per_second,
        "agents": totals.agents,
        "llm_calls": totals.llm_calls,
        "tool_calls": totals.tool_calls,
        "retries": totals.retries,
        "cache": {"lookups": totals.cache_lookups, "hits": totals.cache_hits},
        "errors": totals.errors,
        "error": run.error,
        "quality": None if run.grade is None and run.score is None else {"grade": run.grade, "score": run.score},
        "span_count": totals.spans,
        "wait_count": totals.waits,
    }


def _agent(agent: AgentUsage) -> dict[str, Any]:
    return {
        "name": agent.name,
        "seconds": agent.seconds,
        "share": agent.share,
        "waiting_s": agent.waiting_seconds,
        "invocations": agent.invocations,
        "llm_calls": agent.llm_calls,
        "tool_calls": agent.tool_calls,
        "tokens": {"input": agent.input_tokens, "output": agent.output_tokens, "total": agent.tokens},
    }


def _span(run: Run, depth: int, span: SpanRecord) -> dict[str, Any]:
    return {
        "span_id": span.span_id,
        "parent_id": span.parent_id,
        "depth": depth,
        "kind": kinds.kind_of(span),
        "name": span.name,
        "start_s": run.scaled(span.start_ns - run.start_ns),
        "duration_s": run.scaled(span.duration_ns),
        "state": span.state,
        "error": kinds.error_of(span),
        "status_message": span.status_message,
        "attributes": _attributes(span.attributes),
        "events": [
            {"at_s": run.scaled(e.time_ns - run.start_ns), "name": e.name, "attributes": _attributes(e.attributes)}
            for e in span.events
        ],
        "links": [
            {"trace_id": link.trace_id, "span_id": link.span_id, "attributes": _attributes(link.attributes)}
            for link in span.links
        ],
    }


def _attributes(attributes: Attributes) -> dict[str, Any]:
    return {key: plain(value) for key, value in attributes.items()}


def plain(value: AttributeValue) -> Any:
    """Return an attribute value as a plain JSON value: bytes as base64, numbers that JSON lacks as text."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no number for it
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    return _attributes(value) if isinstance(value, Mapping) else value


def _utc(nanoseconds: int) -> str | None:
    try:
        return datetime.fromtimestamp(nanoseconds / NANOSECONDS, UTC).isoformat(timespec="milliseconds")
    except (OverflowError, ValueError, OSError):
        return None
