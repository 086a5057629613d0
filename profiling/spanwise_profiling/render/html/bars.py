"""Which bucket's colour a span's bar has.

A bar shows what a span is, the critical path what the clock was spent on: a model call that reads its prompt while
something else holds the answer up has a bar of the model's, and is not on the path.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from spanwise import conventions
from spanwise_profiling import kinds
from spanwise_profiling.runs import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spanwise.journal.reader import SpanRecord
    from spanwise_profiling.kinds import Kind
    from spanwise_profiling.profile import Bucket

_CALLS: Final[Mapping[Kind, Bucket]] = {
    "chat": "model",
    "embeddings": "model",
    "tool": "tool",
    "retrieval": "retrieval",
    "cache": "cache_lookup",
}
_WAITS: Final[Mapping[str, Bucket]] = {
    "rate_limit": "wait_rate_limit",
    "concurrency": "wait_concurrency",
    "retry_backoff": "wait_retry",
    "circuit_open": "wait_circuit",
    "connection": "connect",
    "queue": "queue",
    "lock": "queue",
    "task": "coordination",
    "human": "human",
}


def bucket_of(span: SpanRecord) -> Bucket | None:
    """Return the bucket whose colour the bar of `span` has; None for spans that enclose others."""
    kind = kinds.kind_of(span)
    if kind == "wait":
        return _WAITS.get(kinds.text_of(span, conventions.WAIT_KIND) or "", "unknown")
    if kind == "chat" and first_chunk_ns(span) is not None:
        return "model_decode"
    return _CALLS.get(kind)


def first_chunk_ns(span: SpanRecord) -> int | None:
    """Return how long after its start a streamed model call had its first chunk, in recorded nanoseconds."""
    seconds = kinds.number_of(span, conventions.RESPONSE_TIME_TO_FIRST_CHUNK)
    if kinds.kind_of(span) != "chat" or seconds is None:
        return None
    return min(max(0, round(seconds * NANOSECONDS)), span.duration_ns)
