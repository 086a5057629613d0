"""Every agent, every fact and every paragraph of the desk counts; no flag changes what it decides."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any

import pytest
from support.trading import FLAGS, PRESETS, as_shipped, direct, lower, unspoiled, worse

from spanwise_pipeline.runner import answer_hash
from spanwise_pipeline.systems.trading import SYSTEM, desk, desk_tools, prompts
from spanwise_pipeline.systems.trading.flags import TradingFlags
from spanwise_pipeline.systems.trading.prompts import Composer
from spanwise_pipeline.systems.trading.rubric import MIN_WORDS, SECTIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spanwise_pipeline.systems.trading.prompts import Task

AGENTS = (
    "dispatcher", "market_analyst", "sentiment_analyst", "news_analyst", "fundamentals_analyst", "bull_researcher",
    "bear_researcher", "research_manager", "trader", "aggressive_analyst", "conservative_analyst", "neutral_analyst",
    "risk_manager",
)  # fmt: skip
ANSWER = {
    "ticker": "MSFT", "as_of": "2013-03-01", "decision": "BUY", "recommendation": "BUY", "conviction": 0.3361,
    "market_score": 0.1776, "sentiment_score": 0.3266, "news_score": 0.2383, "fundamentals_score": 0.5062,
    "bull_strength": 1.2487, "bear_strength": 0.9798, "final_size": 0.0353, "final_stop": 27.16,
}  # fmt: skip
REMOVED_BY = {
    "concurrent_debate": {("Bear case", "## Bull case"), ("Bear rebuttal", "## Bull rebuttal")},
    "concurrent_risk": {
        ("Conservative view", "## Aggressive view"),
        ("Neutral view", "## Aggressive view"),
        ("Neutral view", "## Conservative view"),
    },
}
"""Paragraphs (title of the task, first line) that change nothing, and the flag that leaves exactly them out."""

presets = pytest.mark.parametrize("preset", list(PRESETS))
ends = pytest.mark.parametrize("preset", ["baseline", "optimized"])


@pytest.fixture
def short_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    """As few words as the rubric lets pass, so that hundreds of runs take seconds."""
    monkeypatch.setattr(prompts, "WORDS", dict.fromkeys(prompts.WORDS, (MIN_WORDS, MIN_WORDS)))


def prompts_of(flags: TradingFlags, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """The paragraphs of each task's prompt, by the task's title."""
    seen: dict[str, list[str]] = {}
    compose = Composer.compose

    def note(self: Composer, task: Task, context: Sequence[str]) -> list[str]:
        seen[task.title] = compose(self, task, context)
        return list(seen[task.title])

    with monkeypatch.context() as patch:
        patch.setattr(Composer, "compose", note)
        assert direct(flags) is not None
    return seen


def without_paragraph(flags: TradingFlags, wanted: str, position: int, monkeypatch: pytest.MonkeyPatch) -> Any:
    compose = Composer.compose

    def spoil(self: Composer, task: Task, context: Sequence[str]) -> list[str]:
        paragraphs = compose(self, task, context)
        return paragraphs[:position] + paragraphs[position + 1 :] if task.title == wanted else paragraphs

    with monkeypatch.context() as patch:
        patch.setattr(Composer, "compose", spoil)
        return direct(flags)


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
    assert unspoiled(PRESETS[preset]).report == as_shipped(preset)[1].report


@pytest.mark.parametrize("flag", FLAGS)
def test_a_flag_alone_keeps_the_answer(flag: str) -> None:
    outcome = unspoiled(TradingFlags(**{flag: True}))

    assert (outcome.answer, outcome.score) == (ANSWER, 100.0)


@pytest.mark.parametrize("flag", FLAGS)
def test_all_flags_but_one_keep_the_answer(flag: str) -> None:
    outcome = unspoiled(dataclasses.replace(PRESETS["optimized"], **{flag: False}))

    assert (outcome.answer, outcome.score) == (ANSWER, 100.0)


@pytest.mark.usefixtures("short_texts")
@presets
@pytest.mark.parametrize("agent", AGENTS)
def test_an_agent_that_says_nothing_lowers_the_grade(preset: str, agent: str) -> None:
    flags = PRESETS[preset]

    spoiled = direct(flags, lambda speaker, _step, text: "" if speaker == agent else text)

    assert lower(spoiled, unspoiled(flags))


def test_the_desk_has_exactly_these_agents() -> None:
    seen: list[str] = []

    def note(agent: str, _step: str, text: str) -> str:
        seen.append(agent)
        return text

    direct(PRESETS["baseline"], note)
    assert set(seen) == set(AGENTS)
    assert len(AGENTS) == 13


@pytest.mark.slow
@pytest.mark.usefixtures("short_texts")
@ends
def test_a_figure_that_any_tool_leaves_out_lowers_the_grade(preset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    flags = PRESETS[preset]
    good = unspoiled(flags)
    printed = desk_tools.print_figures
    figures: set[str] = set()

    def note(found: dict[str, float]) -> str:
        figures.update(found)
        return printed(found)

    monkeypatch.setattr(desk_tools, "print_figures", note)
    direct(flags)

    def survives(name: str) -> bool:
        monkeypatch.setattr(
            desk_tools, "print_figures", lambda found: printed({k: v for k, v in found.items() if k != name})
        )
        return not lower(direct(flags), good)

    assert figures == {name for task in prompts.ANALYSTS.values() for name in task.states}
    assert [name for name in sorted(figures) if survives(name)] == []


@pytest.mark.usefixtures("short_texts")
@presets
def test_a_fact_missing_in_the_request_lowers_the_grade(preset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    flags = PRESETS[preset]
    good = unspoiled(flags)
    lines = desk.REQUEST.splitlines()

    for missing in lines:
        monkeypatch.setattr(desk, "REQUEST", "\n".join(line for line in lines if line != missing))
        assert lower(direct(flags), good), missing


@pytest.mark.slow
@pytest.mark.usefixtures("short_texts")
@ends
def test_a_fact_that_any_agent_leaves_out_lowers_the_grade(preset: str) -> None:
    flags = PRESETS[preset]
    good = unspoiled(flags)

    def survives(title: str, name: str) -> bool:
        def blank(_agent: str, _step: str, text: str) -> str:
            stated = text.startswith(f"## {title}\n")
            return re.sub(rf"^{name} = .*$", "", text, flags=re.MULTILINE) if stated else text

        return not lower(direct(flags, blank), good)

    facts = [(title, name) for title, names in SECTIONS.items() for name in names]
    assert len(facts) > 80
    assert [fact for fact in facts if survives(*fact)] == []


@pytest.mark.slow
@pytest.mark.usefixtures("short_texts")
@presets
def test_every_paragraph_of_every_prompt_counts_or_is_what_a_flag_leaves_out(
    preset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = PRESETS[preset]
    good = unspoiled(flags)
    removable = {
        (title, paragraph.splitlines()[0])
        for title, paragraphs in prompts_of(flags, monkeypatch).items()
        for position, paragraph in enumerate(paragraphs)
        if not worse(without_paragraph(flags, title, position, monkeypatch), good)
    }

    off = [flag for flag in REMOVED_BY if not getattr(flags, flag)]
    assert removable == {paragraph for flag in off for paragraph in REMOVED_BY[flag]}


@pytest.mark.parametrize("flag", list(REMOVED_BY))
def test_the_paragraphs_that_change_nothing_are_exactly_what_a_flag_leaves_out(
    flag: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def titles(flags: TradingFlags) -> set[tuple[str, str]]:
        found = prompts_of(flags, monkeypatch)
        return {(title, text.splitlines()[0]) for title, texts in found.items() for text in texts}

    assert titles(TradingFlags()) - titles(TradingFlags(**{flag: True})) == REMOVED_BY[flag]


def test_the_system_names_its_flags_presets_and_published_figures() -> None:
    assert list(SYSTEM.presets) == ["baseline", "published", "optimized"]
    assert set(SYSTEM.published) <= set(SYSTEM.presets)
    assert SYSTEM.flags is TradingFlags
