"""What the simulation of a change saves, and what holds of findings whatever the spans look like."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from support.forests import forest
from support.traces import agent, chat, identifier, run_of, step, wait, workflow

from spanwise import conventions as c
from spanwise.journal.reader import LinkRecord
from spanwise_profiling.advice import findings_of
from spanwise_profiling.advice.saving import saving_of
from spanwise_profiling.advice.view import View, view_of
from spanwise_profiling.analysis import profile_of

if TYPE_CHECKING:
    from spanwise.journal.reader import SpanRecord

S = 1_000_000_000


def view(*spans: SpanRecord) -> View:
    return view_of(profile_of(run_of(*spans)))


def saved(known: View, **change: Any) -> float:
    return saving_of(known, **change) / S


def cut(number: int, seconds: float) -> dict[str, int]:
    return {identifier(number): round(seconds * S)}


def test_what_follows_a_shorter_span_comes_earlier_by_as_much() -> None:
    line = view(workflow(1, 0, 6), step(2, 0, 2, parent=1), step(3, 2.5, 5, parent=1))
    assert saved(line, cuts=cut(2, 1)) == 1.0
    assert saved(line, cuts=cut(3, 9)) == 2.5


def test_a_parallel_branch_binds() -> None:
    fork = view(workflow(1, 0, 6), step(2, 0, 4, parent=1), step(3, 0, 3, parent=1), step(4, 4, 6, parent=1))
    assert saved(fork, cuts=cut(2, 2)) == 1.0
    assert saved(fork, cuts=cut(3, 2)) == 0.0


def test_spans_that_begin_together_take_as_long_as_the_longest() -> None:
    steps = [step(2, 0, 2, parent=1), step(3, 2, 5, parent=1), step(4, 5, 6, parent=1)]
    line = view(workflow(1, 0, 7), *steps, step(5, 6, 7, parent=1))
    assert saved(line, together=[steps]) == 3.0


def test_a_span_may_begin_after_what_it_needs() -> None:
    first = [step(2, 0, 1, parent=1), step(3, 0, 4, parent=1)]
    level = view(workflow(1, 0, 7), *first, step(4, 4, 7, parent=1), step(5, 4, 5, parent=1))
    assert saved(level, after={identifier(4): (identifier(2),)}) == 2.0


def test_a_wait_ends_when_its_releaser_does() -> None:
    link = (LinkRecord(identifier(1, 32), identifier(4), {c.LINK_REASON: "waits_on"}),)
    spans = [workflow(1, 0, 6), step(2, 0, 6, parent=1), step(4, 0, 4, parent=1)]
    released = replace(wait(3, 1, 4, kind="task", parent=2), links=link)
    assert saved(view(*spans, released), cuts=cut(4, 2)) == 2.0
    assert saved(view(*spans, wait(3, 1, 4, kind="task", parent=2)), cuts=cut(4, 2)) == 0.0


def test_a_wait_at_a_limit_takes_its_own_time() -> None:
    spans = [workflow(1, 0, 6), agent(2, 0, 6, parent=1), wait(3, 0, 4, parent=2), chat(4, 4, 6, parent=2)]
    assert saved(view(*spans), cuts=cut(3, 4)) == 4.0


def test_what_outlives_its_parent_holds_nothing_up() -> None:
    spans = [workflow(1, 0, 4), agent(2, 0, 2, parent=1), chat(3, 0, 9, parent=2), step(4, 2, 4, parent=1)]
    assert saved(view(*spans), cuts=cut(3, 9)) == 0.0


@pytest.mark.parametrize("seed", range(10))
def test_whatever_the_spans_look_like_findings_say_no_more_than_the_run_holds(seed: int) -> None:
    draw = random.Random(seed)
    for _ in range(30):
        run = run_of(*forest(draw))
        profile = profile_of(run)
        assert saving_of(view_of(profile), cuts={"nobody": 1}) == 0
        for finding in findings_of(profile, [run]):
            assert 0 <= finding.saves_ns <= run.duration_ns
            assert finding.evidence
            assert finding.title
            assert "\n" not in finding.title
