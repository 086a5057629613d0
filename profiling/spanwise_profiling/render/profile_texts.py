"""What every report of a profile says in the same words: when it was, how the path is known, what findings save.

Times of day are UTC, so that a report made again elsewhere from the same trace is the same, byte for byte.
"""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Final

from spanwise_profiling import kinds
from spanwise_profiling.render.budget import share_of
from spanwise_profiling.render.headline import SURE, path_certainty, rules_that_ran
from spanwise_profiling.render.numbers import moment, seconds
from spanwise_profiling.render.usage_texts import money

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from spanwise.journal.reader import SpanRecord
    from spanwise_profiling.profile import Evidence, Finding, Profile, Segment

NOBODY: Final = "(none)"
"""Stands for the empty name of a share: what no agent, or no step with a role, did."""
MOST_EVIDENCE: Final = 3
"""Of a finding, in a report for people."""
MOST_FINDINGS: Final = 5
"""With evidence and remedy; of the others a report for people has the title and the saving."""
MOST_BLOCKERS: Final = 5


def about(profile: Profile) -> list[str]:
    """Return which run it was and when it started; not yet safe to print."""
    run = profile.run
    return [f"run {run.run_id}", f"{moment(run.start_ns, UTC)} UTC", *([run.service] if run.service else [])]


def page_of(finding: Finding) -> str:
    """Return where a finding is explained."""
    return f"docs/findings/{finding.id}.md"


def facts(profile: Profile) -> Iterator[str]:
    """Yield sentences about the path as a whole; what they name is not yet safe to print."""
    run = profile.run
    if not profile.path:
        return
    yield path_certainty(profile)
    yield from rules_that_ran(profile)
    work = seconds(run.scaled(profile.work_ns))
    yield f"Work of {work} in {seconds(run.seconds)}: {profile.parallelism:.2f} at once."
    yield from _second(profile)
    if profile.usage is not None:
        yield from money(profile.usage)
    for span, length in _blockers(profile):
        yield f"Event loop blocked for {seconds(run.scaled(length))} of it by {kinds.label_of(span)}."


def _second(profile: Profile) -> Iterator[str]:
    if not profile.second_path:
        return
    run = profile.run
    length = sum(segment.duration_ns for segment in profile.second_path)
    longest = max(profile.second_path, key=lambda segment: segment.duration_ns)
    begin = seconds(max(0.0, run.scaled(profile.second_path[0].start_ns - run.start_ns)))
    yield (
        f"Longest way beside it: {seconds(run.scaled(length))} from {begin} on, most of it in {where(longest)}; "
        "it decides once the path is shorter there."
    )


def _blockers(profile: Profile) -> list[tuple[SpanRecord, int]]:
    worst = sorted(profile.blockers.items(), key=lambda item: (-item[1], item[0]))[:MOST_BLOCKERS]
    spans = {span.span_id: span for _, span in profile.run.walk()} if worst else {}
    return [(spans[span_id], length) for span_id, length in worst if span_id in spans and length]


def where(segment: Segment) -> str:
    """Return whose time a segment is: `chat sim-1 of bull`; not yet safe to print."""
    label = kinds.label_of(segment.span)
    return f"{label} of {segment.agent}" if segment.agent and segment.agent not in label else label


def evidence_of(profile: Profile, finding: Finding) -> list[tuple[Evidence, str]]:
    """Return a finding's evidence, each with its span's label (the id where the run has no such span)."""
    wanted = {item.span_id for item in finding.evidence}
    labels = {span.span_id: kinds.label_of(span) for _, span in profile.run.walk() if span.span_id in wanted}
    return [(item, labels.get(item.span_id, item.span_id)) for item in finding.evidence]


def saving(profile: Profile, finding: Finding) -> str:
    """Return what a finding could bring, and how sure that is: `saves 38.00 s (32 %), sure`."""
    saved = f"{seconds(profile.run.scaled(finding.saves_ns))} ({share_of(finding.saves_ns, profile)})"
    return f"saves {saved}, {SURE[finding.confidence]}"


def mostly(budget: Sequence[tuple[str, int]]) -> str:
    """Return the fullest of some buckets, or nothing."""
    return budget[0][0] if budget else ""
