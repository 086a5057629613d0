from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st
from support.traces import BEGIN_NS, agent, chat, run_of, span, workflow

from spanwise import conventions as c
from spanwise_profiling import clocks
from spanwise_profiling.normalise import normalised
from spanwise_profiling.runs import runs_of
from spanwise_profiling.trace import build_traces

if TYPE_CHECKING:
    from spanwise.journal.reader import SpanRecord
    from spanwise_profiling.runs import Run

SECOND = 10**9
CLIENT, SERVER = 3, 2


def repaired(*spans: SpanRecord) -> Run:
    return normalised(run_of(*spans))


def seconds(run: Run) -> dict[str, tuple[float, float]]:
    """Return start and end of each span, in seconds since the builders' begin, by the first four digits of its id."""
    return {
        span.span_id[:4]: ((span.start_ns - BEGIN_NS) / SECOND, (span.end_ns - BEGIN_NS) / SECOND)
        for _, span in run.walk()
    }


def on(host: str, record: SpanRecord, kind: int = 1) -> SpanRecord:
    """Return `record` as recorded on a host."""
    return replace(record, kind=kind, resource={"service.name": host, "host.name": host})


def without_end(record: SpanRecord) -> SpanRecord:
    return replace(record, end_ns=0)


def test_a_sound_run_is_left_as_it_is() -> None:
    run = run_of(workflow(1, 0, 9), agent(2, 1, 8, parent=1), chat(3, 2, 7, parent=2))
    assert normalised(run).warnings == ()
    assert seconds(normalised(run)) == seconds(run)
    assert normalised(run).totals == run.totals


def test_attributes_are_sorted_so_that_no_report_depends_on_the_store() -> None:
    run = repaired(workflow(1, 0, 9, attributes={"z": 1, "a": 2}))
    assert list(run.root.attributes) == ["a", c.OPERATION_NAME, c.WORKFLOW_NAME, "z"]


def test_a_run_still_going_ends_with_the_last_moment_recorded() -> None:
    run = repaired(without_end(workflow(1, 0, 0)), chat(2, 1, 4, parent=1), without_end(chat(3, 5, 0, parent=1)))
    assert seconds(run) == {"0001": (0, 5), "0002": (1, 4), "0003": (5, 5)}
    assert run.duration_ns == 5 * SECOND
    assert run.warnings == (
        (
            "2 spans without an end, still open or lost; counted until the last moment recorded: "
            "0001aaaaaaaaaaaa, 0003aaaaaaaaaaaa"
        ),
        "1 span of no duration at all: 0003aaaaaaaaaaaa",
    )


def test_negative_durations_become_none() -> None:
    run = repaired(workflow(1, 0, 9), chat(2, 5, 3, parent=1))
    assert seconds(run)["0002"] == (5, 5)
    assert run.warnings == (
        "1 span ended before starting; counted as 0 s: 0002aaaaaaaaaaaa",
        "1 span of no duration at all: 0002aaaaaaaaaaaa",
    )


def test_children_that_outlive_or_precede_their_parents_are_told_and_kept() -> None:
    run = repaired(workflow(1, 1, 9), chat(2, 5, 12, parent=1), chat(3, 0, 3, parent=1))
    assert seconds(run) == {"0001": (1, 9), "0002": (5, 12), "0003": (0, 3)}
    assert run.warnings == (
        "1 span began before their parents: 0003aaaaaaaaaaaa",
        "1 span outlived their parents; what is beyond a parent's end was not waited for: 0002aaaaaaaaaaaa",
    )


def test_long_lists_of_ids_are_cut() -> None:
    run = repaired(workflow(1, 0, 9), *(chat(number, 3, 2, parent=1) for number in range(2, 12)))
    assert run.warnings[0] == (
        "10 spans ended before starting; counted as 0 s: "
        "0002aaaaaaaaaaaa, 0003aaaaaaaaaaaa, 0004aaaaaaaaaaaa, and 7 more"
    )


def test_several_roots_without_a_workflow_are_told() -> None:
    run = repaired(span(1, 0, 2), span(2, 3, 4))
    assert run.warnings == (
        "2 spans are roots of one trace without a workflow; taken together: 0001aaaaaaaaaaaa, 0002aaaaaaaaaaaa",
    )
    assert run.duration_ns == 4 * SECOND


def test_what_lies_beside_the_only_workflow_is_told() -> None:
    run = repaired(span(1, 0, 9, name="GET /"), workflow(2, 1, 8, parent=1), span(3, 8, 9, parent=1))
    assert run.warnings == ("1 span of the trace are outside its workflow, and left out: 0003aaaaaaaaaaaa",)


def test_the_request_around_a_workflow_is_no_loss() -> None:
    assert repaired(span(1, 0, 9, name="GET /"), workflow(2, 1, 8, parent=1)).warnings == ()


