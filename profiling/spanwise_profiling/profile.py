"""What profiling one run yields, as plain data: analyses fill it, renderers show it, and neither knows the other.

Times are recorded, unscaled integer nanoseconds since 1970 (or lengths of such); `Run.scaled` makes seconds of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spanwise.journal.reader import SpanRecord
    from spanwise_profiling.runs import Run
    from spanwise_profiling.usage import Usage

Bucket: TypeAlias = Literal[
    "model_prefill", "model_decode", "model", "tool", "retrieval", "cache_lookup", "wait_rate_limit",
    "wait_concurrency", "wait_retry", "wait_circuit", "connect", "loop_blocked", "gc", "queue", "cpu", "coordination",
    "human", "unknown",
]  # fmt: skip
BUCKETS: Final[tuple[Bucket, ...]] = get_args(Bucket)
Edge: TypeAlias = Literal["observed", "inferred"]
Certainty: TypeAlias = Literal["observed", "only", "inferred"]
Confidence: TypeAlias = Literal["high", "medium", "low"]


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of the critical path: what the answer waited for then. Segments follow one another without gaps."""

    span: SpanRecord
    """Whose own time it is; of a wait, the wait's span."""
    agent: str | None
    """The nearest agent above."""
    start_ns: int
    end_ns: int
    bucket: Bucket
    edge: Edge
    """How it is known that the path goes through here: a recorded wait, or the order of times."""
    overlap: bool = False
    """Siblings overlapped here, so that times alone leave open which one was waited for."""
    doubt_ns: int = 0
    """For how much of it something else was going as well, which could have been what the run waited for."""

    @property
    def certainty(self) -> Certainty:
        """How sure it is that the path goes through here.

        `observed`: a recorded wait says so. `only`: nothing else was going. `inferred`: something else was going as
        well, and the rule chose.
        """
        if self.edge == "observed":
            return "observed"
        return "inferred" if self.doubt_ns else "only"

    @property
    def duration_ns(self) -> int:
        """Its length."""
        return self.end_ns - self.start_ns


@dataclass(frozen=True, slots=True)
class Share:
    """What one agent, or one role of steps, has of a run."""

    name: str
    on_path_ns: int
    """On the critical path."""
    total_ns: int
    """Union of its spans."""
    budget_ns: Mapping[Bucket, int]
    """Of what is on the path; adds up to `on_path_ns`."""
    calls: int
    """Model calls, failed and retried ones included."""
    input_tokens: int
    output_tokens: int
    writes: int = 0
    """Batches of writes to files."""
    files: int = 0
    """Files in these batches."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """A span that a finding rests on."""

    span_id: str
    on_path_ns: int
    """What is meant of the span, as far as it is on the path: of a call that opened a connection, the opening."""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to change, found by a rule and not by a model."""

    id: str
    """Its rule, in kebab case; docs/findings/<id>.md explains it."""
    title: str
    """What to do, as an order without a full stop; names agents, tools or steps."""
    evidence: tuple[Evidence, ...]
    saves_ns: int
    """What it could bring on the critical path; an estimate, never more than what is on the path."""
    confidence: Confidence
    here: str
    """How it is done with spanwise's own pipeline."""
    elsewhere: str
    """How it is done in any other program."""
    why: str = ""
    """What the recording shows, as a sentence."""
    fix: str = ""
    """How it is done, in a few words."""


@dataclass(frozen=True, slots=True)
class Blind:
    """Rules that could not look for anything, because the recording lacks what they read."""

    rules: tuple[str, ...]
    lacks: str
    """What is missing, as a plural: `prompt fingerprints`."""
    remedy: str
    """The setting that records it."""


@dataclass(frozen=True, slots=True, repr=False)
class Profile:
    """All that is known of where one run's wall clock went; a notebook shows it as `spanwise profile` prints it."""

    run: Run
    path: tuple[Segment, ...]
    """From the run's start to its end; the lengths add up to `run.duration_ns` exactly."""
    second_path: tuple[Segment, ...]
    """The longest path that leaves the first one; empty where there is none."""
    budget_ns: Mapping[Bucket, int]
    """Every bucket; adds up to `run.duration_ns` exactly."""
    agents: tuple[Share, ...]
    """By time on the path; what no agent did is under the empty name."""
    roles: tuple[Share, ...]
    """The same by `spanwise.step.role`."""
    slack_ns: Mapping[str, int]
    """Span id to how much later it could have ended without the run ending later; 0 on the path."""
    work_ns: int
    """Sum of all spans' own time: what one worker would have taken."""
    blockers: Mapping[str, int]
    """Span id to nanoseconds of the path in which it kept the event loop from others."""
    findings: tuple[Finding, ...]
    warnings: tuple[str, ...]
    usage: Usage | None = None
    """Tokens and money, where somebody asked for them."""
    rules: int = 0
    """How many rules looked for findings, those that were blind included; 0 where none was asked."""
    blind: tuple[Blind, ...] = ()

    def __repr__(self) -> str:
        return f"<Profile {self.run.title} {self.run.seconds:.3g} s, {len(self.findings)} findings>"

    def _repr_html_(self) -> str:
        from spanwise_profiling.render.notebook import profile_html  # noqa: PLC0415 - renderers know profiles

        return profile_html(self)

    @property
    def doubt_ns(self) -> int:
        """How much of the path something else could have been waited for, as far as no recorded wait says."""
        return sum(segment.doubt_ns for segment in self.path if segment.edge == "inferred")

    @property
    def parallelism(self) -> float:
        """Work over duration: the speed-up over doing one thing after the other; 0 for an empty run."""
        return self.work_ns / self.run.duration_ns if self.run.duration_ns else 0.0

    @property
    def agents_on_path(self) -> tuple[str, ...]:
        """The agents along the critical path, one that follows itself once; of a run without agents, its buckets."""
        has_agents = any(share.name for share in self.agents)
        names = [segment.agent or "" if has_agents else segment.bucket for segment in self.path]
        return tuple(name for name, _ in groupby(name for name in names if name))
