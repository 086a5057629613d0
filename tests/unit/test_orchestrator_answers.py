"""What the orchestrator answers, and that each document and each note of the memory counts for it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from support.orchestrator import TRIAL, in_full, shipped_profile, shorten
from support.systems import Spoiling, direct, lower, unspoiled

from spanwise_pipeline.systems import orchestrator
from spanwise_pipeline.systems.orchestrator import DATA, SYSTEM
from spanwise_pipeline.systems.orchestrator.rubric import TEMPLATES, required_facts, task_of

if TYPE_CHECKING:
    from pathlib import Path

ANSWER = {
    "available": 9900.0, "closed_days": 18.9, "cost_with_reserve": 9844.8, "decision": "move",
    "decision_check": "confirmed", "hall_fits": "yes", "margin": 55.2, "mover": "Quayside Movers",
    "mover_total": 8790.0, "report_check": "confirmed", "slack_days": 16.1, "total_cost": 9844.8,
}  # fmt: skip
READ = {
    "offers": {"brandt", "quayside", "two-oaks"}, "budget": {"grant", "savings"}, "hall": {"survey", "shelves"},
    "people": {"helpers", "collection"}, "council": {"lease", "permit"}, "memory": {"reserve", "tone"},
}  # fmt: skip
"""The documents that a right search finds; the others are about something else."""


@pytest.fixture
def documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data of a run, to be changed."""
    shorten(monkeypatch)
    shutil.copytree(DATA, tmp_path / "data")
    monkeypatch.setattr(orchestrator, "DATA", tmp_path / "data")
    return tmp_path / "data" / "documents"


@pytest.mark.slow
@pytest.mark.parametrize("preset", list(SYSTEM.presets))
def test_a_run_over_http_gives_the_answer_at_the_best_grade(preset: str) -> None:
    _, outcome = in_full(SYSTEM.presets[preset], shipped_profile())

    assert (outcome.grade, outcome.score, outcome.faults) == ("A+", 100.0, ())
    assert outcome.answer == ANSWER
    assert outcome.report == unspoiled(SYSTEM, SYSTEM.presets[preset]).report


def test_what_must_be_stated_follows_from_the_documents_by_the_prompts_formulas() -> None:
    expected = required_facts(orchestrator.request(), DATA)

    assert list(expected) == [task_of(name).title for name in TEMPLATES]
    # 7350 + 6 x 240 is the least of the three totals; 9000 x 0.8 + 4200 - 1500 may be spent
    assert (expected["Moving offers"]["mover_total"], expected["Budget"]["available"]) == ("8790", "9900")
    # 3120 boxes by 14 helpers with 26 a day take 8.6 days, unpacking half of that, and moving 6
    assert expected["Decision"]["closed_days"] == "18.9"
    assert {name: value for facts in expected.values() for name, value in facts.items() if name.endswith("_check")} == {
        f"{name}_check": "confirmed" for name in ("offers", "budget", "hall", "people", "council", "decision", "report")
    }


@pytest.mark.slow
def test_every_document_that_a_search_should_find_counts_and_no_other(documents: Path) -> None:
    good = unspoiled(SYSTEM, TRIAL.best)

    def survives(path: Path) -> bool:
        text = path.read_text(encoding="utf-8")
        path.unlink()
        outcome = direct(SYSTEM, TRIAL.best, Spoiling())
        path.write_text(text, encoding="utf-8")
        return not lower(outcome, good)

    found = {(path.parent.name, path.stem) for path in documents.rglob("*.txt") if not survives(path)}
    assert found == {(folder, name) for folder, names in READ.items() for name in names}


def test_another_figure_in_a_document_gives_another_decision(documents: Path) -> None:
    grant = documents / "budget" / "grant.txt"
    grant.write_text(grant.read_text(encoding="utf-8").replace("= 9000", "= 8000"), encoding="utf-8")

    answer = unspoiled(SYSTEM, TRIAL.best).answer

    # 800 less may be spent, which is more than the 55.20 that were left
    assert (answer["available"], answer["margin"], answer["decision"]) == (9100.0, -744.8, "wait")
    assert answer["decision_check"] == "confirmed"


def test_the_report_and_the_note_for_the_memory_are_written_into_the_user_s_folder(tmp_path: Path) -> None:
    _, outcome = in_full(TRIAL.best, shipped_profile(), keep=tmp_path)

    (folder,) = tmp_path.iterdir()
    assert (folder / "reports" / "moving.md").read_text(encoding="utf-8") == f"{outcome.report['Report']}\n"
    (note,) = {path.name for path in (folder / "memory").iterdir()} - {f"{name}.txt" for name in READ["memory"]} - {
        "opening.txt", "cards.txt",
    }  # fmt: skip
    assert "last_decision = move" in (folder / "memory" / note).read_text(encoding="utf-8")
    assert (folder / ".index" / "passages.voyager").stat().st_size > 0
