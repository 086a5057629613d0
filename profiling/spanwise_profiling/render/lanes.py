"""Lanes: a run told by its agents, one lane for each name, in the order in which they first worked.

Shared by all timelines, so that they show the same. A step stands for itself only where no agent is above or below it:
an agent's own steps would say everything twice. A run without agents and steps is told by the spans below its root, or
below the first span further down that has more than one, which are the nodes of a graph.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from spanwise_profiling import kinds
from spanwise_profiling.agents import union_ns

if TYPE_CHECKING:
    from spanwise.journal.reader import SpanRecord
    from spanwise_profiling.runs import Run

CALLS: Final[frozenset[kinds.Kind]] = frozenset({"chat", "embeddings", "tool", "retrieval"})
"""Kinds of spans that work, and do not only enclose work."""


@dataclass(slots=True, eq=False)
class Lane:
    """Every time that one agent or step worked."""

    name: str
    """As recorded: not yet safe to print."""
    spans: list[SpanRecord] = field(default_factory=list["SpanRecord"])

    @property
    def nanoseconds(self) -> int:
        """Recorded time in which at least one of the spans was under way."""
        return union_ns(self.spans)


def lanes_of(run: Run) -> list[Lane]:
    """Return the lanes of `run`, by first start."""
    lanes: dict[str, Lane] = {}
    for span in _workers(run):
        name = kinds.subject_of(span) or span.name
        lanes.setdefault(name, Lane(name)).spans.append(span)
    return sorted(lanes.values(), key=lambda lane: lane.spans[0].start_ns)


def inner_of(run: Run, lane: Lane) -> list[SpanRecord]:
    """Return the waits, then the calls, below a lane's spans: what is drawn later covers what is drawn before."""
    below = [span for _, span in run.trace.walk(*lane.spans)]
    waits = [span for span in below if kinds.kind_of(span) == "wait"]
    return waits + [span for span in below if kinds.kind_of(span) in CALLS]


def _workers(run: Run) -> list[SpanRecord]:
    """Return the agents, and the steps that have no agent above or below; the outermost spans where there are none."""
    spans = [span for _, span in run.walk()]
    agents = [span for span in spans if kinds.kind_of(span) == "agent"]
    related = _related(run, agents)
    steps = [span for span in spans if kinds.kind_of(span) == "step" and span.span_id not in related]
    found = agents + steps or _outermost(run)
    return sorted(found, key=lambda span: (span.start_ns, span.span_id))


def _outermost(run: Run) -> list[SpanRecord]:
    """Return the run's tops if there are several; else what is below the first span that has several below it."""
    level = list(run.tops)
    while len(level) == 1:
        below = [span for span in run.trace.children.get(level[0].span_id, ()) if kinds.kind_of(span) != "wait"]
        if not below or kinds.kind_of(level[0]) in CALLS:
            break
        level = below
    return level


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
