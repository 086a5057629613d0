"""Spans of one trace joined into trees, whatever state the recording is in.

Spans arrive in any order, more than once, without their parent (it crashed, runs elsewhere or is still open) or, from
broken programs, in circles. Every span ends up in exactly one tree; what had to be bent is told in `warnings`. Times
stay recorded, unscaled nanoseconds; only what is shown to people is scaled. Nothing recurses, so depth is no limit.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from spanwise_profiling import kinds
from spanwise_profiling.text import printable
from spanwise_profiling.unfinished import so_far

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from spanwise.journal.reader import SpanRecord

WITHOUT_END: Final = "without an end; counted as 0 s"
_LISTED: Final = 3


@dataclass(frozen=True, slots=True)
class Trace:
    """The spans of one trace as trees."""

    trace_id: str
    roots: tuple[SpanRecord, ...]
    """By start."""
    children: Mapping[str, tuple[SpanRecord, ...]]
    """Span id to children by start; ids without children are absent."""
    warnings: tuple[str, ...] = ()

    def walk(self, *tops: SpanRecord) -> Iterator[tuple[int, SpanRecord]]:
        """Yield (depth, span) in tree order below `tops`, these included at depth 0; of all roots without any."""
        stack = [(0, span) for span in reversed(tops or self.roots)]
        while stack:
            depth, span = stack.pop()
            yield depth, span
            stack.extend((depth + 1, child) for child in reversed(self.children.get(span.span_id, ())))


def build_traces(records: Iterable[SpanRecord]) -> list[Trace]:
    """Group `records` by trace id and join each group; ordered by first start."""
    groups: defaultdict[str, list[SpanRecord]] = defaultdict(list)
    for record in records:
        groups[record.trace_id].append(record)
    return sorted((build_trace(group) for group in groups.values()), key=lambda trace: trace.roots[0].start_ns)


def build_trace(records: Sequence[SpanRecord]) -> Trace:
    """Join the spans of one trace; `records` holds at least one.

    Of spans with the same id the first that has ended is kept, a span whose parent is missing becomes a root, and a
    circle is cut at its earliest span. A span without an end is counted up to the trace's last recorded moment.
    """
    records = so_far(records)
    spans = _without_duplicates(records)
    orphans = [span for span in spans.values() if span.parent_id is not None and span.parent_id not in spans]
    roots = [span for span in spans.values() if span.parent_id is None] + orphans
    cut = _cut_circles(spans, roots)
    children = _children(spans, {span.span_id for span in roots} | {span.span_id for span in cut})
    return Trace(
        trace_id=next(iter(spans.values())).trace_id,
        roots=tuple(sorted([*roots, *cut], key=by_start)),
        children=children,
        warnings=tuple(_warnings(records, spans, orphans, cut)),
    )


def by_start(span: SpanRecord) -> tuple[int, int, str]:
    """Sort key: the earlier first, of two that start together the longer."""
    return span.start_ns, -span.end_ns, span.span_id


def _without_duplicates(records: Sequence[SpanRecord]) -> dict[str, SpanRecord]:
    spans: dict[str, SpanRecord] = {}
    for record in records:
        kept = spans.setdefault(record.span_id, record)
        if not kept.end_ns and record.end_ns:  # written when it started, and again when it ended
            spans[record.span_id] = record
    return spans


def _children(spans: Mapping[str, SpanRecord], roots: set[str]) -> dict[str, tuple[SpanRecord, ...]]:
    below: defaultdict[str, list[SpanRecord]] = defaultdict(list)
    for span in spans.values():
        if span.parent_id is not None and span.span_id not in roots:
            below[span.parent_id].append(span)
    return {parent: tuple(sorted(members, key=by_start)) for parent, members in below.items()}


def _cut_circles(spans: Mapping[str, SpanRecord], roots: Iterable[SpanRecord]) -> list[SpanRecord]:
    """Return the earliest span of each circle; every span but these hangs below a root or one of these."""
    settled = {span.span_id for span in roots}
    cut: list[SpanRecord] = []
    for span in spans.values():
        path: dict[str, SpanRecord] = {}
        here = span
        while here.span_id not in settled and here.span_id not in path:
            path[here.span_id] = here
            here = spans[here.parent_id or ""]
        if here.span_id in path:
            ids = list(path)
            circle = ids[ids.index(here.span_id) :]
            cut.append(min((path[name] for name in circle), key=by_start))
        settled.update(path)
    return cut


def _warnings(
    records: Sequence[SpanRecord],
    spans: Mapping[str, SpanRecord],
    orphans: Sequence[SpanRecord],
    cut: Sequence[SpanRecord],
) -> Iterator[str]:
    again = [s for s in records if spans[s.span_id] is not s and (s.end_ns or not spans[s.span_id].end_ns)]
    # A workflow's parent often is a request that another process serves: nothing is lost then.
    lost = [span for span in orphans if kinds.kind_of(span) != "workflow"]
    yield from told(again, "came more than once; the first was kept")
    yield from told(lost, "without a recorded parent; shown as roots")
    yield from told(cut, "in a circle of parents; cut at the earliest")
    yield from told([s for s in spans.values() if 0 < s.end_ns < s.start_ns], "ended before starting; counted as 0 s")
    yield from told([s for s in spans.values() if not s.end_ns], WITHOUT_END)


def told(spans: Sequence[SpanRecord], what: str) -> Iterator[str]:
    """Yield the warning that `spans` are `what`, with their number and the first ids; none where there are none."""
    if spans:
        ids = list(dict.fromkeys(printable(span.span_id) for span in spans[: _LISTED + 1]))
        more = f", and {len(spans) - _LISTED} more" if len(spans) > _LISTED else ""
        yield f"{len(spans)} {'span' if len(spans) == 1 else 'spans'} {what}: {', '.join(ids[:_LISTED])}{more}"


def joined(parts: Sequence[tuple[Trace, Sequence[SpanRecord]]]) -> tuple[Trace, tuple[SpanRecord, ...]]:
    """Join trees of several traces into one trace; returns it and the trees' tops in the order of `parts`.

    An id that was used in more than one of the traces is told apart by the trace's id after it.
    """
    taken: set[str] = set()
    tops: list[SpanRecord] = []
    children: dict[str, tuple[SpanRecord, ...]] = {}
    for trace, chosen in parts:
        spans = [span for _, span in trace.walk(*chosen)]
        new = {s.span_id: f"{s.span_id}-{s.trace_id}" if s.span_id in taken else s.span_id for s in spans}
        taken.update(new.values())
        tops += [_renamed(span, new) for span in chosen]
        for parent, members in trace.children.items():
            if parent in new:
                children[new[parent]] = tuple(_renamed(member, new) for member in members)
    warnings = tuple(dict.fromkeys(warning for trace, _ in parts for warning in trace.warnings))
    return Trace(parts[0][0].trace_id, tuple(tops), children, warnings), tuple(tops)


def _renamed(span: SpanRecord, new: Mapping[str, str]) -> SpanRecord:
    if new[span.span_id] == span.span_id and new.get(span.parent_id or "", span.parent_id) == span.parent_id:
        return span
    parent_id = None if span.parent_id is None else new.get(span.parent_id, span.parent_id)
    return replace(span, span_id=new[span.span_id], parent_id=parent_id)
