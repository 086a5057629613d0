"""Work that was done one thing after the other although nothing says that it had to be.

What shows that it need not: a prompt that holds nothing of the earlier one's text (recorded fingerprints); agents that
take turns on the same inputs; tools that one answer of the model asked for; sources that one step reads. Without such
evidence nothing is said: times alone cannot tell a dependency from a habit.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from spanwise import conventions as c
from spanwise_profiling import kinds
from spanwise_profiling.advice.saving import saving_of
from spanwise_profiling.advice.words import listed, together
from spanwise_profiling.profile import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from spanwise.journal.reader import SpanRecord
    from spanwise_profiling.advice.view import View
    from spanwise_profiling.profile import Confidence

ID: Final = "sequential-calls"
_CLOSE: Final = 0.05
"""Of the run: a branch that could have ended so much later is close to deciding."""
_ROUNDING: Final = 1_000
"""Many tools keep microseconds, and a span takes at least a nanosecond."""
_LONGEST: Final = 50
"""Steps of one group; each is compared with all before it."""
_BY_CONFIDENCE: Final[tuple[Confidence, ...]] = ("low", "medium", "high")


@dataclass(frozen=True, slots=True)
class _Group:
    """Spans of one parent, one after the other."""

    what: str
    """`agents`, `tools` or `sources`; of tools and sources, and whose."""
    names: tuple[str, ...]
    spans: tuple[SpanRecord, ...]
    confidence: Confidence


def find(view: View) -> Iterator[Finding]:
    """Yield a finding for each set of agents, and one for tools and for sources, that could overlap."""
    merged: defaultdict[tuple[str, tuple[str, ...]], list[_Group]] = defaultdict(list)
    for parent in ("", *view.spans):
        for group in _groups(view, parent):
            key = group.names if group.what == "agents" else ()
            merged[group.what, key].append(group)
    for (what, _), groups in merged.items():
        finding = _finding(view, what, groups)
        if view.matters(finding.saves_ns) or _is_habit(view, what, groups):
            yield finding
        elif _is_close(view, groups):
            yield replace(finding, why=f"{finding.why} Not what decided here, but close to it.")


def _is_habit(view: View, what: str, groups: Sequence[_Group]) -> bool:
    """Whether the tools of several answers ran in turn: worth a word even where a cache hides today what it costs."""
    together = sum(span.duration_ns for group in groups for span in group.spans)
    sure = [group for group in groups if group.confidence == "high"]
    return what == "tools" and len(sure) > 1 and view.matters(together)


def _is_close(view: View, groups: Sequence[_Group]) -> bool:
    """Whether a branch that would be shorter was so near to deciding that in the next run it may."""
    for group in groups:
        lengths = [span.duration_ns for span in group.spans]
        slack = min(view.profile.slack_ns.get(span.span_id, view.run.duration_ns) for span in group.spans)
        if view.matters(sum(lengths) - max(lengths)) and slack <= _CLOSE * view.run.duration_ns:
            return True
    return False


def _groups(view: View, parent: str) -> Iterator[_Group]:
    children = view.children(parent)
    if len(children) < 2:  # noqa: PLR2004 - one alone is no sequence
        return
    yield from _steps(view, children)
    yield from _tools(view, children)
    if parent and view.kinds[parent] != "chat":
        yield from _sources(view, parent, children)


def _steps(view: View, children: Sequence[SpanRecord]) -> Iterator[_Group]:
    """Yield groups of neighbours on the path that do not read one another, or only in turns."""
    steps = [child for child in children if view.path_ns[child.span_id] and view.has_below(child.span_id, "chat")]
    group: list[SpanRecord] = []
    confidence: Confidence = "high"
    for step in steps:
        verdict = _independent(view, group, step) if 0 < len(group) < _LONGEST else None
        if verdict is None:
            yield from _agents(view, group, confidence)
            group, confidence = [step], "high"
        else:
            group.append(step)
            confidence = _least((confidence, verdict))
    yield from _agents(view, group, confidence)


def _agents(view: View, group: Sequence[SpanRecord], confidence: Confidence) -> Iterator[_Group]:
    if len(group) > 1:
        yield _Group("agents", tuple(view.label(span) for span in group), tuple(group), confidence)


def _independent(view: View, group: Sequence[SpanRecord], later: SpanRecord) -> Confidence | None:
    if group[-1].end_ns > later.start_ns + _ROUNDING or not _could_begin(view, group, later):
        return None
    verdicts: list[Confidence | None] = [_unread(view, earlier, later) for earlier in group]
    known: list[Confidence] = [verdict for verdict in verdicts if verdict is not None]
    if len(known) == len(group):
        return _least(known)
    return "low" if _take_turns(view, group, later) else None


def _could_begin(view: View, group: Sequence[SpanRecord], later: SpanRecord) -> bool:
    """Whether all that `later` reads of others was there when the first of the group began."""
    writers = {writer for call in view.below(later.span_id, "chat") for writer in view.reads.get(call.span_id, ())}
    return all(
        view.spans[writer].end_ns <= group[0].start_ns
        or any(view.is_below(writer, one.span_id) for one in (*group, later))
        for writer in writers
    )


def _least(confidences: Iterable[Confidence]) -> Confidence:
    known = set(confidences)
    return next(one for one in _BY_CONFIDENCE if one in known)


def _unread(view: View, earlier: SpanRecord, later: SpanRecord) -> Confidence | None:
    """Return how sure it is that nothing of `earlier` is in the prompts of `later`; none where some is, or may be."""
    calls = [call.span_id for call in view.below(later.span_id, "chat")]
    if not _wrote(view, earlier) or any(call not in view.reads for call in calls):
        return None
    if any(view.is_below(writer, earlier.span_id) for call in calls for writer in view.reads[call]):
        return None
    handed_on = any(
        not view.is_below(reader, earlier.span_id)
        for writer in _writers(view, earlier)
        for reader in view.readers.get(writer.span_id, ())
    )
    return "high" if handed_on else "medium"


def _writers(view: View, span: SpanRecord) -> list[SpanRecord]:
    return [*view.below(span.span_id, "chat"), *view.below(span.span_id, "tool")]


def _wrote(view: View, span: SpanRecord) -> bool:
    return any(kinds.number_of(one, c.RESPONSE_NEW_CHARACTERS) for one in _writers(view, span))


def _take_turns(view: View, group: Sequence[SpanRecord], later: SpanRecord) -> bool:
    """Whether `later` plays the same part on the same inputs as the first, and only hears those before besides."""
    role = kinds.text_of(later, c.STEP_ROLE)
    members = [*group, later]
    names = {view.label(span) for span in members}
    if role is None or len(names) < len(members) or any(kinds.text_of(s, c.STEP_ROLE) != role for s in group):
        return False
    first, last = (_inputs(view, span, members) for span in (group[0], later))
    return first is not None and bool(first) and first == last


def _inputs(view: View, span: SpanRecord, without: Sequence[SpanRecord]) -> set[str] | None:
    """Return the spans that `span` read, but for those below `without`; none where that is not known."""
    calls = [call.span_id for call in view.below(span.span_id, "chat")]
    if any(call not in view.reads for call in calls):
        return None
    writers = {writer for call in calls for writer in view.reads[call]}
    return {writer for writer in writers if not any(view.is_below(writer, one.span_id) for one in without)}


def _tools(view: View, children: Sequence[SpanRecord]) -> Iterator[_Group]:
    """Yield tools of one parent that followed one another without a model call in between."""
    asked = False
    for group, broken_by in _runs_of(view, children, ("tool",), ("chat",)):
        if len(group) > 1:
            by_model = asked and all(kinds.text_of(tool, c.TOOL_CALL_ID) for tool in group)
            confidence: Confidence = "high" if by_model else "medium" if asked else "low"
            yield _Group("tools", tuple(view.label(tool) for tool in group), tuple(group), confidence)
        asked = asked or broken_by


def _sources(view: View, parent: str, children: Sequence[SpanRecord]) -> Iterator[_Group]:
    """Yield reads of data sources that followed one another below one span, each asking for something else."""
    for group, _ in _runs_of(view, children, ("retrieval",), ("chat", "tool", "agent")):
        asked = {kinds.text_of(read, c.REQUEST_HASH) or read.span_id for read in group}
        if len(group) > 1 and len(asked) == len(group):
            names = tuple(view.label(read) for read in group)
            confidence: Confidence = "medium" if len(set(names)) == 1 else "low"
            yield _Group(f"sources of {_plural(view, parent)}", names, tuple(group), confidence)


def _plural(view: View, parent: str) -> str:
    return "tools" if view.kinds[parent] == "tool" else "agents" if view.agents[parent] else "steps"


def _runs_of(
    view: View, children: Sequence[SpanRecord], wanted: Sequence[str], breaking: Sequence[str]
) -> Iterator[tuple[list[SpanRecord], bool]]:
    """Yield stretches of children of the wanted kinds, and whether something ended them.

    A stretch in which two overlap is empty: who does several things at once, and waits for some, has a reason.
    """
    group: list[SpanRecord] = []
    for child in children:
        kind = view.kinds[child.span_id]
        if kind in breaking:
            yield _in_turn(group), True
            group = []
        elif kind in wanted:
            group.append(child)
    yield _in_turn(group), False


def _in_turn(group: list[SpanRecord]) -> list[SpanRecord]:
    return group if all(one.end_ns <= other.start_ns + _ROUNDING for one, other in pairwise(group)) else []


def _finding(view: View, what: str, groups: Sequence[_Group]) -> Finding:
    spans = [span for group in groups for span in group.spans]
    saving = saving_of(view, together=[group.spans for group in groups])
    bound = sum(view.path_ns[span.span_id] for span in spans)
    confidence = _least(group.confidence for group in groups)
    title, why = _words(view, what, groups, spans)
    finding = Finding(
        id=ID,
        title=title,
        why=why,
        fix="asyncio.gather, or parallel edges in the graph",
        evidence=view.evidence(spans),
        saves_ns=min(saving, bound),
        confidence=confidence,
        here="give the steps only the inputs that they use: a Flow starts each the moment its own inputs are ready",
        elsewhere="await them together: asyncio.gather, a TaskGroup, parallel branches of the graph",
    )
    if what == "tools":
        return replace(
            finding,
            here="await toolbox.batch(answer.tool_calls) runs them as one batch",
            fix="asyncio.gather over the answer's tool calls",
        )
    if what != "agents":
        return replace(finding, here="fetch them in a TaskGroup; confirm a tool's result with batch(..., then=check)")
    return finding


def _words(view: View, what: str, groups: Sequence[_Group], spans: Sequence[SpanRecord]) -> tuple[str, str]:
    """Return what to do, and what shows it."""
    if what == "agents":
        return _words_of_agents(groups[0])
    took = view.seconds(sum(view.path_ns[span.span_id] for span in spans))
    names = listed(dict.fromkeys(name for group in groups for name in group.names))
    if what == "tools":
        asked = "" if any(group.confidence == "low" for group in groups) else " that one answer asked for"
        return f"Run the tools{asked} together", f"They ran one after another ({took} on the path): {names}."
    return f"Read the {what} together", f"They were read one after another ({took} on the path): {names}."


def _words_of_agents(group: _Group) -> tuple[str, str]:
    who = together(group.names)
    if group.confidence == "low":
        return f"Let {who} speak at once", "They take turns on the same inputs; must they hear each other?"
    return f"Run {who} together", "No prompt of theirs holds a line, or 24 letters in a row, of another's answer."
