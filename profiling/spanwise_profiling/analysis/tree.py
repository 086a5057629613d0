"""A run's spans as numbered nodes, with what a walk needs to know of each: ends that are no lies, waits, releasers.

Numbers instead of identifiers make one pass over 50,000 spans cheap and nothing recurses. Node 0 stands for the run:
the workflow's span, or a made-up one above several roots or segments.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from spanwise import conventions
from spanwise_profiling import kinds
from spanwise_profiling.waits import SOCKET

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from spanwise.journal.reader import LinkRecord, SpanRecord
    from spanwise_profiling.kinds import Kind
    from spanwise_profiling.runs import Run

Role: TypeAlias = Literal["work", "admission", "suspended"]
"""`admission`: a wait that is itself what one waits for; `suspended`: a wait for another's progress."""

ROUNDING_NS: Final = 1_000_000
"""What times may be wrong by: many formats keep milliseconds."""
DETACHED_SHARE: Final = 20
CALLS: Final[frozenset[Kind]] = frozenset({"chat", "embeddings", "tool", "retrieval", "cache"})
_ADMISSION: Final = frozenset({"rate_limit", "concurrency", "retry_backoff", "circuit_open", "human"})
_STARTS: Final = frozenset({"waits_on", "spawned_by", "admitted_by"})


@dataclass(frozen=True, slots=True)
class Tree:
    """The spans of a run, in tree order; lists are indexed by node, times are nanoseconds since 1970."""

    spans: Sequence[SpanRecord]
    """Of a made-up node 0, the span of the first top."""
    parents: Sequence[int]
    """-1 for node 0."""
    starts: Sequence[int]
    ends: Sequence[int]
    """Never before the start."""
    kinds: Sequence[Kind]
    roles: Sequence[Role]
    calls: Sequence[int]
    """The call (of a model, tool, ...) whose time a node's own time is: itself, or above it through plain spans; -1."""
    releasers: Sequence[int]
    """Of a wait, the node that ended it, where it is known and can be true; -1."""
    children: Sequence[Sequence[int]]
    made_up: bool
    """Whether node 0 is no recorded span."""
    numbers: dict[str, int]
    """Span id to node."""

    def starters_of(self, node: int) -> Iterator[int]:
        """Yield the nodes that started `node`, by its links."""
        if self.kinds[node] == "wait":
            return
        for link in self.spans[node].links:
            if link.attributes.get(conventions.LINK_REASON) in _STARTS:
                other = self.numbers.get(link.span_id, -1)
                if other >= 0 and other not in {node, self.parents[node]}:
                    yield other

    def is_detached(self, node: int) -> bool:
        """Whether `node` outlives its parent, which therefore did not wait for it.

        A millisecond, or a twentieth of its length, is taken for rounding or skewed clocks.
        """
        over = self.ends[node] - self.ends[self.parents[node]]
        return over > ROUNDING_NS and over * DETACHED_SHARE > self.ends[node] - self.starts[node]


def tree_of(run: Run) -> Tree:
    """Return the spans of `run` as nodes."""
    made_up = not _is_one_tree(run)
    placed = [(-1, run.tops[0])] * made_up + list(_placed(run, made_up=made_up))
    parents, spans = [parent for parent, _ in placed], [span for _, span in placed]
    starts = [span.start_ns for span in spans]
    ends = [span.start_ns + span.duration_ns for span in spans]
    of_kinds: list[Kind] = [kinds.kind_of(span) for span in spans]
    if made_up:
        ends[0], of_kinds[0] = run.start_ns + run.duration_ns, "span"
    calls = _calls(parents, of_kinds)
    roles: list[Role] = [_role(*each) for each in zip(spans, of_kinds, calls, strict=True)]
    numbers = {span.span_id: node for node, span in enumerate(spans) if node or not made_up}
    children: list[list[int]] = [[] for _ in spans]
    releasers = [-1] * len(spans)
    for node, parent in enumerate(parents):
        if parent >= 0:
            children[parent].append(node)
        if roles[node] == "suspended":
            named = (numbers.get(link.span_id, -1) for link in spans[node].links if _ends_wait(link))
            possible = (
                other
                for other in named
                if other not in {-1, node, parent} and starts[other] < ends[node] and ends[other] > starts[node]
            )
            releasers[node] = next(possible, -1)
    return Tree(spans, parents, starts, ends, of_kinds, roles, calls, releasers, children, made_up, numbers)


def _is_one_tree(run: Run) -> bool:
    """Whether one span stands for the run: a single root, or the only workflow, which lost spans are counted to."""
    workflows = sum(kinds.kind_of(top) == "workflow" for top in run.tops)
    return len(run.tops) == 1 or (workflows == 1 and kinds.kind_of(run.tops[0]) == "workflow")


def _placed(run: Run, *, made_up: bool) -> Iterator[tuple[int, SpanRecord]]:
    """Yield (parent, span) in tree order; lost spans hang below the run, or below the segment that they came after."""
    above: list[int] = []
    segment = -1 + made_up
    for node, (depth, span) in enumerate(run.walk(), start=int(made_up)):
        del above[depth:]
        if depth:
            parent = above[-1]
        elif made_up and kinds.kind_of(span) == "workflow":
            parent, segment = 0, node
        else:
            parent = segment
            segment = max(segment, 0)
        above.append(node)
        yield parent, span


def _calls(parents: Sequence[int], of_kinds: Sequence[Kind]) -> list[int]:
    calls: list[int] = []
    for node, kind in enumerate(of_kinds):
        if kind in CALLS:
            calls.append(node)
        elif kind in ("span", "wait") and parents[node] >= 0:
            calls.append(calls[parents[node]])
        else:
            calls.append(-1)
    return calls


def _role(span: SpanRecord, kind: Kind, call: int) -> Role:
    if kind != "wait":
        return "work"
    wait = kinds.text_of(span, conventions.WAIT_KIND)
    if wait in _ADMISSION:
        return "admission"
    if wait == "connection" and kinds.subject_of(span) != SOCKET:
        return "admission"
    # What a call sleeps is the call's own business; elsewhere a timer is all that was waited for.
    return "admission" if wait == "timer" and call < 0 else "suspended"


def _ends_wait(link: LinkRecord) -> bool:
    return link.attributes.get(conventions.LINK_REASON, "waits_on") == "waits_on"
