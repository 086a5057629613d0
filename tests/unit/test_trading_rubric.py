from __future__ import annotations

import pytest

from spanwise_pipeline.systems.trading import prompts
from spanwise_pipeline.systems.trading.desk import REQUEST
from spanwise_pipeline.systems.trading.prompts import facts_of, only_facts
from spanwise_pipeline.systems.trading.rubric import (
    ANSWER,
    MIN_WORDS,
    SECTIONS,
    Grade,
    decision_of,
    expected_values,
    grade_report,
)

WORDS = " ".join(["word"] * MIN_WORDS)
CHECKS = len(SECTIONS) + 2 * sum(len(names) for names in SECTIONS.values())


def written(title: str, values: dict[str, float | str]) -> str:
    lines = [f"{name} = {values[name]}\n{WORDS}" for name in SECTIONS[title]]
    return "\n".join([f"## {title}", *lines])


def perfect() -> dict[str, str]:
    """A report written without any model."""
    values = expected_values(facts_of(REQUEST))
    return {title: written(title, values) for title in SECTIONS}


def score(faults: int) -> float:
    return round(100.0 * (CHECKS - faults) / CHECKS, 2)


def spoiled(title: str, old: str, new: str) -> Grade:
    report = perfect()
    assert old in report[title]
    return grade_report(report | {title: report[title].replace(old, new)}, REQUEST)


def test_a_perfect_report_scores_100() -> None:
    assert grade_report(perfect(), REQUEST) == Grade("A+", 100.0, ())


def test_an_empty_report_scores_0() -> None:
    grade = grade_report({}, REQUEST)

    assert (grade.grade, grade.score, len(grade.faults)) == ("F", 0.0, CHECKS)


def test_a_missing_section_is_named_with_all_its_facts() -> None:
    report = perfect()
    del report["Risk decision"]

    names = SECTIONS["Risk decision"]
    facts = [f"Risk decision: {name} is {what}" for name in names for what in ("missing", "not explained")]
    faults = ("Risk decision: the section is missing", *facts)
    assert grade_report(report, REQUEST) == Grade("A", score(len(faults)), faults)


def test_a_wrong_title_is_a_missing_section() -> None:
    assert spoiled("Brief", "## Brief", "## Summary").faults == ("Brief: the section is missing",)


def test_a_wrong_figure_is_named_with_the_right_one() -> None:
    right = expected_values(facts_of(REQUEST))["rsi_14"]

    assert spoiled("Market report", f"rsi_14 = {right}", "rsi_14 = 5") == Grade(
        "A", score(1), (f"Market report: rsi_14 is 5, must be {right}",)
    )


def test_a_figure_is_right_to_four_decimals() -> None:
    close = expected_values(facts_of(REQUEST))["close"]

    assert spoiled("Market report", f"close = {close}", f"close = {close}0").score == 100.0
    assert spoiled("Market report", f"close = {close}", f"close = {close}1").score == score(1)


def test_a_decision_that_does_not_follow_is_a_fault() -> None:
    grade = spoiled("Risk decision", "decision = BUY", "decision = SELL")

    assert grade.faults == ("Risk decision: decision is SELL, must be BUY",)


def test_a_fact_without_enough_words_is_not_explained() -> None:
    report = perfect()
    short = " ".join(["word"] * (MIN_WORDS - 1))

    text = report["Neutral view"].replace(WORDS, short, 1)
    name = SECTIONS["Neutral view"][0]
    assert grade_report(report | {"Neutral view": text}, REQUEST).faults == (f"Neutral view: {name} is not explained",)


def test_a_fact_that_is_said_not_to_be_known_is_missing() -> None:
    values = expected_values(facts_of(REQUEST))

    grade = spoiled("Brief", f"lookback_days = {values['lookback_days']}\n{WORDS}", "lookback_days is not known.")

    assert grade.faults == ("Brief: lookback_days is missing", "Brief: lookback_days is not explained")


@pytest.mark.parametrize(
    ("share", "letter"), [(0.0, "A+"), (0.04, "A"), (0.09, "A-"), (0.19, "B"), (0.29, "C"), (0.39, "D"), (0.5, "F")]
)
def test_grades_follow_the_share_of_checks_that_hold(share: float, letter: str) -> None:
    report = perfect()
    left = int(share * CHECKS)
    for title, names in SECTIONS.items():
        for name in names[: max(0, left)]:
            report[title] = report[title].replace(f"{name} = ", f"{name} = x", 1)
        left -= len(names[: max(0, left)])
        if left > 0:
            report[title] = report[title].replace(WORDS, "", left)
            left -= len(names)

    assert grade_report(report, REQUEST).grade == letter


def test_the_answer_is_the_decision_with_the_facts_it_rests_on_in_canonical_order() -> None:
    values = expected_values(facts_of(REQUEST))

    answer = decision_of(perfect())
    assert list(answer) == sorted(ANSWER)
    assert answer == {name: values[name] for name in ANSWER}
    assert decision_of({}) == {}


def test_every_agent_s_task_is_a_section() -> None:
    assert len(SECTIONS) == 15
    assert len(set(prompts.ANALYSTS) | set(prompts.RISK_VIEWS)) == 7


def test_facts_are_read_from_plain_and_listed_lines() -> None:
    text = "## Title\na = 1\nsome words = not a fact\n- b_2 = two words  \nc=3\nd is not known."

    assert facts_of(text) == {"a": "1", "b_2": "two words"}
    assert only_facts(text) == "a = 1\nb_2 = two words"
