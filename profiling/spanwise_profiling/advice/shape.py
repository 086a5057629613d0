"""Work that is parallel, and waits all the same: for a barrier between levels, or for one that takes far longer."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Final

from spanwise import conventions as c
from spanwise_profiling import kinds
from spanwise_profiling.advice.saving import saving_of
from spanwise_profiling.advice.words import listed, together
from spanwise_profiling.profile import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from spanwise.journal.reader import SpanRecord
    from spanwise_profiling.advice.view import View

_TWO: Final = 2
_MANY: Final = 4
"""So many alike at once are needed to say what is usual."""
_FAR: Final = 2.0
_SHARE: Final = 0.005
_WRITES_ALIKE: Final = 1.5


def barriers(view: View) -> Iterator[Finding]:
    """Yield a finding for each barrier that held steps back whose own inputs were there."""
    for parent in ("", *view.spans):
        steps = [child for child in view.children(parent) if view.has_below(child.span_id, "chat")]
        for before, after in _levels(steps):
            needs = {step.span_id: _needs(view, before, step) for step in after}
            if any(needed is None for needed in needs.values()):
                continue
            last = max(before, key=lambda span: span.end_ns).span_id
            early = {step: needed for step, needed in needs.items() if needed and last not in needed}
            saving = min(saving_of(view, after=early), _idle(view, before, early))
            if early and view.matters(saving, _SHARE):
                yield _barrier(view, before, [view.spans[step] for step in early], saving)


def _barrier(view: View, before: Sequence[SpanRecord], early: Sequence[SpanRecord], saving: int) -> Finding:
    last = max(before, key=lambda span: span.end_ns)
    return Finding(
        id="idle-barrier",
        title=f"Start {together(map(view.label, early))} without waiting for {view.label(last)}",
        why="No prompt of theirs holds a line, or 24 letters in a row, of its answer: "
        f"{listed(dict.fromkeys(map(view.label, early)))}.",
        fix="chain each step to what it reads; do not gather the whole level",
        evidence=view.evidence([last], "held the others back") + view.evidence(early, "could have begun earlier"),
        saves_ns=saving,
        confidence="medium",
        here="give each step its own inputs: a Flow has no levels and starts it when those are ready",
        elsewhere="chain each follower to what it needs in place of gathering the whole level first",
    )


def _levels(steps: Sequence[SpanRecord]) -> Iterator[tuple[list[SpanRecord], list[SpanRecord]]]:
    """Yield neighbouring sets of overlapping steps where all of the first ended before any of the second began."""
    levels: list[list[SpanRecord]] = []
    reached = 0
    for step in steps:
        if levels and step.start_ns < reached:
            levels[-1].append(step)
        else:
            levels.append([step])
        reached = max(reached, step.end_ns)
    for before, after in pairwise(levels):
        if len(before) >= _TWO and len(after) >= _TWO:
            yield before, after


def _needs(view: View, before: Sequence[SpanRecord], step: SpanRecord) -> tuple[str, ...] | None:
    """Return which of `before` the step's prompts hold text of; none where that is not known."""
    calls = [call.span_id for call in view.below(step.span_id, "chat")]
    if any(call not in view.reads for call in calls):
        return None
    writers = {writer for call in calls for writer in view.reads[call]}
    return tuple(one.span_id for one in before if any(view.is_below(writer, one.span_id) for writer in writers))


def _idle(view: View, before: Sequence[SpanRecord], early: Mapping[str, Sequence[str]]) -> int:
    """Return the longest that any of `early` waited for others than its own."""
    end = max(span.end_ns for span in before)
    own = [max(view.spans[one].end_ns for one in needed) for needed in early.values()]
    return max((end - ready for ready in own), default=0)


def stragglers(view: View) -> Iterator[Finding]:
    """Yield a finding for each call on the path that took far longer than those like it at the same time."""
    for group in _alike(view):
        if len(group) < _MANY:
            continue
        slowest = max(group, key=lambda span: span.duration_ns)
        others = [span for span in group if span is not slowest]
        usual = median(span.duration_ns for span in others)
        if slowest.duration_ns < _FAR * usual or _wrote_more(slowest, others):
            continue
        # A second attempt begins once the others have answered, and takes as long as they did.
        hedged = round(max(_FAR * usual, *(span.duration_ns for span in others)))
        cut = max(0, slowest.duration_ns - hedged)
        saving = min(saving_of(view, cuts={slowest.span_id: cut}), view.path_ns[slowest.span_id])
        if view.matters(saving, _SHARE):
            yield Finding(
                id="straggler",
                title=f"Ask a second time when {view.label(slowest)} is slow",
                why=f"One of {len(group)} calls alike took {view.seconds(slowest.duration_ns)}, "
                f"the others about {view.seconds(round(usual))}.",
                fix="a second request after the usual time, the slower one cancelled; or a deadline",
                evidence=view.evidence([slowest], "straggler") + view.evidence(others, "alike, at the same time"),
                saves_ns=saving,
                confidence="medium",
                here="start the call a second time once the usual time has passed, and take what comes first",
                elsewhere="hedge: a second request after the 95th percentile, the slower one cancelled; or a deadline",
            )


def _alike(view: View) -> Iterator[list[SpanRecord]]:
    """Yield spans that are alike (kind, name, agent and step) and overlap with the longest of them."""
    alike: defaultdict[tuple[str, ...], list[SpanRecord]] = defaultdict(list)
    for span in view.of_kind("chat", "embeddings", "tool", "retrieval", "agent"):
        if span.is_error:
            continue
        kind, agent = view.kinds[span.span_id], view.agents[span.span_id]
        parent = view.parents[span.span_id]
        step = kinds.text_of(view.spans[parent], c.STEP_NAME) or "" if parent else ""
        alike[kind, view.label(span), "" if kind == "agent" else agent, "" if kind == "agent" else step].append(span)
    for spans in alike.values():
        longest = max(spans, key=lambda span: span.duration_ns)
        yield [span for span in spans if span.start_ns < longest.end_ns and longest.start_ns < span.end_ns]


def _wrote_more(slowest: SpanRecord, others: Sequence[SpanRecord]) -> bool:
    tokens = kinds.number_of(slowest, c.USAGE_OUTPUT_TOKENS)
    usual = median(kinds.number_of(span, c.USAGE_OUTPUT_TOKENS) or 0 for span in others)
    return tokens is not None and tokens > _WRITES_ALIKE * usual