def test_a_host_whose_clock_is_ahead_is_shifted_by_the_middle_of_what_its_calls_allow() -> None:
    run = repaired(
        on("desk", workflow(1, 0, 20)),
        on("desk", span(2, 1, 4, parent=1), CLIENT), on("shop", span(3, 11, 13, parent=2), SERVER),
        on("desk", span(4, 5, 7, parent=1), CLIENT), on("shop", span(5, 15, 16, parent=4), SERVER),
        on("shop", chat(6, 11.5, 12, parent=3)),
    )  # fmt: skip
    # The pairs allow -10 to -9 and -10 to -9: the middle is -9.5.
    assert seconds(run)["0003"] == (1.5, 3.5)
    assert seconds(run)["0006"] == (2, 2.5)
    assert run.warnings == (
        (
            "3 spans of shop, whose clock is off, shifted by -9500.000 ms: "
            "0003aaaaaaaaaaaa, 0006aaaaaaaaaaaa, 0005aaaaaaaaaaaa"
        ),
    )


def test_clocks_that_contradict_nothing_are_left_alone() -> None:
    run = repaired(
        on("desk", workflow(1, 0, 20)),
        on("desk", span(2, 1, 4, parent=1), CLIENT),
        on("shop", span(3, 1.2, 3.9, parent=2), SERVER),
        on("shop", span(4, 3, 30, parent=2)),  # goes on alone: no answer, so no evidence
    )
    assert seconds(run)["0003"] == (1.2, 3.9)
    assert "shop" not in "".join(run.warnings)


def test_offsets_add_up_over_hosts_that_call_one_another() -> None:
    run = repaired(
        on("a", workflow(1, 0, 20)),
        on("a", span(2, 1, 9, parent=1), CLIENT), on("b", span(3, 101, 109, parent=2), SERVER),
        on("b", span(4, 102, 105, parent=3), CLIENT), on("c", span(5, 2, 5, parent=4), SERVER),
    )  # fmt: skip
    assert seconds(run) == {"0001": (0, 20), "0002": (1, 9), "0003": (1, 9), "0004": (2, 5), "0005": (2, 5)}


def test_a_clock_that_drifts_is_shifted_by_the_median() -> None:
    calls = [(2, 1, 101), (4, 3, 103.5), (6, 5, 106)]
    spans = [on("a", workflow(1, 0, 20))]
    for number, client, server in calls:
        spans.append(on("a", span(number, client, client + 1, parent=1), CLIENT))
        spans.append(on("b", span(number + 1, server, server + 1, parent=number), SERVER))
    assert clocks.offsets([spans[0]], run_of(*spans).trace.children, {s.span_id: s for s in spans}) == {
        "b": round(-100.5 * SECOND)
    }


def test_a_service_without_a_host_has_a_clock_of_its_own() -> None:
    other = replace(span(2, -5, -4, parent=1), resource={"service.name": "shop"})
    assert seconds(repaired(workflow(1, 0, 9), other))["0002"] == (0, 1)


TIMES = st.integers(0, 20)
RECORDS = st.lists(
    st.builds(
        lambda number, parent, start, end, host, is_workflow, kind: on(
            host, (workflow if is_workflow else span)(number, start, end, parent=parent), kind
        ),
        st.integers(1, 12), st.none() | st.integers(1, 12), TIMES, TIMES | st.just(-BEGIN_NS / SECOND),
        st.sampled_from("abc"), st.booleans(), st.integers(0, 5),
    ),
    min_size=1,
)  # fmt: skip


@given(RECORDS)
def test_whatever_was_recorded_a_repaired_run_has_no_end_before_its_start_and_loses_no_span(
    records: list[SpanRecord],
) -> None:
    for run in runs_of(build_traces(records)):
        after = normalised(run)
        assert sorted(s.span_id for _, s in after.walk()) == sorted(s.span_id for _, s in run.walk())
        assert all(s.end_ns >= s.start_ns for _, s in after.walk())
        assert after.duration_ns >= 0
        assert normalised(after).duration_ns == after.duration_ns


def test_work_that_goes_on_after_the_answer_is_no_proof_of_another_clock() -> None:
    spans = (
        on("desk", workflow(1, 0, 4)), on("desk", span(2, 0.5, 1.5, parent=1), CLIENT),
        on("shop", span(3, 0.9, 1.8, parent=2), SERVER), on("shop", span(4, 1.6, 1.8, parent=3)),
    )  # fmt: skip
    assert seconds(repaired(*spans))["0003"] == (0.9, 1.8)
    gone = (on("desk", workflow(1, 0, 9)), replace(on("desk", span(2, 1, 2, parent=1), CLIENT), status_code=2),
            on("shop", span(3, 5, 6, parent=2), SERVER))  # fmt: skip
    assert seconds(repaired(*gone))["0003"] == (5, 6)


def test_a_few_milliseconds_between_services_without_a_host_are_no_proof() -> None:
    near = replace(span(2, 0.996, 2, parent=3), resource={"service.name": "shop"})
    assert seconds(repaired(workflow(1, 0, 9), span(3, 1, 3, parent=1), near))["0002"] == (0.996, 2)
