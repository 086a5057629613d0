"""How good an answer is: every fact is worked out again from the documents, by the formulas that the prompts state."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from spanwise_pipeline import Grade, Task, expected_facts, facts_of, grade_sections
from spanwise_pipeline.systems.orchestrator.orchestrator import TOOLS
from spanwise_pipeline.systems.orchestrator.prompts import FEWEST_WORDS, read_template

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

TEMPLATES: Final = (
    "intent", "route", "offers", "verify_offers", "budget", "verify_budget", "hall", "verify_hall", "people",
    "verify_people", "council", "verify_council", "decision", "verify_decision", "report", "verify_report",
)  # fmt: skip
"""What is written, in an order in which each follows from those before."""
ANSWER: Final = (
    "decision", "mover", "mover_total", "available", "hall_fits", "cost_with_reserve", "margin", "closed_days",
    "slack_days", "total_cost", "decision_check", "report_check",
)  # fmt: skip
"""The decision and the facts that it rests on."""


def grade_answer(sections: Mapping[str, str], expected: Mapping[str, Mapping[str, str]]) -> Grade:
    """Grade what was written, given what it must state, of `required_facts`."""
    return grade_sections(sections, expected, least_words=FEWEST_WORDS)


def required_facts(request: str, folder: Path) -> dict[str, dict[str, str]]:
    """Return what must be stated on a request about the documents of a folder, by title and fact."""
    return expected_facts([task_of(name) for name in TEMPLATES], known(request, folder))


def decision_of(sections: Mapping[str, str]) -> dict[str, Any]:
    """Return the decision and the facts that it rests on, as the sections state them, in canonical order."""
    stated = facts_of("\n".join(sections.values()))
    return {name: _number_or_text(stated[name]) for name in sorted(ANSWER) if name in stated}


def task_of(name: str) -> Task:
    """Return what a template asks for."""
    template = read_template(name)
    states = re.findall(r"^State (.*)\.$", template.text, re.MULTILINE)
    derives = re.findall(r"^(?:Compute|Conclude) .*$", template.text, re.MULTILINE)
    return Task(template.title, tuple(fact for line in states for fact in line.split(", ")), tuple(derives))


def known(request: str, folder: Path) -> dict[str, str]:
    """Return every fact of the request, of the tools' manifests and of the documents."""
    facts = facts_of(request)
    for path in sorted(folder.glob(f"{TOOLS}/*.json")):
        manifest = json.loads(path.read_text(encoding="utf-8"))
        facts[manifest["name"]] = ", ".join(manifest["parameters"]["properties"])
    for path in sorted(folder.glob("documents/*/*.txt")):
        facts |= facts_of(path.read_text(encoding="utf-8"))
    return facts


def _number_or_text(value: str) -> float | str:
    try:
        return float(value)
    except ValueError:
        return value
