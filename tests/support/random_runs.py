"""Random recordings, most of them broken somewhere: skewed and detached children, orphans, links to anywhere.

Times are small whole numbers of a unit, so that many ends and starts fall on the same moment.
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from support import traces

from spanwise import conventions as c
from spanwise.journal.reader import LinkRecord
from spanwise_profiling.runs import runs_of
from spanwise_profiling.trace import build_traces

if TYPE_CHECKING:
    from spanwise.journal.reader import SpanRecord
    from spanwise_profiling.runs import Run

UNITS = (1e-9, 1e-7, 0.0004, 0.01)
WAITS = (
    "rate_limit", "concurrency", "retry_backoff", "circuit_open", "connection", "queue", "lock", "task", "task", "task",
    "timer", "executor", "future", "human", "unknown",
)  # fmt: skip
OPERATIONS = {
    "agent": "invoke_agent", "chat": "chat", "embeddings": "embeddings", "tool": "execute_tool", "plan": "plan",
    "retrieval": "retrieval",
}  # fmt: skip
NAMES = {"agent": (c.AGENT_NAME,), "step": (c.STEP_NAME,), "cache": (c.CACHE_NAME, c.CACHE_RESULT)}
KINDS = (*OPERATIONS, "chat", "step", "cache", "span", "wait", "wait", "wait")


def random_run(seed: int, *, most: int = 24) -> Run:
    """Return the run that `seed` stands for, of at most `most` spans with at most three links each."""
    draw = random.Random(seed)
    unit, count = draw.choice(UNITS), draw.randint(1, most)
    length = draw.randint(2, 60)
    spans = [_span(draw, number, unit, length) for number in range(1, count + 1)]
    if draw.random() < 0.7:
        spans[0] = traces.workflow(1, 0, length * unit)
    else:
        spans[0] = traces.span(1, 0, length * unit)
    return traces.run_of(*(_linked(draw, span, count, 3) for span in spans))


def _span(draw: random.Random, number: int, unit: float, length: int) -> SpanRecord:
    start = draw.randint(-1, length)
    end = start + draw.choice(
        (draw.randint(0, 3), draw.randint(0, length), length + 2 - start if draw.random() < 0.2 else 2)
    )
    parent = draw.choice((number - 1, draw.randint(1, number - 1), 1)) if number > 1 else None
    if draw.random() < 0.03:
        parent = 999
    kind = draw.choice(KINDS)
    attributes: dict[str, Any] = {}
    if kind == "chat" and end > start and draw.random() < 0.5:
        attributes[c.RESPONSE_TIME_TO_FIRST_CHUNK] = (end - start) * unit / 3
    if kind == "wait":
        attributes |= {c.WAIT_KIND: draw.choice(WAITS), c.WAIT_RESOURCE: draw.choice(("connection", "slots"))}
    attributes |= dict.fromkeys(NAMES.get(kind, ()), f"n{number % 3}")
    if kind in OPERATIONS:
        attributes[c.OPERATION_NAME] = OPERATIONS[kind]
    return traces.span(number, start * unit, end * unit, parent=parent, attributes=attributes)


def _linked(draw: random.Random, span: SpanRecord, count: int, most: int) -> SpanRecord:
    often = 0.7 if c.WAIT_KIND in span.attributes else 0.2
    links: list[LinkRecord] = []
    while draw.random() < often and len(links) < most:
        reason = draw.choice((c.LINK_REASON, c.LINK_REASON, "other"))
        attributes = {reason: draw.choice(("waits_on", "waits_on", "spawned_by", "admitted_by"))}
        other = traces.identifier(draw.randint(1, count + 1))
        links.append(LinkRecord(span.trace_id, other, attributes))
    return replace(span, links=tuple(links))


def random_segments(seed: int) -> Run:
    """Return a run of two or three workflow spans, each in a trace of its own; they may overlap."""
    draw = random.Random(seed)
    unit, run_id = draw.choice(UNITS), traces.identifier(seed % 4096, 32)
    spans: list[SpanRecord] = []
    later = 0.0
    for trace in range(1, draw.randint(2, 3) + 1):
        length, count = draw.randint(2, 30), draw.randint(1, 8)
        members = [_span(draw, number, unit, length) for number in range(1, count + 1)]
        members[0] = traces.workflow(1, 0, length * unit, attributes={c.RUN_ID: run_id})
        spans += [_moved(_linked(draw, member, count, 2), trace, round(later * 1e9)) for member in members]
        later += (length + draw.randint(-3, 20)) * unit
    [run] = runs_of(build_traces(spans))
    return run


def _moved(span: SpanRecord, trace: int, later_ns: int) -> SpanRecord:
    """Return `span` in another trace and later, with ids that no other trace has."""

    def named(span_id: str) -> str:
        return f"{trace:x}{span_id[1:]}"

    trace_id = traces.identifier(trace, 32)
    parent_id = named(span.parent_id) if span.parent_id else None
    return replace(
        span, trace_id=trace_id, span_id=named(span.span_id), parent_id=parent_id,
        start_ns=span.start_ns + later_ns, end_ns=span.end_ns + later_ns,
        links=tuple(LinkRecord(trace_id, named(link.span_id), link.attributes) for link in span.links),
    )  # fmt: skip
