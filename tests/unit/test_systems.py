"""What holds of every system: each agent, fact and paragraph counts, and no flag changes an answer unsaid."""

from __future__ import annotations

import ast
import functools
from collections import defaultdict
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.systems import (
    Call,
    Spoiling,
    Trial,
    calls_of,
    direct,
    facts_in,
    lower,
    trial_of,
    unspoiled,
    without_fact,
    worse,
)

from spanwise.errors import InputError
from spanwise_pipeline.runner import answer_hash
from spanwise_pipeline.systems import NAMES, system_named

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spanwise_pipeline import Outcome

TRIALS = {name: trial_of(name) for name in NAMES}
PRESETS = [(name, preset) for name, trial in TRIALS.items() for preset in trial.system.presets]
ENDS = [(name, preset) for name, trial in TRIALS.items() for preset in (list(trial.system.presets)[i] for i in (0, -1))]
FLAGS = [(name, info.name) for name, trial in TRIALS.items() for info in trial.flags]

systems = pytest.mark.parametrize("name", NAMES)
presets = pytest.mark.parametrize(("name", "preset"), PRESETS, ids=[":".join(pair) for pair in PRESETS])
ends = pytest.mark.parametrize(("name", "preset"), ENDS, ids=[":".join(pair) for pair in ENDS])
flags = pytest.mark.parametrize(("name", "flag"), FLAGS, ids=[":".join(pair) for pair in FLAGS])


@pytest.fixture
def trial(name: str, monkeypatch: pytest.MonkeyPatch) -> Trial:
    """What the system offers, its runs made short."""
    TRIALS[name].shorten(monkeypatch)
    return TRIALS[name]


@functools.cache
def old_outcome(name: str) -> Outcome:
    """What the old behaviour answers; asked for while the system's runs are short."""
    return unspoiled(TRIALS[name].system, TRIALS[name].old)


@functools.cache
def best_outcome(name: str) -> Outcome:
    """Likewise, with everything switched on."""
    return unspoiled(TRIALS[name].system, TRIALS[name].best)


@systems
def test_a_system_is_found_by_its_name(name: str) -> None:
    assert system_named(name) is TRIALS[name].system


def test_a_name_that_no_system_has_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(InputError) as caught:
        system_named("tradng")
    assert str(caught.value) == (
        f"unknown system 'tradng'; did you mean 'trading'? Allowed: {', '.join(sorted(NAMES))}"
    )


@systems
def test_the_first_preset_is_the_default_of_every_flag_and_others_are_published_or_better(name: str) -> None:
    system = TRIALS[name].system

    assert (system.name, TRIALS[name].old) == (name, system.flags())
    assert all(isinstance(values, system.flags) for values in system.presets.values())
    assert {variant.partition(",")[0] for variant in system.published} <= set(system.presets)
    figures = {repr(values): system.published.get(preset) for preset, values in system.presets.items()}
    assert len(figures) >= 3
    # Two names of one preset have the same published figures.
    assert all(figures[repr(values)] == system.published.get(preset) for preset, values in system.presets.items())


@flags
def test_a_flag_says_what_it_does_and_some_preset_sets_it_unless_it_says_how_much_is_asked(
    name: str, flag: str
) -> None:
    (info,) = (info for info in TRIALS[name].flags if info.name == flag)

    assert info.text.endswith(".")
    assert info.changes_answer or len({getattr(values, flag) for values in TRIALS[name].system.presets.values()}) > 1


def preset_names_read(module: Path, names: set[str]) -> Iterator[str]:
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in names:
            yield f"{module.name}:{node.lineno}"
        if isinstance(node, ast.Attribute) and node.attr in names:
            yield f"{module.name}:{node.lineno}"


@systems
def test_presets_differ_in_flags_only_because_no_code_that_runs_knows_a_preset_s_name(name: str) -> None:
    package = Path(str(files(f"spanwise_pipeline.systems.{name}")))
    modules = [module for module in package.glob("*.py") if module.name != "__init__.py"]

    assert len(modules) >= 3
    assert [place for module in modules for place in preset_names_read(module, set(TRIALS[name].system.presets))] == []


@presets
def test_a_preset_gives_the_answer_of_the_first_at_the_best_grade_unless_a_flag_may_change_it(
    trial: Trial, preset: str
) -> None:
    values, old = trial.system.presets[preset], old_outcome(trial.system.name)

    outcome = unspoiled(trial.system, values)

    assert (outcome.grade, outcome.score, outcome.faults) == ("A+", 100.0, ())
    if trial.same_answer(values, trial.old):
        assert answer_hash(outcome.answer) == answer_hash(old.answer)


@flags
def test_a_flag_alone_keeps_the_answer_unless_it_may_change_it(trial: Trial, flag: str) -> None:
    old = old_outcome(trial.system.name)

    for values in trial.alone(flag):
        outcome = unspoiled(trial.system, values)
        assert outcome.score == 100.0
        assert outcome.answer == old.answer or not trial.same_answer(values, trial.old)


