"""What a profile finds on `trading`: what each flag does, as many seconds as switching it changes, and no more.

On a virtual clock each preset takes exactly the simulated time, so that what a finding promises can be compared with
what the flag brings.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import pytest
from support.command import spanwise
from support.trading import FLAGS, PRESETS
from support.virtual_recording import recorded, recorded_twice

from spanwise_profiling.advice import findings_of
from spanwise_profiling.analysis import profile_of
from spanwise_profiling.load import load

if TYPE_CHECKING:
    from pathlib import Path

    from spanwise.journal.reader import SpanRecord
    from spanwise_profiling.profile import Finding
    from spanwise_profiling.runs import Run

pytestmark = [pytest.mark.slow, pytest.mark.alone]
KNOWN = "unused-output"
"""The report's words are for its reader; docs/findings/unused-output.md says so."""
RAISES = {
    "parallel_analysts": ("sequential-calls", "Run the 4 analysts together"),
    "batch_tools": ("sequential-calls", "Run the tools that one answer asked for together"),
    "market_cache": ("duplicate-calls", "retrieval prices"),
    "async_fetch": ("sequential-calls", "Read the sources of tools together"),
    "compress_prompts": ("repeated-context", "texts that another prompt had held"),
    "concise_prompts": (KNOWN, "Later prompts hold 1% to 7% of"),
    "concurrent_debate": ("sequential-calls", "Let bull_researcher and bear_researcher speak at once"),
    "concurrent_risk": ("sequential-calls", "Let the 3 analysts speak at once"),
    "concurrent_aggregation": ("sequential-calls", "Read the sources of agents together"),
    "pooled_connections": ("connection-churn", "19 connections were opened for 19 calls; 4 would have done"),
}


@cache
def found(preset: str, **changed: bool) -> tuple[float, list[tuple[Finding, float]]]:
    """Return the run's seconds, and each finding with the seconds that it could save."""
    run = recorded(replace(PRESETS[preset], **changed))
    return run.seconds, [(finding, run.scaled(finding.saves_ns)) for finding in findings_of(profile_of(run))]


def test_on_the_baseline_the_sequential_analysts_come_first_with_what_the_flag_saves() -> None:
    seconds, [(first, saves), *_] = found("baseline")
    assert (first.id, first.confidence) == ("sequential-calls", "high")
    assert first.title == "Run the 4 analysts together"
    measured = seconds - found("baseline", parallel_analysts=True)[0]
    assert saves == pytest.approx(measured, rel=0.1)


def test_what_it_promises_is_what_two_real_runs_measure(tmp_path: Path) -> None:
    run = ("systems", "run", "trading", "--preset", "baseline", "--speed", "15")
    for more in ((), ("--set", "parallel_analysts=true")):
        assert spanwise(*run, *more, folder=tmp_path).returncode == 0
    before, after = load(tmp_path / ".spanwise").runs
    first = findings_of(profile_of(before))[0]
    assert first.title == "Run the 4 analysts together"
    assert before.scaled(first.saves_ns) == pytest.approx(before.seconds - after.seconds, rel=0.1)


def test_the_optimized_preset_has_one_finding_that_is_known() -> None:
    assert [finding.id for finding, _ in found("optimized")[1]] == [KNOWN]


def test_every_flag_is_looked_at() -> None:
    assert {*RAISES, "cached_reports"} == set(FLAGS)


@pytest.mark.parametrize("flag", RAISES)
def test_switching_a_flag_off_raises_its_finding(flag: str) -> None:
    name, words = RAISES[flag]
    [_] = [
        finding
        for finding, _ in found("optimized", **{flag: False})[1]
        if finding.id == name and words in f"{finding.title}. {finding.why}"
    ]


@pytest.mark.parametrize(
    ("flag", "within"),
    [
        ("parallel_analysts", 0.01),
        ("async_fetch", 0.01),
        ("concurrent_debate", 0.01),
        ("concurrent_risk", 0.01),
        ("concurrent_aggregation", 0.01),
        ("compress_prompts", 0.3),
    ],
)
def test_what_a_finding_promises_is_what_its_flag_brings(flag: str, within: float) -> None:
    seconds, findings = found("optimized", **{flag: False})
    name, words = RAISES[flag]
    [saves] = [
        saves for finding, saves in findings if finding.id == name and words in f"{finding.title}. {finding.why}"
    ]
    assert saves == pytest.approx(seconds - found("optimized")[0], rel=within)


def test_longer_answers_leave_more_of_them_unread() -> None:
    """The known finding is there with the flag on, too: what the flag is about shows in how much it says."""
    seconds, findings = found("optimized", concise_prompts=False)
    before, known = found("optimized")
    [longer], [concise] = ([saves for finding, saves in some if finding.id == KNOWN] for some in (findings, known))
    assert longer - concise == pytest.approx(seconds - before, rel=0.1)


def spans_of(run: Run, finding: Finding) -> list[SpanRecord]:
    ids = {evidence.span_id for evidence in finding.evidence}
    return [span for _, span in run.walk() if span.span_id in ids]


@pytest.mark.parametrize("on", [True, False])
def test_reports_that_are_not_kept_are_asked_for_again_by_the_next_run(*, on: bool) -> None:
    first, second = recorded_twice(replace(PRESETS["optimized"], cached_reports=on))
    [again] = [one for one in findings_of(profile_of(second), [first]) if one.id == "repeated-runs"]
    asked = {str(span.attributes["gen_ai.agent.name"]) for span in spans_of(second, again)}
    assert "risk_manager" in asked
    assert ("market_analyst" in asked) is not on
    kept = [one for one in findings_of(profile_of(second)) if one.id == "repeated-runs"]
    assert kept == []
