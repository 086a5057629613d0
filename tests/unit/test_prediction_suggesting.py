"""The best next change: findings said in words that can be typed, and pairs of them."""

from __future__ import annotations

from dataclasses import replace

from support.traces import agent, chat, failing, run_of, tool, workflow

from spanwise import conventions as c
from spanwise_profiling.prediction.predict import Recorded
from spanwise_profiling.prediction.suggesting import suggested


def test_calls_that_one_answer_asked_for_and_repeats_are_suggested_and_best_together() -> None:
    spans = [workflow(1, 0, 20), agent(2, 0, 20, parent=1), chat(3, 0, 2, parent=2)]
    for i in range(6):
        made = tool(4 + i, 2 + 2 * i, 4 + 2 * i, parent=2, name=f"t{i}")
        spans.append(replace(made, attributes={**made.attributes, c.TOOL_CALL_ID: f"c{i}"}))
    spans += [chat(20, 14, 17, parent=2, attributes={c.REQUEST_HASH: "h"})]
    spans += [chat(21, 17, 20, parent=2, attributes={c.REQUEST_HASH: "h"})]
    found = suggested(Recorded([run_of(*spans)]))
    assert [(one.texts, round(one.prediction.median.saving, 3)) for one in found.singles] == [
        (("parallel tool",), 10.0),
        (("cache chat name=sim-1",), 3.0),
    ]
    assert found.pair is not None
    assert found.pair.prediction.median.saving == 13.0


def test_pauses_before_another_attempt_are_suggested_to_be_shorter() -> None:
    found = suggested(Recorded([run_of(*failing(4))]))
    assert ("retry chat name=sim-1 after x0.5",) in [one.texts for one in found.singles]


def test_a_run_without_findings_has_no_suggestion() -> None:
    found = suggested(Recorded([run_of(workflow(1, 0, 4), chat(2, 0, 4, parent=1))]))
    assert (found.singles, found.pair) == ((), None)
