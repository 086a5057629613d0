"""Changes in words: what is read, what is meant by a selection, and what is refused with a remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.predictions import desk
from support.traces import chat, run_of, step, tool, wait, workflow

from spanwise import conventions as c
from spanwise.errors import InputError
from spanwise_profiling.analysis.tree import tree_of
from spanwise_profiling.prediction.language import VERBS, change_of, changes_in
from spanwise_profiling.prediction.predict import predict
from spanwise_profiling.prediction.selection import names_of, selection_of

if TYPE_CHECKING:
    from pathlib import Path

    from spanwise_profiling.prediction.result import Prediction

RUNS = [desk(number) for number in range(1, 9)]


def predicted(*texts: str, runs: Any = RUNS) -> Prediction:
    return predict(runs, [change_of(text) for text in texts])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("duration tool x0.5", {"factor": 0.5}),
        ("duration tool -2 s", {"seconds": -2.0}),
        ("duration tool +250ms", {"seconds": 0.25}),
        ("cache market_data", {"rate": None}),
        ("cache market_data at 80 %", {"rate": 0.8}),
        ("cache market_data at 12.5% hit 5 ms", {"rate": 0.125, "hit_seconds": 0.005}),
        ("cap chat at 4", {"capacity": 4}),
        ("rate chat at 60/min", {"count": 60, "seconds": 60.0}),
        ("rate chat at 5 per second", {"count": 5, "seconds": 1.0}),
        ("stop agent=writer after 2", {"after": 2}),
        ("output chat at 200 tokens", {"tokens": 200}),
        ("output chat x0.5", {"factor": 0.5, "tokens": None}),
        ("model chat first 0.4 s, 8 ms a token", {"first_seconds": 0.4, "token_seconds": 0.008, "price": None}),
        ("model chat first 1 s 8 ms per token, price 0.15/0.6", {"price": (0.15, 0.6)}),
        ("input chat x0.3", {"factor": 0.3, "tokens": None}),
        ("tier chat x1.5, price x0.5", {"factor": 1.5, "price": 0.5}),
        ("hedge retrieval after p95", {"percentile": 95.0}),
        ("retry chat after x0.5", {"factor": 0.5}),
    ],
)
def test_a_change_is_what_it_says(text: str, said: dict[str, Any]) -> None:
    change = change_of(text)
    assert {name: getattr(change, name) for name in said} == said
    assert change.text == text
    assert change.kind == text.split(maxsplit=1)[0]


def test_each_verb_has_an_example_that_is_read() -> None:
    assert {change_of(verb.example).kind for verb in VERBS.values()} == set(VERBS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a change is empty; say what to change: cache market_data at 80 %"),
        ("cahe market_data", "unknown verb 'cahe'; did you mean 'cache'?"),
        ("cache", "not understood; write it as in: cache market_data at 80 %"),
        ("cap chat at four", "not understood; write it as in: cap chat at 4"),
        ("cap chat at 0", "0 is no number from 1 on"),
        ("cache market_data at 180 %", "a hit rate is at most 100 %"),
        ("tier chat x0.5, price x0.5", "a tier is slower, such as x1.5"),
        ("input chat x0.5", "nothing tells what a token of a prompt takes"),
        ("hedge chat after p20", "hedge after p50 or later, below p100"),
        ("remove 'chat", "close the quotation marks"),
        ("remove agnt=judge", "unknown field 'agnt'; did you mean 'agent'?"),
        ("remove kind=tol", "no kind of span; did you mean 'tool'?"),
        ("remove agent=", "names nothing"),
        ("remove agent=jugde", "agent=jugde: matches no span of these runs; did you mean 'judge'?"),
        ("remove market_dat", "did you mean 'market_data'?"),
        ("remove chat agent=judge name=market_data", "each word alone does, all together do not"),
        ("parallel agent=judge", "only one span (judge) below any one parent; name at least two siblings"),
        ("cache chat", "no request hash is recorded for these spans; say a rate (at 80 %)"),
        ("output market_data at 9 tokens", "matches no model call"),
        ("retry chat after 1 s", "no pause before another attempt is recorded for these spans"),
        ("hedge agent=judge after p95", "8 spans of judge in all runs; a percentile needs 20: give more runs"),
    ],
)
def test_what_cannot_be_read_or_predicted_is_refused_with_a_remedy(text: str, message: str) -> None:
    with pytest.raises(InputError) as refused:
        predicted(text)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("duration market_data x0.5", "duration retrieval x2"),
        ("cap chat at 2", "rate chat at 60/min"),
        ("output chat at 9 tokens", "model chat first 1 s, 8 ms a token"),
        ("remove agent=judge", "duration agent=judge x0.5"),
    ],
)
def test_changes_that_contradict_each_other_are_refused(one: str, other: str) -> None:
    with pytest.raises(InputError, match="contradict each other: both are about"):
        predicted(one, other)


def selected(*words: str) -> list[str]:
    tree = tree_of(RUNS[0])
    return [names_of(tree, node)[0] for node in selection_of(words).nodes(tree)]


def test_words_select_by_kind_name_agent_and_attribute_and_all_must_hold() -> None:
    analysts = ["market_analyst", "news_analyst", "risk_analyst"]
    assert selected("retrieval") == ["market_data"] * 3
    assert selected("market_data") == ["market_data"] * 3
    assert selected("agent=*_analyst") == analysts
    assert selected("agent=market_analyst,news_analyst", "chat") == ["gpt-4.1-mini"] * 2
    assert selected("agent", "agent!=*_analyst") == ["planner", "judge"]
    assert selected(f"{c.REQUEST_HASH}=prices") == ["market_data"] * 2
    assert selected("kind=agent", "name=judge") == ["judge"]


def test_steps_roles_and_limits_are_selected_by_name() -> None:
    steps = [workflow(1, 0, 3), step(2, 0, 1, parent=1, name="draft"), step(3, 1, 2, parent=1, name="check")]
    tree = tree_of(run_of(*steps, tool(4, 1, 2, parent=3), wait(5, 2, 3, parent=1, resource="llm")))
    assert selection_of(["step=check"]).nodes(tree) == [2]
    assert selection_of(["tool", "step=check"]).nodes(tree) == [3]
    assert selection_of(["llm"]).nodes(tree) == selection_of(["concurrency"]).nodes(tree) == [4]


def test_tools_that_a_model_asked_for_later_do_not_start_with_the_first() -> None:
    spans = [tool(2, 0, 1, parent=1), tool(3, 1, 2, parent=1), chat(4, 2, 3, parent=1), tool(5, 3, 4, parent=1)]
    run = run_of(workflow(1, 0, 5), *spans, tool(6, 4, 5, parent=1))
    assert predicted("parallel tool", runs=[run]).median.after == 3.0


def test_a_file_of_changes_is_read_and_its_faults_are_placed(tmp_path: Path) -> None:
    path = tmp_path / "changes.yaml"
    path.write_text("changes:\n  - parallel agent=*_analyst\n  - cache market_data at 80 %\n")
    assert [change.kind for change in changes_in(path)] == ["parallel", "cache"]
    for text, message in (
        ("changes: [cap chat at four]", r"changes.yaml: change 1: change 'cap chat at four': not understood"),
        ("changes: [7]", "change 1 is no line of text; quote it"),
        ("- cap chat at 4", "give a list under `changes`"),
        ("changes: [", "cannot be read"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=message):
            changes_in(path)


def test_runs_that_failed_are_counted_and_left_out() -> None:
    failed = run_of(workflow(1, 0, 3, name="desk", error="ValueError"), chat(2, 0, 3, parent=1))
    found = predicted("duration chat x0.5", runs=[*RUNS, failed])
    assert found.left_out == ("1 of 9 runs failed or have not ended",)
    assert len(found.run_ids) == 8
    with pytest.raises(InputError, match="nothing can be predicted from these runs: 1 of 1 runs failed"):
        predicted("duration chat x0.5", runs=[failed])
    other = run_of(workflow(1, 0, 3, name="other"), chat(2, 0, 3, parent=1))
    with pytest.raises(InputError, match="runs of one workflow are predicted from, and these are of desk, other"):
        predicted("duration chat x0.5", runs=[*RUNS, other])


def test_money_and_tokens_follow_the_change() -> None:
    found = predicted("output chat x0.5")
    assert found.cost is not None
    assert found.cost.after < found.cost.before
    assert found.tokens[1] < found.tokens[0]
    cheaper = predicted("model chat first 0.5 s, 10 ms a token, price 0/0")
    assert cheaper.cost is not None
    assert cheaper.cost.after == 0
    assert predicted("remove agent=judge").tokens[1] < found.tokens[0]


def test_a_rate_is_kept_on_average_and_its_luck_is_in_the_interval() -> None:
    whole, none = predicted("remove market_data"), predicted("duration market_data x1")
    found = predicted("cache market_data at 50 %")
    assert found.median.after == pytest.approx((whole.median.after + none.median.after) / 2, rel=0.05)
    assert found.median.low < found.median.after < found.median.high


def test_slow_calls_that_are_asked_twice_take_less() -> None:
    spans = [tool(2 + i, i, i + (1 if i < 29 else 30), parent=1) for i in range(30)]
    found = predicted("hedge prices after p95", runs=[run_of(workflow(1, 0, 59), *spans)])
    assert found.median.after < 40


def test_the_explanation_says_what_is_on_the_path_and_what_is_left() -> None:
    found = predicted("parallel agent=*_analyst").explanation
    parts = {part.name: part for part in found.parts}
    assert sum(part.before for part in found.parts) == pytest.approx(found.before)
    assert sum(part.after for part in found.parts) == pytest.approx(found.after)
    assert sum(1 for name in parts if name.endswith("_analyst") and parts[name].after) == 1
    assert found.floor < found.after


def side_by_side(*seconds: float) -> Any:
    """Return a run of calls side by side, each of a priced model and with 100 tokens for each second."""
    spans = [
        chat(2 + i, 0, long, parent=1, model="gpt-4.1-mini", tokens=(100, round(100 * long)))
        for i, long in enumerate(seconds)
    ]
    return run_of(workflow(1, 0, max(seconds)), *spans)


def test_a_slower_tier_answers_the_calls_that_nobody_waits_for() -> None:
    found = predicted("tier chat x1.5, price x0.5", runs=[side_by_side(8, 4, 7)])
    assert found.median.after == found.median.before
    assert found.cost is not None
    cost = [100 * 0.4e-6 + tokens * 1.6e-6 for tokens in (800, 400, 700)]
    assert found.cost.after == pytest.approx(cost[0] + cost[1] / 2 + cost[2])
    assert any(doubt.id == "slack" and ": 1 of 3 calls" in doubt.text for doubt in found.doubts)


def test_shorter_prompts_take_what_times_to_the_first_chunk_say() -> None:
    spans = []
    for i, tokens in enumerate((1000, 2000, 4000, 8000)):
        about = {c.RESPONSE_TIME_TO_FIRST_CHUNK: 1 + tokens / 4000}
        spans.append(chat(2 + i, 10 * i, 10 * i + 10, parent=1, tokens=(tokens, 50), attributes=about))
    found = predicted("input chat x0.5", runs=[run_of(workflow(1, 0, 40), *spans)])
    assert found.median.saving == pytest.approx((500 + 1000 + 2000 + 4000) / 4000)
    assert found.tokens == (15_200, 7_700)


def test_prompts_that_hold_a_shorter_answer_get_shorter_too() -> None:
    first = {c.RESPONSE_TIME_TO_FIRST_CHUNK: 1.4, c.RESPONSE_NEW_CHARACTERS: 4000}
    spans = [chat(2, 0, 11, parent=1, tokens=(400, 1000), attributes={**first, c.REQUEST_SOURCES: ""})]
    for i, tokens in enumerate((1000, 2000, 4000)):
        about: dict[str, Any] = {c.RESPONSE_TIME_TO_FIRST_CHUNK: 1 + tokens / 1000}
        about |= {c.REQUEST_SOURCES: "0002aaaaaaaaaaaa:4000:9"} if i == 0 else {}
        begin = 11 + 10 * i
        spans.append(chat(3 + i, begin, begin + 10, parent=1, tokens=(tokens, 10), attributes=about))
    found = predicted("output chat gen_ai.usage.output_tokens=1000 x0.5", runs=[run_of(workflow(1, 0, 41), *spans)])
    assert found.median.saving == pytest.approx(9.6 / 2 + 0.5)
    assert found.tokens[0] - found.tokens[1] == 1000


def test_lines_of_spans_run_side_by_side() -> None:
    whole, split = (
        predicted("parallel agent=*_analyst"),
        predicted("parallel agent=market_analyst,news_analyst | agent=risk_analyst"),
    )
    assert whole.median.saving > split.median.saving > 0
    assert split.changes[0].spans == 24
    with pytest.raises(InputError, match="a line is empty; write it as in: parallel agent=a,b"):
        predicted("parallel agent=a |")


def test_a_factor_and_seconds_of_the_same_spans_go_together_in_this_order() -> None:
    run = run_of(workflow(1, 0, 4), tool(2, 0, 4, parent=1))
    assert predicted("duration tool -1 s", "duration tool x0.5", runs=[run]).median.after == 1.0
