"""The critical path of made-up runs: what it goes through, and that it is the run, no more and no less."""

from __future__ import annotations

from support import traces

from spanwise_profiling import kinds
from spanwise_profiling.analysis import profile_of


def test_of_two_agents_at_work_at_once_the_later_one_is_what_the_run_waited_for() -> None:
    run = traces.run_of(
        traces.workflow(1, 0, 10),
        traces.agent(2, 2, 4, name="quick", parent=1),
        traces.agent(3, 1, 9, name="slow", parent=1),
        traces.chat(4, 2, 8, parent=3),
    )
    profile = profile_of(run)
    found = [(kinds.label_of(s.span), (s.start_ns - run.start_ns) / 1e9, s.bucket) for s in profile.path]
    assert found == [
        ("workflow trading", 0, "coordination"),
        ("agent slow", 1, "coordination"),
        ("chat sim-1", 2, "model"),
        ("agent slow", 8, "coordination"),
        ("workflow trading", 9, "coordination"),
    ]
    assert sum(profile.budget_ns.values()) == run.duration_ns
