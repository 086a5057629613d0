"""The simulation of a run: without a change it gives back every recorded time; resources are served in order."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from support import golden
from support.forests import forest
from support.traces import agent, chat, identifier, run_of, step, tool, wait, workflow

from spanwise import conventions as c
from spanwise.journal.reader import LinkRecord
from spanwise_profiling.analysis.tree import tree_of
from spanwise_profiling.normalise import normalised
from spanwise_profiling.simulation.edits import Edits, Rate, Slots
from spanwise_profiling.simulation.graph import graph_of, start_of
from spanwise_profiling.simulation.inferred import is_faithful, limits_of
from spanwise_profiling.simulation.roles import known_from
from spanwise_profiling.simulation.simulate import StandstillError, simulate

if TYPE_CHECKING:
    from spanwise.journal.reader import SpanRecord
    from spanwise_profiling.simulation.graph import Graph

S = 1_000_000_000


def graph(*spans: SpanRecord, **more: Any) -> Graph:
    return graph_of(run_of(*spans), **more)


def node(known: Graph, number: int) -> int:
    return known.tree.numbers[identifier(number)]


def seconds(known: Graph, **edits: Any) -> float:
    return simulate(known, Edits(**edits)).duration_ns / S


@pytest.mark.parametrize("seed", range(20))
def test_without_a_change_every_event_is_where_it_was_recorded(seed: int) -> None:
    draw = random.Random(seed)
    for _ in range(10):
        known = graph_of(normalised(run_of(*forest(draw))))
        outcome = simulate(known, Edits())
        assert list(outcome.times) == list(known.times)
        # A key that nobody shares changes nothing, and takes the way by queues.
        assert list(simulate(known, Edits(keys={1: "alone"})).times) == list(known.times)


@pytest.mark.parametrize("name", golden.names())
def test_without_a_change_every_golden_trace_comes_out_as_it_was_recorded(name: str) -> None:
    known = graph_of(normalised(golden.load(name)[0]))
    assert list(simulate(known, Edits()).times) == list(known.times)


def test_the_bold_reading_saves_at_least_as_much_as_the_careful_one() -> None:
    spans = [workflow(1, 0, 9), tool(2, 0, 4, parent=1), tool(3, 0, 5, parent=1), tool(4, 5, 9, parent=1)]
    careful, bold = graph(*spans), graph(*spans, bold=True)
    cut = {node(careful, 3): 5 * S}
    assert seconds(careful, cuts=cut) == 8.0
    assert seconds(bold, cuts=cut) == 4.0


def test_what_is_scaled_is_scaled_with_all_below_it_but_waits_for_a_limit() -> None:
    known = graph(workflow(1, 0, 6), agent(2, 1, 5, parent=1), chat(3, 1, 3, parent=2), step(4, 3, 4, parent=2))
    assert seconds(known, factors={node(known, 2): 0.5}) == 4.0


def test_what_is_gone_takes_no_time_and_what_came_after_it_still_waits_for_what_it_waited_for() -> None:
    spans = [workflow(1, 0, 9), tool(2, 0, 4, parent=1), agent(3, 4, 7, parent=1), chat(4, 4, 7, parent=3)]
    known = graph(*spans, tool(5, 7, 9, parent=1))
    outcome = simulate(known, Edits(gone={node(known, 3)}))
    assert outcome.duration_ns == 6 * S
    assert outcome.skipped == {node(known, 3), node(known, 4)}


def test_who_asks_the_same_meanwhile_waits_for_the_first_and_who_asks_later_has_the_answer() -> None:
    spans = [workflow(1, 0, 9), tool(2, 0, 4, parent=1), tool(3, 1, 5, parent=1), tool(4, 5, 9, parent=1)]
    known = graph(*spans)
    keys = {node(known, number): "price" for number in (2, 3, 4)}
    outcome = simulate(known, Edits(keys=keys, hit_ns={node(known, 4): S // 2}))
    assert outcome.duration_ns == 4.5 * S
    assert outcome.skipped == {node(known, 3), node(known, 4)}


def test_places_are_had_in_the_order_of_asking() -> None:
    spans = [workflow(1, 0, 4), *(tool(2 + i, 0.1 * i, 3 + 0.1 * i, parent=1) for i in range(4))]
    known = graph(*spans)
    members = [node(known, 2 + i) for i in range(4)]
    outcome = simulate(known, Edits(slots=[Slots(2, members)]))
    begun = [(outcome.times[start_of(one)] - known.times[0]) / S for one in members]
    assert begun == [0.0, 0.1, 3.0, 3.1]


def test_a_rate_holds_in_every_window() -> None:
    known = graph(workflow(1, 0, 4), *(tool(2 + i, 0, 1, parent=1) for i in range(5)))
    members = [node(known, 2 + i) for i in range(5)]
    outcome = simulate(known, Edits(rates=[Rate(2, 10 * S, members)]))
    assert [(outcome.times[start_of(one)] - known.times[0]) / S for one in members] == [0, 0, 10, 10, 20]


def test_limits_that_would_never_let_a_run_end_are_told() -> None:
    known = graph(workflow(1, 0, 4), agent(2, 0, 4, parent=1), agent(3, 1, 3, parent=2))
    with pytest.raises(StandstillError):
        simulate(known, Edits(slots=[Slots(1, [node(known, 2), node(known, 3)])]))


def waves(*lengths: float, places: int) -> list[SpanRecord]:
    """Return calls that share a semaphore, spans begun once the place is had."""
    free, spans = [0.0] * places, list[Any]()
    for i, length in enumerate(lengths):
        begin = min(free)
        free[free.index(begin)] = begin + length
        spans.append(tool(2 + i, begin, begin + length, parent=1))
    return [workflow(1, 0, max(free)), *spans]


def test_a_limit_is_seen_where_each_starts_as_another_ends_and_not_where_levels_follow_one_another() -> None:
    limited = graph(*waves(3, 2, 4.1, 3.2, 2.5, 1.3, 2, places=2))
    [found] = limits_of(limited)
    assert (found.capacity, len(found.members)) == (2, 7)
    assert is_faithful(limited, Edits(slots=[found], together=[[[one] for one in found.members]]))
    levels = [workflow(1, 0, 9), *(tool(2 + i, 3.0 * (i // 2), 3.0 * (i // 2) + 3, parent=1) for i in range(6))]
    assert limits_of(graph(*levels)) == []


def test_orders_that_other_runs_refute_are_not_waited_for() -> None:
    def run(other: float) -> list[SpanRecord]:
        spans = [workflow(1, 0, 7), tool(2, 0, other, parent=1, name="a"), tool(3, 0, 3, parent=1, name="b")]
        return [*spans, tool(4, 3, 7, parent=1, name="c")]

    alone = graph(*run(2))
    cut = {node(alone, 3): 2 * S}
    assert seconds(alone, cuts=cut) == 6.0
    known = known_from([tree_of(run_of(*run(other))) for other in (2, 5)], 1000)
    assert seconds(graph(*run(2), known=known), cuts=cut) == 5.0
    # Runs that took another branch say nothing of this one.
    fewer = [replace(one) for one in run(5) if one.name != "execute_tool b"]
    assert not known_from([tree_of(run_of(*run(2))), tree_of(run_of(*fewer))], 1000).refuted


def test_a_child_that_outlives_its_parent_in_one_run_is_waited_for_in_none() -> None:
    def run(end: float) -> list[SpanRecord]:
        return [workflow(1, 0, 6), agent(2, 0, 3, parent=1), tool(3, 1, end, parent=2), tool(4, 3, 6, parent=1)]

    known = known_from([tree_of(run_of(*run(end))) for end in (3, 5)], 1000)
    alone = graph(*run(3))
    cut = {node(alone, 3): S}
    assert seconds(alone, cuts=cut) == 5.0
    assert seconds(graph(*run(3), known=known), cuts=cut) == 6.0


@pytest.mark.slow
def test_many_siblings_take_no_square_of_their_number() -> None:
    spans = [
        workflow(1, 0, 4),
        *(tool(2 + i, 2.0 * (i // 5000), 2.0 * (i // 5000) + 2, parent=1) for i in range(10000)),
    ]
    known = graph(*spans)
    assert sum(map(len, known.before)) < 60_000
    assert simulate(known, Edits()).duration_ns == 4 * S


def test_a_wait_that_nobody_is_known_to_have_ended_is_time_of_its_own_unless_something_else_went_on() -> None:
    alone = [workflow(1, 0, 5), tool(2, 0, 2, parent=1), wait(3, 2, 4, kind="queue", parent=1)]
    known = graph(*alone)
    assert seconds(known, gone={node(known, 3)}) == 3.0
    beside = graph(*alone, tool(4, 2, 4, parent=1))
    assert seconds(beside, gone={node(beside, 3)}) == 5.0
    assert seconds(beside, gone={node(beside, 4)}) == 3.0


def test_lines_of_siblings_start_together_and_what_follows_waits_for_all() -> None:
    spans = [tool(2 + i, i, i + 1, parent=1, name=f"t{i}") for i in range(4)]
    known = graph(workflow(1, 0, 6), *spans, tool(6, 4, 6, parent=1))
    a, b, c, d = (node(known, 2 + i) for i in range(4))
    assert seconds(known, together=[[[a, b], [c, d]]]) == 4.0
    assert seconds(known, together=[[[a, c, d], [b]]]) == 5.0
    assert seconds(known, together=[[[a], [b], [c], [d]]]) == 3.0
    assert seconds(known, together=[[[a, b], [c, d]]], cuts={b: S, d: S}) == 3.0


def test_a_sleep_of_another_task_is_not_what_the_next_step_waits_for() -> None:
    link = (LinkRecord(identifier(1, 32), identifier(5), {c.LINK_REASON: "waits_on"}),)
    steps = [workflow(1, 0, 5), tool(2, 0, 2, parent=1, name="a"), tool(5, 2, 5, parent=1, name="b")]
    joined = replace(wait(3, 0, 5, kind="task", parent=1), links=link)
    known = graph(*steps, joined, wait(4, 1, 2, kind="timer", parent=1))
    assert seconds(known, cuts={node(known, 2): 2 * S}) == 3.0
    asleep = graph(*steps, wait(4, 1, 2, kind="timer", parent=1))
    assert seconds(asleep, cuts={node(asleep, 2): 2 * S}) == 5.0


def test_a_wait_that_ends_in_the_very_moment_of_its_releaser_comes_after_it() -> None:
    link = (LinkRecord(identifier(1, 32), identifier(3), {c.LINK_REASON: "waits_on"}),)
    spans = [workflow(1, 0, 6), step(2, 0, 4, parent=1), agent(3, 0, 4, parent=2), chat(4, 0, 4, parent=3)]
    waited = replace(wait(5, 0, 4, kind="task", parent=2), links=link)
    known = graph(*spans, waited, tool(6, 4, 6, parent=1))
    assert seconds(known, factors={node(known, 4): 0.25}) == 3.0
