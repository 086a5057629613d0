"""What the desk decides, and that every figure of a tool and every fact of the request counts for it."""

from __future__ import annotations

import pytest
from support.systems import Spoiling, direct, lower, unspoiled
from support.trading import PRESETS, as_shipped, shorten

from spanwise_pipeline.runner import answer_hash
from spanwise_pipeline.systems.trading import SYSTEM, desk, desk_tools, prompts
from spanwise_pipeline.systems.trading.rubric import SECTIONS

ANSWER = {
    "ticker": "MSFT", "as_of": "2013-03-01", "decision": "BUY", "recommendation": "BUY", "conviction": 0.3361,
    "market_score": 0.1776, "sentiment_score": 0.3266, "news_score": 0.2383, "fundamentals_score": 0.5062,
    "bull_strength": 1.2487, "bear_strength": 0.9798, "final_size": 0.0353, "final_stop": 27.16,
}  # fmt: skip
presets = pytest.mark.parametrize("preset", list(PRESETS))
ends = pytest.mark.parametrize("preset", ["baseline", "optimized"])


@pytest.fixture
def short_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten(monkeypatch)


@pytest.mark.slow
@presets
def test_every_preset_gives_the_same_answer_at_the_best_grade(preset: str) -> None:
    _, outcome = as_shipped(preset)

    assert (outcome.grade, outcome.score, outcome.faults) == ("A+", 100.0, ())
    assert outcome.answer == ANSWER
    assert answer_hash(outcome.answer) == answer_hash(dict(sorted(ANSWER.items(), reverse=True)))
    assert list(outcome.report) == list(SECTIONS)


@pytest.mark.slow
@presets
def test_replies_made_directly_are_those_that_come_over_http(preset: str) -> None:
    assert unspoiled(SYSTEM, PRESETS[preset]).report == as_shipped(preset)[1].report


@pytest.mark.slow
@pytest.mark.usefixtures("short_texts")
@ends
def test_a_figure_that_any_tool_leaves_out_lowers_the_grade(preset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    flags = PRESETS[preset]
    good = unspoiled(SYSTEM, flags)
    printed = desk_tools.print_figures
    figures: set[str] = set()

    def note(found: dict[str, float]) -> str:
        figures.update(found)
        return printed(found)

    monkeypatch.setattr(desk_tools, "print_figures", note)
    direct(SYSTEM, flags, Spoiling())

    def survives(name: str) -> bool:
        monkeypatch.setattr(
            desk_tools, "print_figures", lambda found: printed({k: v for k, v in found.items() if k != name})
        )
        return not lower(direct(SYSTEM, flags, Spoiling()), good)

    assert figures == {name for task in prompts.ANALYSTS.values() for name in task.states}
    assert [name for name in sorted(figures) if survives(name)] == []


@pytest.mark.usefixtures("short_texts")
@presets
def test_a_fact_missing_in_the_request_lowers_the_grade(preset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    flags = PRESETS[preset]
    good = unspoiled(SYSTEM, flags)
    lines = desk.REQUEST.splitlines()

    for missing in lines:
        monkeypatch.setattr(desk, "REQUEST", "\n".join(line for line in lines if line != missing))
        assert lower(direct(SYSTEM, flags, Spoiling()), good), missing
