"""A run made fit to be analysed: what clocks, crashes and exporters bent is bent back, and each repair is told.

Joining (duplicates, orphans, circles) has happened before, in `trace`; this is about times. Recordings are never
changed: a repaired run is a new one, and `show` shows what was recorded. Clocks come first, because a span of a host
whose clock is off seems to outlive its parent when it does not.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from spanwise_profiling import clocks
from spanwise_profiling.runs import in_order, outermost_workflows, run_over, spans_above
from spanwise_profiling.text import printable
from spanwise_profiling.trace import WITHOUT_END, Trace, by_start, told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from spanwise.journal.reader import SpanRecord
    from spanwise_profiling.runs import Run

_MILLISECOND: Final = 1_000_000


def normalised(run: Run) -> Run:
    """Return `run` with times that an analysis can stand on, and with warnings of what was repaired.

    Ends that are missing become the last moment that was recorded, ends before their start become the start, and spans
    of hosts whose clocks are off are shifted. Attributes are sorted by name, so that a report does not depend on the
    store that a run was read from.
    """
    spans = [span for _, span in run.walk()]
    ended, ending = _ends(spans)
    shifted, shifting = _shifted(run, ended)
    mended = {span_id: _sorted(span) for span_id, span in shifted.items()}
    tops = in_order(mended[span.span_id] for span in run.tops)
    children = {
        parent: tuple(sorted((mended[child.span_id] for child in members), key=by_start))
        for parent, members in run.trace.children.items()
        if parent in mended
    }
    trace = Trace(run.trace.trace_id, tops, children)
    kept = [warning for warning in run.warnings if WITHOUT_END not in warning]
    more = (*ending, *shifting, *_odd_times(trace), *_roots(run, spans))
    return run_over(trace, tops, warnings=(*kept, *more))


def _sorted(span: SpanRecord) -> SpanRecord:
    names = sorted(span.attributes)
    if list(span.attributes) == names:
        return span
    return replace(span, attributes={name: span.attributes[name] for name in names})


def _ends(spans: Sequence[SpanRecord]) -> tuple[dict[str, SpanRecord], list[str]]:
    """Return `spans` by id, all with an end that is not before the start, and what was mended."""
    last = max(max(span.start_ns, span.end_ns) for span in spans)
    open_ = [span for span in spans if not span.end_ns]
    mended = {
        span.span_id: span
        if span.end_ns > span.start_ns
        else replace(span, end_ns=span.start_ns if span.end_ns else last)
        for span in spans
    }
    return mended, list(told(open_, "without an end, still open or lost; counted until the last moment recorded"))


def _shifted(run: Run, spans: Mapping[str, SpanRecord]) -> tuple[dict[str, SpanRecord], list[str]]:
    offsets = clocks.offsets(run.tops, run.trace.children, spans)
    if not offsets:
        return dict(spans), []
    shifted = {
        span_id: replace(span, start_ns=span.start_ns + offset, end_ns=span.end_ns + offset)
        if (offset := offsets.get(clocks.host_of(span), 0))
        else span
        for span_id, span in spans.items()
    }
    warnings: list[str] = []
    for host, offset in sorted(offsets.items()):
        moved = [span for span in spans.values() if clocks.host_of(span) == host]
        what = f"of {printable(host)}, whose clock is off, shifted by {offset / _MILLISECOND:+.3f} ms"
        warnings += told(moved, what)
    return shifted, warnings


def _odd_times(trace: Trace) -> Iterator[str]:
    pairs = [(parent, child) for _, parent in trace.walk() for child in trace.children.get(parent.span_id, ())]

    def those(odd: Callable[[SpanRecord, SpanRecord], bool]) -> list[SpanRecord]:
        return [child for parent, child in pairs if odd(parent, child)]

    yield from told(those(lambda parent, child: child.start_ns < parent.start_ns), "began before their parents")
    yield from told(
        those(lambda parent, child: child.end_ns > parent.end_ns),
        "outlived their parents; what is beyond a parent's end was not waited for",
    )
    yield from told([span for _, span in trace.walk() if span.end_ns == span.start_ns], "of no duration at all")


def _roots(run: Run, spans: Sequence[SpanRecord]) -> Iterator[str]:
    """Tell of roots side by side, and of what the trace holds beside its only workflow."""
    if not run.is_workflow:
        roots = [span for span in run.tops if span.parent_id is None]
        yield from told(roots if len(roots) > 1 else [], "are roots of one trace without a workflow; taken together")
        return
    # The request that a workflow serves is above it, and no part of the run that could have been lost.
    here = {span.span_id for span in spans} | spans_above(run.trace, run.tops)
    beside = [span for _, span in run.trace.walk() if span.span_id not in here]
    if len(outermost_workflows(run.trace)) <= len(run.segments):
        yield from told(beside, "of the trace are outside its workflow, and left out")
