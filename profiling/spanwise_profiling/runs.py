"""A run: one workflow's span with all below it, and the figures that are read off it.

A run is not a trace: a trace can hold several runs (a batch), or a web request around one. Where a trace holds just
one workflow, spans that lost their parent are counted to it. A trace without a workflow span is one run by its roots,
so that foreign and unfinished recordings can be looked at too. Workflows with the same `spanwise.run.id` are segments
of one run, in whichever traces they are. Seconds are scaled by `spanwise.time.scale`, recorded nanoseconds are not.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from spanwise import conventions
from spanwise_profiling import kinds
from spanwise_profiling.text import printable
from spanwise_profiling.trace import by_start, joined

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from spanwise.journal.reader import SpanRecord, State
    from spanwise_profiling.trace import Trace

NANOSECONDS: Final = 1_000_000_000
_LARGEST_SCALE: Final = 1e9
_SHOWN: Final = 40


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts over all that a run recorded."""

    spans: int
    """Without waits."""
    waits: int
    """Those that were recorded by themselves, and not only summed on the spans that waited."""
    input_tokens: int
    output_tokens: int
    llm_calls: int
    """Chat spans, failed and retried attempts included."""
    tool_calls: int
    agents: int
    """Distinct names of agents."""
    retries: int
    """Failed attempts that were tried again."""
    cache_lookups: int
    cache_hits: int
    """Lookups that did not make the value, those that waited for another's making included."""
    errors: int
    """Spans that ended in error, without those that were tried again."""

    @property
    def lines(self) -> int:
        """Spans and waits: what a tree has a line for."""
        return self.spans + self.waits

    @property
    def tokens(self) -> int:
        """Input and output tokens."""
        return self.input_tokens + self.output_tokens


@dataclass(frozen=True, slots=True, repr=False)
class Run:
    """One run; a notebook shows it as `spanwise show` prints it.

    Compared by identity of its spans, so keep it rather than make it twice.
    """

    run_id: str
    trace: Trace
    tops: tuple[SpanRecord, ...]
    """The workflows' spans by start (or the trace's first root), then what else has no parent within the run."""
    workflow: str
    """Name of the workflow; of the first root where there is none."""
    variant: str | None
    """The preset."""
    service: str | None
    scale: float
    """Seconds of the system for a recorded second."""
    start_ns: int
    duration_ns: int
    """Recorded, unscaled; up to the last recorded moment where the run has not ended."""
    grade: str | None
    score: float | None
    totals: Totals
    warnings: tuple[str, ...]

    def __repr__(self) -> str:
        return f"<Run {self.title} {self.seconds:.3g} s, {self.totals.lines} spans>"

    def _repr_html_(self) -> str:
        from spanwise_profiling.render.notebook import run_html  # noqa: PLC0415 - renderers know runs

        return run_html(self)

    @property
    def trace_id(self) -> str:
        """Id of the trace the run is in; of its first one where it has segments in several."""
        return self.trace.trace_id

    @property
    def trace_ids(self) -> tuple[str, ...]:
        """Ids of all traces that the run is in, the first segment's first."""
        return tuple(dict.fromkeys(span.trace_id for span in self.tops))

    @property
    def segments(self) -> tuple[SpanRecord, ...]:
        """The workflows' spans that the run was recorded in, by start; more than one where it was resumed."""
        return tuple(span for span in self.tops if kinds.kind_of(span) == "workflow") or self.tops[:1]

    @property
    def is_workflow(self) -> bool:
        """Whether the run has a workflow's span; without one it is a trace by its roots."""
        return kinds.kind_of(self.root) == "workflow"

    @property
    def root(self) -> SpanRecord:
        """The workflow's span, or the trace's first root."""
        return self.tops[0]

    @property
    def title(self) -> str:
        """`workflow/variant`, or the workflow alone."""
        return f"{self.workflow}/{self.variant}" if self.variant else self.workflow

    @property
    def error(self) -> str | None:
        """Type of the error that the run as a whole ended in."""
        return kinds.error_of(self.root)

    @property
    def state(self) -> State:
        """`open` while it goes on, `interrupted` where its process ended without an end of it; else `ended`."""
        tops = self.segments if self.is_workflow else self.tops
        unfinished: list[State] = [span.state for span in tops if span.is_open]
        return unfinished[0] if unfinished else "ended"

    @property
    def seconds(self) -> float:
        """Scaled duration in seconds."""
        return self.scaled(self.duration_ns)

    @property
    def tokens_per_second(self) -> float:
        """All tokens over the scaled duration; 0 for an empty run."""
        return self.totals.tokens / self.seconds if self.duration_ns else 0.0

    def scaled(self, nanoseconds: int) -> float:
        """Return recorded nanoseconds as scaled seconds."""
        return nanoseconds * self.scale / NANOSECONDS

    def walk(self) -> Iterator[tuple[int, SpanRecord]]:
        """Yield (depth, span) in tree order."""
        return self.trace.walk(*self.tops)


def runs_of(traces: Iterable[Trace]) -> list[Run]:
    """Return the runs in `traces`, newest last."""
    segments: dict[object, list[tuple[Trace, tuple[SpanRecord, ...]]]] = {}
    for trace in traces:
        for tops in _tops(trace):
            # A run without an id of its own is one workflow.
            key = kinds.text_of(tops[0], conventions.RUN_ID) or (trace.trace_id, tops[0].span_id)
            segments.setdefault(key, []).append((trace, tops))
    return sorted((run_over(*_resumed(parts)) for parts in segments.values()), key=lambda run: run.start_ns)


