"""Where a run's seconds went by agent.

An agent's seconds are the union of its invocations, so that parallel ones count once; agents that work at the same
time overlap, so shares do not add up to 100 %. A span belongs to the nearest agent above it: what a sub-agent uses is
the sub-agent's, and nothing is counted twice.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from spanwise import conventions
from spanwise_profiling import kinds, waits
from spanwise_profiling.runs import tokens_of_calls

if TYPE_CHECKING:
    from collections.abc import Iterable

    from spanwise.journal.reader import SpanRecord
    from spanwise_profiling.runs import Run


@dataclass(frozen=True, slots=True)
class AgentUsage:
    """What one agent did in one run; seconds are scaled."""

    name: str
    seconds: float
    """Time in which at least one invocation was under way."""
    share: float
    """Of the run's duration, 0 to 1."""
    invocations: int
    llm_calls: int
    tool_calls: int
    input_tokens: int
    output_tokens: int
    waiting_seconds: float
    """Time in which it was held up by at least one wait that somebody could have avoided (`waits`)."""

    @property
    def tokens(self) -> int:
        """Input and output tokens."""
        return self.input_tokens + self.output_tokens


@dataclass(slots=True)
class _Collected:
    invocations: list[SpanRecord] = field(default_factory=list["SpanRecord"])
    own: list[SpanRecord] = field(default_factory=list["SpanRecord"])
    waits: list[SpanRecord] = field(default_factory=list["SpanRecord"])


def agent_usage(run: Run) -> list[AgentUsage]:
    """Return the agents of `run`, the longest first."""
    usage = [_usage(run, name, collected) for name, collected in _collect(run).items()]
    return sorted(usage, key=lambda agent: (-agent.seconds, agent.name))


def union_ns(spans: Iterable[SpanRecord]) -> int:
    """Return the nanoseconds in which at least one of `spans` was under way."""
    total, reached = 0, 0
    for start, end in sorted((span.start_ns, span.end_ns) for span in spans):
        total += max(0, end - max(start, reached))
        reached = max(reached, end)
    return total


def _collect(run: Run) -> dict[str, _Collected]:
    agents: defaultdict[str, _Collected] = defaultdict(_Collected)
    avoidable = {span.span_id for span in waits.avoidable(run)}
    above: list[str | None] = []  # above[d]: the agent that a span at depth d belongs to
    for depth, span in run.walk():
        del above[depth:]
        owner = above[-1] if above else None
        if kinds.kind_of(span) == "agent":
            owner = kinds.subject_of(span) or span.name
            agents[owner].invocations.append(span)
        elif owner is not None:
            agents[owner].own.append(span)
            if span.span_id in avoidable:
                agents[owner].waits.append(span)
        above.append(owner)
    return agents


def _usage(run: Run, name: str, collected: _Collected) -> AgentUsage:
    nanoseconds = union_ns(collected.invocations)
    kind = [kinds.kind_of(span) for span in collected.own]
    return AgentUsage(
        name=name,
        seconds=run.scaled(nanoseconds),
        share=nanoseconds / run.duration_ns if run.duration_ns else 0.0,
        invocations=len(collected.invocations),
        llm_calls=kind.count("chat"),
        tool_calls=kind.count("tool"),
        input_tokens=_tokens(collected, conventions.USAGE_INPUT_TOKENS),
        output_tokens=_tokens(collected, conventions.USAGE_OUTPUT_TOKENS),
        waiting_seconds=run.scaled(union_ns(collected.waits)),
    )


def _tokens(collected: _Collected, attribute: str) -> int:
    """Return the tokens of the agent's calls; of its own spans where no call was recorded."""
    if any(kinds.kind_of(span) == "chat" for span in collected.own):
        return tokens_of_calls(collected.own, attribute)
    return int(sum(kinds.tokens_of(span, attribute) or 0 for span in collected.invocations))
