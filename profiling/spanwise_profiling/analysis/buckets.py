"""What each stretch of the path was spent on: exactly one bucket for every nanosecond.

A call's time is the call's, split at its first chunk where it was streamed. The own time of agents, workflows and
steps is coloured by the waits recorded in it; what is left goes, as far as the spans say, to whoever blocked the event
loop then, to the collector and to computing, and the rest is coordination. Attributes tell how much and not when, so
within a span these come first.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from spanwise import conventions
from spanwise_profiling import kinds
from spanwise_profiling.analysis.blocking import Blocking
from spanwise_profiling.analysis.siblings import Siblings
from spanwise_profiling.analysis.tree import ROUNDING_NS
from spanwise_profiling.profile import BUCKETS, Bucket, Segment
from spanwise_profiling.runs import NANOSECONDS
from spanwise_profiling.waits import SOCKET

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from spanwise.journal.reader import SpanRecord
    from spanwise_profiling.analysis.tree import Tree
    from spanwise_profiling.analysis.walk import Stretch
    from spanwise_profiling.kinds import Kind

OF_CALLS: Final[Mapping[Kind, Bucket]] = {
    "embeddings": "model", "tool": "tool", "retrieval": "retrieval", "cache": "cache_lookup",
}  # fmt: skip
OF_WAITS: Final[Mapping[str, Bucket]] = {
    "rate_limit": "wait_rate_limit", "concurrency": "wait_concurrency", "retry_backoff": "wait_retry",
    "circuit_open": "wait_circuit", "connection": "connect", "queue": "queue", "lock": "queue",
    "task": "coordination", "human": "human",
}  # fmt: skip
HAVE_OWN_COURSE: Final[frozenset[Kind]] = frozenset({"workflow", "agent", "plan", "step"})


def first_chunk_ns(call: SpanRecord) -> int | None:
    """Return when the first chunk of a streamed model call came; its end where it was to stream and none came."""
    seconds = kinds.number_of(call, conventions.RESPONSE_TIME_TO_FIRST_CHUNK)
    if seconds is not None and 0 <= seconds * NANOSECONDS <= call.duration_ns:
        return call.start_ns + round(seconds * NANOSECONDS)
    streamed = call.attributes.get(conventions.REQUEST_STREAM) is True and call.is_error
    return call.start_ns + call.duration_ns if streamed else None


def connection_ns(call: SpanRecord) -> int:
    """Return how long `call` opened its connection, before all else."""
    seconds = kinds.number_of(call, conventions.CONNECTION_SECONDS)
    if seconds is None or not 0 < seconds * NANOSECONDS <= call.duration_ns:
        return 0
    return round(seconds * NANOSECONDS)


def wait_bucket(wait: SpanRecord) -> Bucket:
    """Return the bucket of a wait that no call's time covers."""
    kind = kinds.text_of(wait, conventions.WAIT_KIND) or "unknown"
    if kind == "connection" and kinds.subject_of(wait) == SOCKET:
        return "unknown"
    return OF_WAITS.get(kind, "unknown")


def budget_of(path: Iterable[Segment]) -> dict[Bucket, int]:
    """Return the nanoseconds of `path` by bucket, every bucket included."""
    budget = dict.fromkeys(BUCKETS, 0)
    for segment in path:
        budget[segment.bucket] += segment.end_ns - segment.start_ns
    return budget


