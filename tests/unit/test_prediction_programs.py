"""Predictions beside the truth: generated programs that run on a virtual clock, before and after the change."""

from __future__ import annotations

import random
import runpy
from statistics import median
from typing import TYPE_CHECKING, Any

import pytest
from support.pages import ROOT
from support.traces import agent, chat, run_of, tool, wait, workflow

from spanwise import conventions as c
from spanwise.errors import InputError
from spanwise_profiling.prediction.language import change_of
from spanwise_profiling.prediction.predict import predict

if TYPE_CHECKING:
    from spanwise.journal.reader import SpanRecord
    from spanwise_profiling.prediction.result import Prediction

PROGRAMS: dict[str, Any] = runpy.run_path(str(ROOT / "benchmarks" / "predicted_programs.py"))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("family", PROGRAMS["FAMILIES"])
def test_sound_changes_are_predicted_to_within_one_percent(family: str, seed: int) -> None:
    case = PROGRAMS["FAMILIES"][family](random.Random(100 + seed))
    before = [PROGRAMS["recorded"](case.before, number) for number in range(case.traces)]
    after = [PROGRAMS["recorded"](case.after, number) for number in range(case.traces)]
    found = predict(before, [change_of(text) for text in case.changes])
    measured = median(run.seconds for run in after)
    assert found.median.after == pytest.approx(measured, rel=0.01)
    assert found.median.low <= found.median.after <= found.median.high


def predicted(*spans: SpanRecord, change: str) -> Prediction:
    return predict([run_of(*spans)], [change_of(change)])


def ids(found: Prediction) -> set[str]:
    return {doubt.id for doubt in found.doubts}


def reaches_no_saving(found: Prediction) -> bool:
    return found.median.low <= found.median.before <= found.median.high


def test_a_queue_inside_of_spans_is_warned_of() -> None:
    spans = [workflow(1, 0, 9), *(tool(2 + i, 0, 3 * (1 + i), parent=1) for i in range(3))]
    found = predicted(*spans, change="cap prices at 2")
    assert "hidden-queue" in ids(found)
    assert reaches_no_saving(found)
    with pytest.raises(InputError, match="at most 3 of prices ran at once and no wait for a place is recorded"):
        predicted(*spans, change="cap prices at 4")


def test_waits_that_do_not_fit_a_limit_are_refused() -> None:
    spans = [workflow(1, 0, 9), wait(2, 0, 6, parent=1), chat(3, 6, 7, parent=1), chat(4, 0, 1, parent=1)]
    with pytest.raises(InputError, match="the recorded waits do not fit 1 places shared by these spans"):
        predicted(*spans, change="cap chat at 3")


def test_branches_without_recorded_waits_are_warned_of() -> None:
    spans = [workflow(1, 0, 6), agent(2, 0, 4, parent=1), agent(3, 0, 6, parent=1, name="other")]
    found = predicted(*spans, change="duration agent=risk x0.5")
    assert "unrecorded-waits" in ids(found)
    assert reaches_no_saving(found)


def calls(*pace: float, error: str | None = None) -> list[SpanRecord]:
    """Return agents one after another, with a call each and then two calls at once, so many seconds for 100 tokens."""
    spans: list[SpanRecord] = []
    clock = 0.0
    for i, seconds in enumerate(pace):
        together = 2 if i >= len(pace) // 2 else 1
        spans.append(agent(10 * i + 2, clock, clock + seconds, parent=1, name=f"agent{i}"))
        spans += [
            chat(10 * i + 3 + j, clock, clock + seconds, parent=10 * i + 2, tokens=(9, 100), error=error)
            for j in range(together)
        ]
        clock += seconds
    return [workflow(1, 0, clock), *spans]


def test_more_calls_at_once_than_were_recorded_are_warned_of() -> None:
    assert "more-at-once" in ids(predicted(*calls(1, 1, 1), change="parallel agent=agent*"))


def test_calls_that_were_slower_the_more_went_on_are_warned_of() -> None:
    found = predicted(*calls(1, 1.1, 1, 2, 2.1, 2), change="parallel agent=agent*")
    assert "contended" in ids(found)
    assert reaches_no_saving(found)


def test_a_provider_that_refused_calls_is_warned_of() -> None:
    found = predicted(*calls(1, 1, 1, error="429"), change="parallel agent=agent*")
    assert "rate-limit-unknown" in ids(found)
    assert reaches_no_saving(found)


@pytest.mark.parametrize("error", ["CancelledError", "TimeoutError"])
def test_spans_that_were_cut_short_are_warned_of(error: str) -> None:
    spans = [workflow(1, 0, 6), tool(2, 0, 4, parent=1, error=error), tool(3, 4, 6, parent=1)]
    found = predicted(*spans, change="duration prices x0.5")
    assert "cut-short" in ids(found)
    assert reaches_no_saving(found)


def test_a_step_taken_out_of_a_loop_is_warned_of() -> None:
    names = ["writer", "critic"] * 3
    spans = [agent(2 + i, i, i + 1, parent=1, name=name) for i, name in enumerate(names)]
    found = predicted(workflow(1, 0, 6), *spans, change="remove agent=critic")
    assert {"part-of-a-loop", "quality"} <= ids(found)
    assert reaches_no_saving(found)


def test_clocks_that_are_off_are_warned_of() -> None:
    spans = [workflow(1, 0, 6), agent(2, 1, 5, parent=1), chat(3, 0.5, 5, parent=2)]
    assert "clock-skew" in ids(predicted(*spans, change="duration chat x0.5"))


def test_what_hands_over_later_than_recorded_is_warned_of() -> None:
    case = PROGRAMS["FAMILIES"]["linked_queue"](random.Random(1))
    before = [PROGRAMS["recorded"](case.before, 1)]
    assert "slower-hand-over" in ids(predict(before, [change_of("duration make* x2")]))
    assert "slower-hand-over" not in ids(predict(before, [change_of("duration make* x0.5")]))


def test_a_prompt_that_holds_what_another_wrote_is_warned_of() -> None:
    read = {c.REQUEST_SOURCES: "0003aaaaaaaaaaaa:9:9"}
    spans = [workflow(1, 0, 4), agent(2, 0, 2, parent=1, name="a"), chat(3, 0, 2, parent=2)]
    spans += [agent(4, 2, 4, parent=1, name="b"), chat(5, 2, 4, parent=4, attributes=read)]
    assert "reads-output" in ids(predicted(*spans, change="parallel agent=a,b"))


def test_a_rate_that_the_recorded_requests_would_not_give_is_warned_of() -> None:
    about = {c.OPERATION_NAME: "retrieval", c.DATA_SOURCE_ID: "news"}
    spans = [chat(2 + i, i, i + 1, parent=1, attributes={**about, c.REQUEST_HASH: f"h{i // 2}"}) for i in range(4)]
    assert "rate-above-recorded" in ids(predicted(workflow(1, 0, 4), *spans, change="cache news at 80 %"))
    assert "rate-above-recorded" not in ids(predicted(workflow(1, 0, 4), *spans, change="cache news at 50 %"))


def test_an_order_that_is_only_assumed_is_warned_of_where_it_matters() -> None:
    spans = [tool(2, 0, 2, parent=1, name="a"), tool(3, 0, 4, parent=1, name="b"), tool(4, 4, 6, parent=1, name="c")]
    found = predicted(workflow(1, 0, 6), *spans, change="duration b x0.25")
    assert "assumed-order" in ids(found)
    assert (found.median.low, found.median.after) == (3.0, 4.0)
    assert "assumed-order" not in ids(predicted(workflow(1, 0, 6), *spans, change="duration c x0.25"))
