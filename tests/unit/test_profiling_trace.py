from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st
from support.traces import identifier, span, workflow

from spanwise_profiling.render.compact import compact_timeline
from spanwise_profiling.render.timeline import timeline
from spanwise_profiling.runs import runs_of
from spanwise_profiling.trace import Trace, build_trace, build_traces

if TYPE_CHECKING:
    from spanwise.journal.reader import SpanRecord

NUMBERS = st.integers(1, 12)
RECORDS = st.lists(
    st.builds(
        lambda number, parent, start, end, is_workflow: (workflow if is_workflow else span)(
            number, start, end, parent=parent
        ),
        NUMBERS, st.none() | NUMBERS, st.integers(0, 9), st.integers(0, 9), st.booleans(),
    ),
    min_size=1,
)  # fmt: skip


def tree(trace: Trace) -> list[tuple[int, str]]:
    return [(depth, record.span_id[:4]) for depth, record in trace.walk()]


def test_children_hang_below_their_parents_in_order_of_start() -> None:
    trace = build_trace([span(3, 2, 3, parent=1), span(4, 2.5, 3, parent=3), span(2, 1, 2, parent=1), span(1, 0, 3)])
    assert tree(trace) == [(0, "0001"), (1, "0002"), (1, "0003"), (2, "0004")]
    assert trace.warnings == ()


def test_of_two_that_start_together_the_longer_comes_first() -> None:
    trace = build_trace([span(1, 0, 3), span(2, 1, 2, parent=1), span(3, 1, 3, parent=1)])
    assert tree(trace) == [(0, "0001"), (1, "0003"), (1, "0002")]


def test_a_span_without_its_parent_becomes_a_root_and_is_told() -> None:
    trace = build_trace([span(1, 0, 3), span(2, 1, 2, parent=9), span(3, 1, 2, parent=2)])
    assert tree(trace) == [(0, "0001"), (0, "0002"), (1, "0003")]
    assert trace.warnings == ("1 span without a recorded parent; shown as roots: 0002aaaaaaaaaaaa",)


def test_a_span_that_came_twice_is_kept_once() -> None:
    trace = build_trace([span(1, 0, 3), span(2, parent=1), span(2, 0, 9, parent=1)])
    assert list(trace.walk()) == [(0, span(1, 0, 3)), (1, span(2, parent=1))]
    assert trace.warnings == ("1 span came more than once; the first was kept: 0002aaaaaaaaaaaa",)


def test_circles_are_cut_at_their_earliest_span_and_lose_nothing() -> None:
    circle = [span(2, 3, 4, parent=4), span(3, 1, 4, parent=2), span(4, 2, 4, parent=3)]
    trace = build_trace([span(1), *circle, span(5, 5, 6, parent=5), span(6, 6, 7, parent=2)])
    assert tree(trace) == [(0, "0001"), (0, "0003"), (1, "0004"), (2, "0002"), (3, "0006"), (0, "0005")]
    assert trace.warnings == (
        "2 spans in a circle of parents; cut at the earliest: 0003aaaaaaaaaaaa, 0005aaaaaaaaaaaa",
    )


def test_impossible_times_are_told() -> None:
    trace = build_trace([span(1, 0, 3), span(2, 2, 1, parent=1)])
    assert trace.warnings == ("1 span ended before starting; counted as 0 s: 0002aaaaaaaaaaaa",)


def test_a_chain_of_five_thousand_is_no_deeper_than_memory() -> None:
    chain = [span(1), *(span(number, parent=number - 1) for number in range(2, 5001))]
    assert max(depth for depth, _ in build_trace(chain).walk()) == 4999


def test_traces_are_told_apart_by_id_and_ordered_by_start() -> None:
    traces = build_traces([span(1, 5, 6, trace=2), span(1, 0, 1, trace=1), span(2, 5, 6, trace=2, parent=1)])
    assert [(trace.trace_id, len(list(trace.walk()))) for trace in traces] == [
        (identifier(1, 32), 1),
        (identifier(2, 32), 2),
    ]


def test_a_workflow_whose_parent_is_elsewhere_is_no_reason_to_warn() -> None:
    assert build_trace([workflow(1, 0, 1, parent=9)]).warnings == ()


@given(RECORDS)
def test_every_span_is_in_exactly_one_tree_and_can_be_shown(records: list[SpanRecord]) -> None:
    trace = build_trace(records)
    walked = [record.span_id for _, record in trace.walk()]
    assert sorted(walked) == sorted({record.span_id for record in records})
    for run in runs_of([trace]):
        assert len(timeline(run, 80, show_all=True).plain.splitlines()) == 1 + run.totals.lines
        compact_timeline(run, 80)