class Sorter:
    """Turns stretches of one path into segments; `blockers` then says who blocked the loop in them."""

    def __init__(self, tree: Tree, agents: Sequence[str | None]) -> None:
        self._tree, self._agents = tree, agents
        self._waits: dict[int, Siblings] = {}
        self._blocking = Blocking(tree)
        waits = [node for node, role in enumerate(tree.roles) if role == "admission"]
        self._for_people = [node for node in waits if wait_bucket(tree.spans[node]) == "human"]

    @property
    def blockers(self) -> Mapping[str, int]:
        """Span id to nanoseconds of the path in which it kept the event loop from others."""
        return self._blocking.by_span

    def segments(self, stretches: Sequence[Stretch]) -> list[tuple[int, Segment]]:
        """Return `stretches`, from first to last, as (node, segment); neighbours that say the same are one."""
        coloured = [piece for stretch in reversed(stretches) for piece in self._coloured(stretch)]
        merged: list[tuple[int, Segment]] = []
        for piece in reversed(coloured):
            begin = piece.start_ns
            for bucket, until in self._buckets(piece):
                if until > begin:
                    _append(merged, piece.node, self._segment(piece, bucket, begin, until))
                begin = until
        return merged

    def _segment(self, piece: Stretch, bucket: Bucket, start: int, end: int) -> Segment:
        span, agent = self._tree.spans[piece.node], self._agents[piece.node]
        return Segment(span, agent, start, end, bucket, "observed" if piece.observed else "inferred", piece.overlap)

    def _coloured(self, stretch: Stretch) -> Iterator[Stretch]:
        """Yield the parts of `stretch` from last to first: those that lie in a wait are the wait's."""
        tree, node, moment = self._tree, stretch.node, stretch.end_ns
        if not tree.children[node] or tree.calls[node] >= 0 or tree.kinds[node] == "wait":
            yield stretch
            return
        waits = self._waits_of(node)
        while moment > stretch.start_ns:
            wait = waits.last(moment)
            if wait < 0 or tree.ends[wait] <= stretch.start_ns:
                break
            end = min(tree.ends[wait], moment)
            yield replace(stretch, start_ns=end, end_ns=moment)
            moment = max(tree.starts[wait], stretch.start_ns)
            yield replace(stretch, node=wait, start_ns=moment, end_ns=end)
        yield replace(stretch, end_ns=moment)

    def _waits_of(self, node: int) -> Siblings:
        known = self._waits.get(node)
        if known is None:
            tree = self._tree
            waits = [child for child in tree.children[node] if tree.roles[child] == "suspended"]
            known = self._waits[node] = Siblings(waits, tree.starts, tree.ends)
        return known

    def _is_for_people(self, gap: Stretch) -> bool:
        """Whether the segment before `gap` ended, or the one after it began, with a wait for a person."""
        tree = self._tree
        return any(
            abs(tree.ends[wait] - gap.start_ns) <= ROUNDING_NS or abs(tree.starts[wait] - gap.end_ns) <= ROUNDING_NS
            for wait in self._for_people
        )

    def _buckets(self, piece: Stretch) -> Iterator[tuple[Bucket, int]]:
        """Yield (bucket, until) for the time of `piece`."""
        tree, node = self._tree, piece.node
        if tree.calls[node] >= 0 or tree.roles[node] == "admission":
            begin, until = self._blocking.held_up(node, piece.start_ns, piece.end_ns)
            yield from self._waited_for(node, piece.start_ns, begin)
            yield "loop_blocked", until
            yield from self._waited_for(node, until, piece.end_ns)
        elif node == 0 and tree.made_up:
            yield "human" if self._is_for_people(piece) else "queue", piece.end_ns
        else:
            kind = tree.kinds[node]
            rest = wait_bucket(tree.spans[node]) if kind == "wait" else _rest(kind)
            yield from self._blocking.split(node, piece.start_ns, piece.end_ns, rest)

    def _waited_for(self, node: int, start: int, end: int) -> Iterator[tuple[Bucket, int]]:
        tree, call = self._tree, self._tree.calls[node]
        if start >= end:
            return
        if tree.roles[node] == "admission":
            yield wait_bucket(tree.spans[node]), end
        else:
            yield from _of_call(tree.spans[call], tree.kinds[call], start, end)


def _rest(kind: Kind) -> Bucket:
    return "coordination" if kind in HAVE_OWN_COURSE else "unknown"


def _append(path: list[tuple[int, Segment]], node: int, segment: Segment) -> None:
    """Add `segment`, as part of the last one where they say the same."""
    if path and path[-1][0] == node:
        last = path[-1][1]
        if (last.bucket, last.edge, last.overlap) == (segment.bucket, segment.edge, segment.overlap):
            path[-1] = node, replace(last, end_ns=segment.end_ns)
            return
    path.append((node, segment))


def _of_call(call: SpanRecord, kind: Kind, start: int, end: int) -> Iterator[tuple[Bucket, int]]:
    if (connecting := connection_ns(call)) and start < call.start_ns + connecting:
        start = min(call.start_ns + connecting, end)
        yield "connect", start
    if start >= end:
        return
    if kind != "chat":
        yield OF_CALLS[kind], end
    elif (chunk := first_chunk_ns(call)) is None:
        yield "model", end
    else:
        if start < chunk:
            yield "model_prefill", min(chunk, end)
        if end > chunk:
            yield "model_decode", end
