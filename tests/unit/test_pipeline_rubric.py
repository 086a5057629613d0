"""A rubric made from the tasks: what must be said follows from the prompts' own formulas."""

from __future__ import annotations

import pytest

from spanwise_pipeline import Grade, Task, expected_facts, facts_of, grade_sections

TASKS = (
    Task("Costs", ("rent",), ("Compute year: rent * 12.",)),
    Task("Verdict", ("year",), ("Conclude verdict: move if year > 10000; else stay.",)),
)
EXPECTED = {"Costs": {"rent": "900", "year": "10800"}, "Verdict": {"year": "10800", "verdict": "move"}}
GOOD = {
    "Costs": "## Costs\nrent = 900\nEach month so much.\nyear = 10800\nAll twelve months.",
    "Verdict": "## Verdict\nyear = 10800.00001\nAs said above.\nverdict = move\nIt costs too much.",
}


def graded(**changed: str) -> Grade:
    return grade_sections(GOOD | changed, EXPECTED, least_words=3)


def test_what_a_task_must_state_follows_from_the_facts_and_the_tasks_before_it() -> None:
    assert expected_facts(TASKS, {"rent": "900"}) == EXPECTED


def test_a_fact_that_nobody_knows_is_expected_of_nobody() -> None:
    assert expected_facts(TASKS, {}) == {"Costs": {}, "Verdict": {}}


def test_a_whole_answer_has_the_best_grade() -> None:
    assert graded() == Grade("A+", 100.0, ())


@pytest.mark.parametrize(
    ("changed", "faults"),
    [
        ({"Costs": ""}, ("Costs: the section is missing", "Costs: rent is missing", "Costs: rent is not explained",
                         "Costs: year is missing", "Costs: year is not explained")),
        ({"Costs": GOOD["Costs"].replace("10800", "1080")}, ("Costs: year is 1080, must be 10800",)),
        ({"Costs": GOOD["Costs"].replace("All twelve months", "All")}, ("Costs: year is not explained",)),
        ({"Costs": GOOD["Costs"].replace("## Costs", "## Cost")}, ("Costs: the section is missing",)),
        ({"Verdict": GOOD["Verdict"].replace("move", "stay")}, ("Verdict: verdict is stay, must be move",)),
    ],
)  # fmt: skip
def test_a_fault_is_named_and_costs_its_share_of_the_ten_checks(
    changed: dict[str, str], faults: tuple[str, ...]
) -> None:
    found = graded(**changed)

    assert (found.faults, found.score) == (faults, 100.0 - 10.0 * len(faults))


def test_facts_are_lines_of_a_text() -> None:
    assert facts_of("## T\na = 1\nno fact\n- b_2 = two words.") == {"a": "1", "b_2": "two words"}
