"""A run in few lines: one for each agent (or step outside any agent), with a bar for each time it worked.

Over an agent's bar lie its calls and its waits, so that a line tells working from waiting from neither.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from rich.text import Text

from spanwise_profiling import kinds
from spanwise_profiling.agents import union_ns
from spanwise_profiling.render.glyphs import UNICODE, Glyphs
from spanwise_profiling.render.numbers import seconds
from spanwise_profiling.render.timeline import NARROWEST, columns, row

if TYPE_CHECKING:
    from spanwise.journal.reader import SpanRecord
    from spanwise_profiling.runs import Run

MOST_LINES: Final = 18
_CALLS: Final[frozenset[kinds.Kind]] = frozenset({"chat", "embeddings", "tool", "retrieval"})


@dataclass(slots=True, eq=False)
class _Lane:
    name: str
    spans: list[SpanRecord] = field(default_factory=list["SpanRecord"])

    @property
    def nanoseconds(self) -> int:
        return union_ns(self.spans)


def compact_timeline(run: Run, width: int, *, glyphs: Glyphs = UNICODE, most_lines: int = MOST_LINES) -> Text:
    """Return a line an agent or step, by first start, under a heading with the time axis.

    A name that worked several times has one line with several bars; its seconds are the union of them. Beyond
    `most_lines` the longest stay and a last line says what was left out.
    """
    lanes = _lanes(run)
    kept = sorted(sorted(lanes, key=lambda lane: -lane.nanoseconds)[:most_lines], key=lanes.index)
    labels = [_label(lane, glyphs) for lane in kept]
    name_width, axis = columns(run, max(width, NARROWEST), [*labels, _heading(run, glyphs)])
    text = Text(no_wrap=True, overflow="ignore")
    text.append(glyphs.fit(_heading(run, glyphs), name_width), style="bold")
    text.append(f"  {axis.ruler()}\n", style="dim")
    for lane, label in zip(kept, labels, strict=True):
        text.append_text(
            row(
                glyphs.fit(label, name_width),
                lane.spans,
                axis,
                glyphs,
                inner=_inner(run, lane),
                total_ns=lane.nanoseconds,
            )
        )
    if len(kept) < len(lanes):
        longest = seconds(run.scaled(max(lane.nanoseconds for lane in lanes if lane not in kept)))
        text.append(
            f"{glyphs.ellipsis} {len(lanes) - len(kept)} more, {longest} at most; see: spanwise show\n", style="dim"
        )
    text.rstrip()
    return text


def legend(glyphs: Glyphs = UNICODE) -> str:
    """Return what the bars of a compact timeline mean, in one line."""
    return f"{glyphs.bar} calls (model, tool)  {glyphs.wait} waits  {glyphs.span} neither  {glyphs.error} error"


def _heading(run: Run, glyphs: Glyphs) -> str:
    return glyphs.clean(run.variant or run.workflow)


def _label(lane: _Lane, glyphs: Glyphs) -> str:
    sign = f"{glyphs.error} " if any(span.is_error for span in lane.spans) else ""
    times = f" x{len(lane.spans)}" if len(lane.spans) > 1 else ""
    return f"{sign}{glyphs.clean(lane.name)}{times}"


def _lanes(run: Run) -> list[_Lane]:
    lanes: dict[str, _Lane] = {}
    for span in _workers(run):
        name = kinds.subject_of(span) or span.name
        lanes.setdefault(name, _Lane(name)).spans.append(span)
    return sorted(lanes.values(), key=lambda lane: lane.spans[0].start_ns)


def _workers(run: Run) -> list[SpanRecord]:
    """Return the agents, and the steps that have no agent above or below; the root's children where there are none."""
    spans = [span for _, span in run.walk()]
    agents = [span for span in spans if kinds.kind_of(span) == "agent"]
    related = _related(run, agents)
    steps = [span for span in spans if kinds.kind_of(span) == "step" and span.span_id not in related]
    found = agents + steps or list(run.trace.children.get(run.root.span_id, ())) or [run.root]
    return sorted(found, key=lambda span: (span.start_ns, span.span_id))


def _related(run: Run, agents: list[SpanRecord]) -> set[str]:
    """Return the ids of everything below or above one of `agents`."""
    parents = {child.span_id: parent for parent, children in run.trace.children.items() for child in children}
    related = {span.span_id for _, span in run.trace.walk(*agents)} if agents else set[str]()
    for agent in agents:
        here = parents.get(agent.span_id)
        while here is not None and here not in related:
            related.add(here)
            here = parents.get(here)
    return related


def _inner(run: Run, lane: _Lane) -> list[SpanRecord]:
    """Return the waits, then the calls, below a lane's spans: what is drawn later covers what is drawn before."""
    below = [span for _, span in run.trace.walk(*lane.spans)]
    waits = [span for span in below if kinds.kind_of(span) == "wait"]
    return waits + [span for span in below if kinds.kind_of(span) in _CALLS]
