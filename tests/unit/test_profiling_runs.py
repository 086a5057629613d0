from __future__ import annotations

import pytest
from support.traces import agent, cache_lookup, chat, identifier, run_of, span, tool, wait, workflow

from spanwise import conventions as c
from spanwise_profiling.agents import AgentUsage, agent_usage, union_ns
from spanwise_profiling.runs import Totals, runs_of
from spanwise_profiling.trace import build_traces


def test_a_workflow_span_and_all_below_it_is_a_run() -> None:
    run = run_of(
        workflow(
            1, 0, 6, scale=20.0,
            attributes={c.RUN_ID: "run-1", c.RUN_VARIANT: "optimized", c.QUALITY_GRADE: "A+", c.QUALITY_SCORE: 100},
        ),
        agent(2, 0, 3, name="news", parent=1),
        agent(3, 3, 6, name="risk", parent=1),
        agent(4, 4, 6, name="risk", parent=1),
        chat(5, 0, 1, parent=2, error="429", attributes={c.RETRY_SCHEDULED: True}, tokens=(0, 0)),
        chat(6, 1, 3, parent=2, tokens=(100, 20)),
        chat(7, 3, 6, parent=3, tokens=(200, 40)),
        tool(8, 3, 4, parent=3, error="KeyError"),
        cache_lookup(9, 3, 4, parent=8, result="miss"),
        cache_lookup(10, 3, 4, parent=8, result="hit"),
        wait(11, 3, 4, parent=4),
    )  # fmt: skip
    assert run.totals.lines == 11
    assert (run.run_id, run.trace_id, run.title, run.service) == (
        "run-1",
        identifier(1, 32),
        "trading/optimized",
        "desk",
    )
    assert (run.duration_ns, run.seconds, run.tokens_per_second) == (6_000_000_000, 120.0, 3.0)
    assert (run.grade, run.score, run.error, run.warnings) == ("A+", 100, None, ())
    assert run.totals == Totals(
        spans=10, waits=1, input_tokens=300, output_tokens=60, llm_calls=3, tool_calls=1, agents=2, retries=1,
        cache_lookups=2, cache_hits=1, errors=1,
    )  # fmt: skip


def test_a_workflow_that_sums_its_tokens_is_believed() -> None:
    own = {c.USAGE_INPUT_TOKENS: 1000, c.USAGE_OUTPUT_TOKENS: 50}
    totals = run_of(workflow(1, 0, 6, attributes=own), chat(2, 0, 1, parent=1, tokens=(100, 20))).totals
    assert (totals.input_tokens, totals.output_tokens, totals.tokens) == (1000, 50, 1050)


def test_without_a_run_id_the_trace_id_is_the_run_id() -> None:
    assert run_of(workflow(1, 0, 1)).run_id == identifier(1, 32)


def test_a_trace_without_a_workflow_is_one_run_by_its_roots() -> None:
    run = run_of(span(1, 0, 2, name="GET /"), chat(2, 1, 2, parent=1), span(3, 1, 5, parent=99))
    assert (run.workflow, run.seconds, run.totals.spans, run.totals.tokens) == ("GET /", 5.0, 3, 120)
    assert run.warnings == ("1 span without a recorded parent; shown as roots: 0003aaaaaaaaaaaa",)


def test_the_outermost_workflows_of_a_trace_are_its_runs() -> None:
    records = [
        span(1, 0, 9, name="batch"),
        workflow(2, 4, 8, parent=1, name="second"),
        workflow(3, 0, 4, parent=1, name="first"),
        workflow(4, 1, 2, parent=3, name="inner"),
    ]
    runs = runs_of(build_traces(records))
    assert [(run.workflow, run.totals.spans) for run in runs] == [("first", 2), ("second", 1)]


def test_spans_that_lost_their_parent_count_to_the_only_workflow_of_their_trace() -> None:
    run = run_of(
        span(1, 0, 9, name="POST /", parent=77), workflow(2, 1, 8, parent=1), chat(3, 2, 3, parent=88), span(4, 0, 1)
    )
    assert [(depth, record.span_id[:4]) for depth, record in run.walk()] == [(0, "0002"), (0, "0003")]
    assert (run.seconds, run.totals.llm_calls) == (7.0, 1)


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf")])
def test_an_impossible_time_scale_is_told_and_not_used(scale: float) -> None:
    run = run_of(workflow(1, 0, 2, scale=scale))
    assert run.seconds == 2.0
    assert run.warnings == (f"spanwise.time.scale is {scale}, no number from 1e-9 to 1e9; times are shown unscaled",)


def test_attributes_of_foreign_types_are_no_figures() -> None:
    odd = {c.OPERATION_NAME: ("invoke_workflow",), c.RUN_ID: 7, c.QUALITY_SCORE: "high", c.USAGE_INPUT_TOKENS: True}
    run = run_of(span(1, 0, 0, name="", attributes=odd))
    assert (run.run_id, run.workflow, run.score, run.totals.tokens) == (identifier(1, 32), "(no name)", None, 0)
    assert run.tokens_per_second == 0.0


def test_an_agents_seconds_are_the_union_of_its_invocations() -> None:
    run = run_of(
        workflow(1, 0, 10, scale=2.0),
        agent(2, 0, 4, name="risk", parent=1),
        agent(3, 2, 6, name="risk", parent=1),
        agent(4, 8, 10, name="news", parent=1),
        wait(5, 0, 1, parent=2),
        wait(6, 0.5, 2, parent=2),
        chat(7, 2, 4, parent=2, tokens=(10, 1)),
        chat(8, 2, 6, parent=3, tokens=(20, 2), attributes={c.WAIT_SHORT_SECONDS: 0.25}),
        tool(9, 8, 9, parent=4),
    )
    assert agent_usage(run) == [
        AgentUsage("risk", 12.0, 0.6, 2, 2, 0, 30, 3, 4.0),
        AgentUsage("news", 4.0, 0.2, 1, 0, 1, 0, 0, 0.0),
    ]


def test_what_a_sub_agent_uses_is_the_sub_agents() -> None:
    usage = {c.USAGE_INPUT_TOKENS: 110, c.USAGE_OUTPUT_TOKENS: 11}
    run = run_of(
        workflow(1, 0, 10),
        agent(2, 0, 10, name="lead", parent=1, attributes=usage),
        chat(3, 0, 2, parent=2, tokens=(10, 1)),
        agent(4, 2, 9, name="helper", parent=2),
        chat(5, 2, 9, parent=4, tokens=(100, 10)),
        chat(6, 9, 10, parent=2, tokens=(1, 1)),
    )
    assert [(a.name, a.input_tokens, a.output_tokens, a.llm_calls) for a in agent_usage(run)] == [
        ("lead", 11, 2, 2),
        ("helper", 100, 10, 1),
    ]


def test_an_agent_without_recorded_calls_is_believed_about_its_tokens() -> None:
    usage = {c.USAGE_INPUT_TOKENS: 110, c.USAGE_OUTPUT_TOKENS: 11}
    (only,) = agent_usage(run_of(agent(1, 0, 0, attributes=usage)))
    assert (only.tokens, only.share) == (121, 0.0)


def test_union_counts_overlaps_once_and_gaps_not_at_all() -> None:
    assert union_ns([span(1, 5, 6), span(2, 0, 2), span(3, 1, 1.5), span(4, 1, 3)]) == 4_000_000_000
