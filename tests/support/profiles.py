"""Builders of profiles by hand: what an analysis would find, without one, for tests of what is shown."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from support.traces import BEGIN_NS, agent, cache_lookup, chat, identifier, run_of, step, tool, wait, workflow

from spanwise import conventions as c
from spanwise.journal.reader import LinkRecord
from spanwise_profiling import kinds
from spanwise_profiling.profile import BUCKETS, Bucket, Edge, Evidence, Finding, Profile, Segment, Share

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from spanwise.journal.reader import SpanRecord
    from spanwise_profiling.runs import Run

Stretch = tuple[int, float, float, Bucket, Edge]
"""Number of a span, start and end in recorded seconds, bucket and edge."""


def desk_spans(*, run_id: str = "7d1f" * 8, trace: int = 1, scale: float | None = 20.0) -> list[SpanRecord]:
    """Return the spans of a run of 6 recorded seconds: two analysts in parallel, then one agent twice."""
    about = {c.RUN_ID: run_id, c.RUN_VARIANT: "optimized", c.QUALITY_GRADE: "A+", c.QUALITY_SCORE: 100}
    more: dict[str, Any] = {"trace": trace, "scale": scale}
    waited = wait(6, 0.25, 0.6, kind="rate_limit", parent=3, **more)
    released = LinkRecord(identifier(trace, 32), identifier(9), {c.LINK_REASON: "admitted_by"})
    return [
        workflow(1, 0, 6, attributes=about, **more),
        step(2, 0, 0.2, name="dispatch", parent=1, **more),
        agent(3, 0.2, 2.1, name="market_analyst", parent=1, **more),
        tool(4, 0.2, 0.21, parent=3, **more),
        cache_lookup(5, 0.2, 0.201, parent=4, **more),
        replace(waited, links=(released,)),
        chat(7, 0.6, 2.1, parent=3, **more),
        agent(8, 0.2, 1.5, name="news_analyst", parent=1, **more),
        chat(9, 0.2, 0.7, parent=8, error="429", message="slow\ndown", attributes={c.RETRY_SCHEDULED: True},
             tokens=(0, 0), **more),
        chat(10, 0.8, 1.5, parent=8, **more),
        agent(11, 2.1, 4, name="bull", parent=1, **more),
        chat(12, 2.1, 4, parent=11, **more),
        agent(13, 4, 6, name="bull", parent=1, error="ValueError", **more),
        chat(14, 4, 6, parent=13, **more),
    ]  # fmt: skip


DESK_PATH: tuple[Stretch, ...] = (
    (2, 0, 0.2, "coordination", "inferred"),
    (9, 0.2, 0.6, "model", "observed"),
    (7, 0.6, 0.9, "model_prefill", "observed"),
    (7, 0.9, 2.1, "model_decode", "observed"),
    (12, 2.1, 4, "model", "inferred"),
    (14, 4, 6, "model", "inferred"),
)
DESK_SECOND: tuple[Stretch, ...] = (
    (9, 0.2, 0.7, "model", "inferred"),
    (8, 0.7, 0.8, "coordination", "inferred"),
    (10, 0.8, 1.5, "model", "inferred"),
)
SEQUENTIAL = Finding(
    id="sequential-calls",
    title="Let bull work once on both inputs",
    why="It worked twice, one after the other, though neither needs the other.",
    fix="asyncio.gather(first(), second())",
    evidence=(
        Evidence(identifier(13), 2_000_000_000, "second"),
        Evidence(identifier(11), 1_900_000_000, "first"),
    ),
    saves_ns=1_900_000_000,
    confidence="high",
    here="give both steps the same inputs, so that the flow starts them together",
    elsewhere="await them together: asyncio.gather(first(), second())",
)


def desk_profile(findings: Sequence[Finding] = (SEQUENTIAL,), **spans: Any) -> Profile:
    """Return the profile of `desk_spans(**spans)`."""
    run = run_of(*desk_spans(**spans))
    return profile(run, DESK_PATH, second=DESK_SECOND, findings=findings)


def profile(
    run: Run, path: Sequence[Stretch], *, second: Sequence[Stretch] = (), findings: Sequence[Finding] = (), **more: Any
) -> Profile:
    """Return the profile of `run` whose critical path is `path`; shares and budget follow from it."""
    owners = _owners(run)
    segments = _segments(run, path, owners)
    return Profile(
        run=run,
        path=segments,
        second_path=_segments(run, second, owners),
        budget_ns=_budget(segments),
        agents=_shares(run, segments, owners),
        roles=(),
        slack_ns={span.span_id: _slack(run, span, segments) for _, span in run.walk()},
        work_ns=sum(span.duration_ns for _, span in run.walk() if not run.trace.children.get(span.span_id)),
        blockers={},
        findings=tuple(findings),
        warnings=(),
        **more,
    )


def _segments(run: Run, path: Sequence[Stretch], owners: dict[str, str]) -> tuple[Segment, ...]:
    spans = {span.span_id: span for _, span in run.walk()}
    return tuple(
        Segment(
            span=spans[identifier(number)],
            agent=owners.get(identifier(number)),
            start_ns=BEGIN_NS + round(start * 1e9),
            end_ns=BEGIN_NS + round(end * 1e9),
            bucket=bucket,
            edge=edge,
        )
        for number, start, end, bucket, edge in path
    )


def _owners(run: Run) -> dict[str, str]:
    owners: dict[str, str] = {}
    for _, span in run.walk():
        if kinds.kind_of(span) == "agent":
            owners[span.span_id] = kinds.subject_of(span) or span.name
        elif span.parent_id in owners:
            owners[span.span_id] = owners[span.parent_id]
    return owners


def _budget(segments: Iterable[Segment]) -> dict[Bucket, int]:
    budget: dict[Bucket, int] = dict.fromkeys(BUCKETS, 0)
    for segment in segments:
        budget[segment.bucket] += segment.duration_ns
    return budget


def _shares(run: Run, segments: Sequence[Segment], owners: dict[str, str]) -> tuple[Share, ...]:
    shares: list[Share] = []
    for name in sorted({owners.get(span.span_id, "") for _, span in run.walk()}):
        own = [span for _, span in run.walk() if owners.get(span.span_id, "") == name]
        on_path = [segment for segment in segments if (segment.agent or "") == name]
        calls = [span for span in own if kinds.kind_of(span) == "chat"]
        tops = [span for span in own if span.parent_id not in owners] if name else [run.root]
        shares.append(
            Share(
                name=name,
                on_path_ns=sum(segment.duration_ns for segment in on_path),
                total_ns=sum(span.duration_ns for span in tops),
                budget_ns={bucket: length for bucket, length in _budget(on_path).items() if length},
                calls=len(calls),
                input_tokens=sum(int(kinds.number_of(call, c.USAGE_INPUT_TOKENS) or 0) for call in calls),
                output_tokens=sum(int(kinds.number_of(call, c.USAGE_OUTPUT_TOKENS) or 0) for call in calls),
            )
        )
    return tuple(sorted(shares, key=lambda share: (-share.on_path_ns, share.name)))


def _slack(run: Run, span: SpanRecord, segments: Sequence[Segment]) -> int:
    on_path = any(segment.span.span_id == span.span_id for segment in segments)
    return 0 if on_path else max(0, run.start_ns + run.duration_ns - span.end_ns)
