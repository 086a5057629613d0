"""Runs of extreme shapes: deep, wide, and cut into segments."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support import traces

from spanwise_profiling.analysis import profile_of
from spanwise_profiling.runs import Run, runs_of
from spanwise_profiling.trace import Trace, build_traces


def segments(first: float, second: float, *, waits_for_a_person: bool) -> Run:
    """Return a run whose second workflow span began at `second`, the first having ended at `first`."""
    last = (
        traces.wait(3, first - 1, first, kind="human", parent=1)
        if waits_for_a_person
        else traces.tool(3, 0, 1, parent=1)
    )
    spans = [traces.workflow(1, 0, first), last, traces.workflow(2, second, 10)]
    [trace] = build_traces(spans)
    runs = runs_of([trace])
    tops = tuple(run.root for run in runs)
    merged = Trace(trace.trace_id, tops, trace.children)
    return replace(runs[0], trace=merged, tops=tops, duration_ns=tops[1].end_ns - tops[0].start_ns)


@pytest.mark.slow
def test_a_run_of_ten_thousand_levels_is_walked() -> None:
    depth = 10_000
    spans = [traces.span(n, n * 1e-6, 1 - n * 1e-6, parent=n - 1 or None) for n in range(1, depth + 1)]
    profile = profile_of(traces.run_of(*spans))
    assert len(profile.path) == 2 * depth - 1
    assert sum(profile.budget_ns.values()) == profile.run.duration_ns


@pytest.mark.slow
def test_a_run_of_fifty_thousand_siblings_is_walked_in_order() -> None:
    count = 50_000
    spans = [traces.span(n, n * 1e-3, (n + 1) * 1e-3, parent=1) for n in range(2, count + 2)]
    profile = profile_of(traces.run_of(traces.workflow(1, 0, 100), *spans))
    assert len(profile.path) == count + 2
    assert sum(profile.budget_ns.values()) == profile.run.duration_ns


def test_the_time_between_two_segments_is_queue_time() -> None:
    profile = profile_of(segments(3, 8, waits_for_a_person=False))
    assert profile.budget_ns["queue"] == 5_000_000_000
    assert sum(profile.budget_ns.values()) == profile.run.duration_ns


def test_the_time_between_two_segments_is_a_persons_where_the_first_ended_waiting_for_one() -> None:
    profile = profile_of(segments(3, 8, waits_for_a_person=True))
    assert profile.budget_ns["human"] == 6_000_000_000
    assert profile.budget_ns["queue"] == 0