def _resumed(parts: list[tuple[Trace, tuple[SpanRecord, ...]]]) -> tuple[Trace, tuple[SpanRecord, ...]]:
    """Return the trace and the tops of a run that was recorded in `parts`."""
    if len(parts) == 1:
        return parts[0]
    trace, tops = joined(sorted(parts, key=lambda part: part[1][0].start_ns))
    return trace, in_order(tops)


def in_order(tops: Iterable[SpanRecord]) -> tuple[SpanRecord, ...]:
    """Return the tops of a run in their order: workflows first, then by start."""
    return tuple(sorted(tops, key=lambda span: (kinds.kind_of(span) != "workflow", by_start(span))))


def _tops(trace: Trace) -> list[tuple[SpanRecord, ...]]:
    workflows = outermost_workflows(trace)
    if not workflows:
        return [trace.roots]
    # All segments of one run, or the only workflow, which has a run id or not.
    if len(workflows) > 1 and len({kinds.text_of(s, conventions.RUN_ID) or s.span_id for s in workflows}) > 1:
        return [(span,) for span in workflows]
    holding = spans_above(trace, workflows)
    lost = [span for span in trace.roots if span.parent_id is not None and span.span_id not in holding]
    return [(*workflows, *lost)]


def outermost_workflows(trace: Trace) -> list[SpanRecord]:
    """Return the workflows' spans of `trace` that are not below another one, in tree order."""
    found: list[SpanRecord] = []
    stack = list(reversed(trace.roots))
    while stack:
        span = stack.pop()
        if kinds.kind_of(span) == "workflow":
            found.append(span)
        else:
            stack.extend(reversed(trace.children.get(span.span_id, ())))
    return found


def spans_above(trace: Trace, spans: Iterable[SpanRecord]) -> set[str]:
    """Return the ids of `spans` and of all spans above them."""
    parents = {child.span_id: parent for parent, children in trace.children.items() for child in children}
    ids: set[str] = set()
    for span in spans:
        here: str | None = span.span_id
        while here is not None and here not in ids:
            ids.add(here)
            here = parents.get(here)
    return ids


def run_over(trace: Trace, tops: tuple[SpanRecord, ...], warnings: Iterable[str] = ()) -> Run:
    """Return the run that `tops` (in their order) and all below them in `trace` are; `warnings` come after its own."""
    root = tops[0]
    is_workflow = kinds.kind_of(root) == "workflow"
    ending = [span for span in tops if kinds.kind_of(span) == "workflow"] if is_workflow else tops
    end_ns = max(max(span.start_ns, span.end_ns) for span in ending)
    scale, unscaled = _scale(root)
    return Run(
        run_id=kinds.text_of(root, conventions.RUN_ID) or trace.trace_id,
        trace=trace,
        tops=tops,
        workflow=kinds.subject_of(root) or root.name or "(no name)",
        variant=kinds.text_of(root, conventions.RUN_VARIANT),
        service=_service(root),
        scale=scale,
        start_ns=root.start_ns,
        duration_ns=max(0, end_ns - root.start_ns),
        grade=kinds.text_of(root, conventions.QUALITY_GRADE),
        score=kinds.number_of(root, conventions.QUALITY_SCORE),
        totals=_totals(root, [span for _, span in trace.walk(*tops)]),
        warnings=tuple(dict.fromkeys((*trace.warnings, *unscaled, *warnings))),
    )


def _service(root: SpanRecord) -> str | None:
    name = root.resource.get("service.name")
    return name if isinstance(name, str) else None


def _scale(root: SpanRecord) -> tuple[float, tuple[str, ...]]:
    value = root.resource.get(conventions.TIME_SCALE, 1.0)
    if isinstance(value, int | float) and 1 / _LARGEST_SCALE <= value <= _LARGEST_SCALE:
        return float(value), ()
    shown = printable(repr(value))[:_SHOWN]
    return 1.0, (f"{conventions.TIME_SCALE} is {shown}, no number from 1e-9 to 1e9; times are shown unscaled",)


def _totals(root: SpanRecord, spans: list[SpanRecord]) -> Totals:
    kind = Counter(kinds.kind_of(span) for span in spans)
    results = [kinds.text_of(span, conventions.CACHE_RESULT) for span in spans]
    retried = sum(map(kinds.is_retried, spans))
    return Totals(
        spans=len(spans) - kind["wait"],
        waits=kind["wait"],
        input_tokens=_tokens(root, spans, conventions.USAGE_INPUT_TOKENS),
        output_tokens=_tokens(root, spans, conventions.USAGE_OUTPUT_TOKENS),
        llm_calls=kind["chat"],
        tool_calls=kind["tool"],
        agents=len({kinds.subject_of(span) for span in spans if kinds.kind_of(span) == "agent"}),
        retries=retried,
        cache_lookups=len(results) - results.count(None),
        cache_hits=results.count("hit") + results.count("coalesced"),
        errors=sum(span.is_error and not kinds.is_retried(span) and not kinds.is_attempt(span) for span in spans),
    )


def _tokens(root: SpanRecord, spans: list[SpanRecord], attribute: str) -> int:
    """Return the workflow's own sum where it has one: it also counts what was not recorded span by span."""
    own = kinds.tokens_of(root, attribute) if kinds.kind_of(root) == "workflow" else None
    return int(own) if own is not None else tokens_of_calls(spans, attribute)


def tokens_of_calls(spans: Iterable[SpanRecord], attribute: str) -> int:
    """Return the sum of a usage attribute over the chat spans in `spans`; agents' own sums would count twice."""
    return int(sum(kinds.number_of(span, attribute) or 0 for span in spans if kinds.kind_of(span) == "chat"))
