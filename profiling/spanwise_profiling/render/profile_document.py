"""Profiles as the JSON document of `profile --json`: scaled seconds, and beside them the recorded nanoseconds.

The same profile gives the same text: nothing in it depends on when, where or in which order the trace was read.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from spanwise_profiling import kinds
from spanwise_profiling.advice.remedies import REMEDIES
from spanwise_profiling.render.documents import run_document
from spanwise_profiling.render.population import population_document
from spanwise_profiling.render.usage_texts import usage_document

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from spanwise_profiling.populations import Population
    from spanwise_profiling.profile import Bucket, Finding, Profile, Segment, Share
    from spanwise_profiling.runs import Run

PROFILE_SCHEMA: Final = "spanwise.profile/1"
EXPLAIN_SCHEMA: Final = "spanwise.explain/1"


def profile_document(
    profiles: Sequence[Profile], warnings: Iterable[str] = (), population: Population | None = None
) -> dict[str, Any]:
    """Return the document of `spanwise profile --json`, in the order given; `warnings` are of the sources."""
    return {
        "schema": PROFILE_SCHEMA,
        "runs": [_profile(profile) for profile in profiles],
        "population": None if population is None else population_document(population, profiles),
        "warnings": list(warnings),
    }


def finding_document(profile: Profile, number: int) -> dict[str, Any]:
    """Return the document of `spanwise explain --json` for a finding, by its number from 1."""
    run, finding = profile.run, profile.findings[number - 1]
    remedy = REMEDIES.get(finding.id)
    return {
        "schema": EXPLAIN_SCHEMA,
        "run_id": run.run_id,
        "number": number,
        "finding": _finding(run, finding),
        "before_s": run.seconds,
        "after_s": run.scaled(run.duration_ns - finding.saves_ns),
        "how": None if remedy is None else asdict(remedy),
    }


def _profile(profile: Profile) -> dict[str, Any]:
    run = profile.run
    figures = run_document(run)
    del figures["agents"], figures["trace_id"]
    return {
        **figures,
        "trace_ids": list(run.trace_ids),
        "critical_path": [_segment(run, segment) for segment in profile.path],
        "second_path": [_segment(run, segment) for segment in profile.second_path],
        "budget": _budget(run, profile.budget_ns),
        "budget_ns": dict(profile.budget_ns),
        "work_s": run.scaled(profile.work_ns),
        "parallelism": profile.parallelism,
        "agents": [_share(run, share) for share in profile.agents],
        "roles": [_share(run, share) for share in profile.roles],
        "usage": None if profile.usage is None else usage_document(profile.usage),
        "findings": [_finding(run, finding) for finding in profile.findings],
        "rules": {"total": profile.rules, "blind": [asdict(blind) for blind in profile.blind]},
        "loop_blocked_by": _seconds_by_span(run, profile.blockers),
        "slack_s": _seconds_by_span(run, profile.slack_ns),
        "warnings": list(dict.fromkeys((*run.warnings, *profile.warnings))),
    }


def _segment(run: Run, segment: Segment) -> dict[str, Any]:
    return {
        "span_id": segment.span.span_id,
        "name": segment.span.name,
        "kind": kinds.kind_of(segment.span),
        "agent": segment.agent,
        "start_s": run.scaled(segment.start_ns - run.start_ns),
        "end_s": run.scaled(segment.end_ns - run.start_ns),
        "bucket": segment.bucket,
        "edge": segment.edge,
        "certainty": segment.certainty,
        "doubt_s": run.scaled(segment.doubt_ns),
        "overlap": segment.overlap,
    }


def _share(run: Run, share: Share) -> dict[str, Any]:
    return {
        "name": share.name,
        "on_path_s": run.scaled(share.on_path_ns),
        "total_s": run.scaled(share.total_ns),
        "budget": _budget(run, share.budget_ns),
        "calls": share.calls,
        "tokens": {
            "input": share.input_tokens,
            "output": share.output_tokens,
            "total": share.input_tokens + share.output_tokens,
        },
        "writes": {"batches": share.writes, "files": share.files},
    }


def _finding(run: Run, finding: Finding) -> dict[str, Any]:
    evidence = [
        {"span_id": span.span_id, "on_path_s": run.scaled(span.on_path_ns), "note": span.note}
        for span in finding.evidence
    ]
    document = asdict(finding) | {"evidence": evidence, "saves_s": run.scaled(finding.saves_ns)}
    del document["saves_ns"]
    return document


def _budget(run: Run, budget_ns: Mapping[Bucket, int]) -> dict[str, float]:
    return {bucket: run.scaled(length) for bucket, length in budget_ns.items()}


def _seconds_by_span(run: Run, lengths: Mapping[str, int]) -> dict[str, float]:
    return {span_id: run.scaled(length) for span_id, length in sorted(lengths.items())}