@flags
def test_all_flags_but_one_keep_the_answer_unless_it_may_change_it(trial: Trial, flag: str) -> None:
    best, values = best_outcome(trial.system.name), trial.all_but(flag)

    outcome = unspoiled(trial.system, values)

    assert outcome.score == 100.0
    assert outcome.answer == best.answer or not trial.same_answer(values, trial.best)


@presets
def test_a_run_can_be_had_again_exactly(trial: Trial, preset: str) -> None:
    first, second = (unspoiled(trial.system, trial.system.presets[preset]) for _ in range(2))

    assert first == second


@systems
def test_the_system_has_exactly_these_agents(trial: Trial) -> None:
    seen = {call.agent for values in trial.system.presets.values() for call, _ in calls_of(trial.system, values)}

    assert seen == trial.agents


@ends
def test_an_agent_that_says_nothing_lowers_the_grade(trial: Trial, preset: str) -> None:
    values = trial.system.presets[preset]
    good = unspoiled(trial.system, values)

    def survives(agent: str) -> bool:
        spoiling = Spoiling(reply=lambda call, text: "" if call.agent == agent else text)
        return not lower(direct(trial.system, values, spoiling), good)

    agents = {call.agent for call, _ in calls_of(trial.system, values)}
    assert [agent for agent in sorted(agents) if survives(agent)] == []


@pytest.mark.slow
@ends
def test_a_fact_that_any_agent_leaves_out_lowers_the_grade(trial: Trial, preset: str) -> None:
    values = trial.system.presets[preset]
    good = unspoiled(trial.system, values)

    def survives(agent: str, step: str, fact: str) -> bool:
        def blank(call: Call, text: str) -> str:
            return without_fact(text, fact) if (call.agent, call.step) == (agent, step) else text

        return not lower(direct(trial.system, values, Spoiling(reply=blank)), good)

    facts = {(c.agent, c.step, fact) for c, text in calls_of(trial.system, values) for fact in facts_in(text)}
    assert len(facts) >= len(trial.agents)
    assert [fact for fact in sorted(facts) if survives(*fact)] == []


@pytest.mark.slow
@ends
def test_every_paragraph_of_every_prompt_counts_or_is_what_a_flag_leaves_out(trial: Trial, preset: str) -> None:
    """A conversation of several calls counts as one step, the last: its paragraphs are left out of all its calls."""
    values = trial.system.presets[preset]
    if any(prompts_of(trial, before) == prompts_of(trial, preset) for before in presets_before(trial, preset)):
        return  # tested with that preset
    good = unspoiled(trial.system, values)
    calls = [call for call, _ in calls_of(trial.system, values)]
    step_of = {(call.agent, call.step): _last_step(call, calls) for call in calls}
    paragraphs: dict[tuple[str, str], set[tuple[str, str]]] = defaultdict(set)
    for call in calls:
        for paragraph in call.paragraphs():
            step = step_of[call.agent, call.step]
            paragraphs[step, paragraph.splitlines()[0]].add((call.agent, call.step))

    def survives(first_line: str, spoiled: set[tuple[str, str]]) -> bool:
        def keeps(call: Call, paragraph: str) -> bool:
            return (call.agent, call.step) not in spoiled or paragraph.split("\n", maxsplit=1)[0] != first_line

        return not worse(direct(trial.system, values, Spoiling(keeps=keeps)), good)

    removable = {paragraph for paragraph, spoiled in paragraphs.items() if survives(paragraph[1], spoiled)}
    off = [info for info in trial.flags if not getattr(values, info.name)]
    assert removable == {paragraph for info in off for paragraph in info.leaves_out} & paragraphs.keys()


def presets_before(trial: Trial, preset: str) -> list[str]:
    names = list(trial.system.presets)
    return names[: names.index(preset)]


def prompts_of(trial: Trial, preset: str) -> set[tuple[str, bool, tuple[str, ...]]]:
    """Each call of a preset: its step, whether it is answered in JSON, its paragraphs."""
    calls = calls_of(trial.system, trial.system.presets[preset])
    return {(call.step, text.startswith("{"), tuple(call.paragraphs())) for call, text in calls}


def _last_step(call: Call, calls: list[Call]) -> str:
    """The last step of the conversation that `call` belongs to: same agent, same first message."""
    return [c.step for c in calls if (c.agent, c.messages[0]) == (call.agent, call.messages[0])][-1]


@flags
def test_the_paragraphs_that_change_nothing_are_exactly_what_their_flag_leaves_out(trial: Trial, flag: str) -> None:
    (info,) = (info for info in trial.flags if info.name == flag)
    if not info.leaves_out:
        return

    def first_lines(values: object) -> set[tuple[str, str]]:
        calls = (call for call, _ in calls_of(trial.system, values))
        return {(call.step, paragraph.splitlines()[0]) for call in calls for paragraph in call.paragraphs()}

    (values,) = trial.alone(flag)
    left_out = first_lines(trial.old) - first_lines(values)
    assert left_out == info.leaves_out & first_lines(trial.old) != set()
