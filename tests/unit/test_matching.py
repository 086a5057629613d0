"""`matching`: what its presets and flags take beside what was published, its critic, its capacity and its files."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from statistics import median
from typing import TYPE_CHECKING, Any

import pytest
from support.systems import Call, Spoiling, calls_of, direct, unspoiled
from support.virtual_recording import recorded_at_speed_one

from spanwise.config import strict_yaml
from spanwise_pipeline import Writer
from spanwise_pipeline.bound import bound_of
from spanwise_pipeline.provider.profile import Profile
from spanwise_pipeline.systems.matching import SYSTEM, matching, programme, rubric
from spanwise_pipeline.systems.matching.answers import approves, is_valid, object_in
from spanwise_profiling.analysis import profile_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from spanwise_pipeline import Outcome, WriterStatistics
    from spanwise_pipeline.systems.matching.flags import MatchingFlags

BASELINE, PUBLISHED, OPTIMIZED = SYSTEM.presets.values()
PROFILE = strict_yaml.load(SYSTEM.profile, Profile)
PLACES = json.loads(json.dumps(programme.shipped("capacity")))
FIVE = {"registrations": 5}


@cache
def seconds(flags: MatchingFlags, *, pace: float = 1.0) -> float:
    """Median over seeds 1 to 5 of the run's seconds on the virtual clock; `pace` stretches the model's times."""
    models = {
        name: replace(
            model,
            time_to_first_token_s=model.time_to_first_token_s * pace,
            time_per_token_s=model.time_per_token_s * pace,
            prefill_s_per_1k_tokens=model.prefill_s_per_1k_tokens * pace,
        )
        for name, model in PROFILE.models.items()
    }
    profile = replace(PROFILE, models=models)
    return median(bound_of(SYSTEM, flags, profile, seed).seconds for seed in range(1, 6))


def saved(flag: str, **other: Any) -> float:
    """Share of the baseline's time that one flag saves."""
    before = replace(BASELINE, **other)
    pace = other.pop("pace", 1.0)
    return 1 - seconds(replace(before, **{flag: getattr(OPTIMIZED, flag)}), pace=pace) / seconds(before, pace=pace)


@pytest.mark.slow
def test_the_baseline_takes_what_its_authors_published_for_one_registration_and_for_five() -> None:
    assert seconds(BASELINE) == pytest.approx(50.415, rel=0.03)
    assert seconds(replace(BASELINE, **FIVE)) == pytest.approx(255.0, rel=0.03)


@pytest.mark.slow
def test_the_phases_of_the_baseline_are_split_as_published() -> None:
    run, _ = recorded_at_speed_one(SYSTEM, BASELINE)
    took = {share.name: run.scaled(share.total_ns) for share in profile_of(run).roles}

    assert took["phase 1 conversation"] == pytest.approx(33.2, rel=0.03)
    assert took["phase 1 capacity update"] == pytest.approx(0.8, rel=0.03)
    assert took["phase 1 files"] == pytest.approx(0.5, rel=0.03)
    assert took["phase 2 conversation"] == pytest.approx(14.9, rel=0.03)
    assert took["phase 2 files"] == pytest.approx(0.9, rel=0.03)


@pytest.mark.slow
def test_what_was_published_as_a_whole_holds_and_ours_takes_less_than_half() -> None:
    for more in ({}, FIVE):
        before = seconds(replace(BASELINE, **more))
        assert 0.30 <= 1 - seconds(replace(PUBLISHED, **more)) / before <= 0.50
        assert seconds(replace(OPTIMIZED, **more)) < 0.5 * before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flag", "least", "most"),
    [
        ("capacity_once", 0.02, 0.03),
        ("concurrent_loading", 0.01, 0.02),
        ("stop_at_json", 0.05, 0.15),
        ("skip_critic", 0.15, 0.25),
        ("constellation", 0.30, 0.40),
    ],
)
def test_a_flag_saves_what_its_authors_say(flag: str, least: float, most: float) -> None:
    assert least <= saved(flag) <= most


@pytest.mark.slow
@pytest.mark.parametrize("pace", [0.5, 1.0, 1.5])
def test_batched_writes_save_less_than_its_authors_say_however_fast_the_model_is(pace: float) -> None:
    """All that the authors measured outside of the agents' conversations is 4.4 % of the run; they claim 5 to 10 %."""
    before = seconds(BASELINE, pace=pace)
    assert 0.01 < 1 - seconds(replace(BASELINE, batch_writes=True), pace=pace) / before < 0.05


def written(flags: MatchingFlags, monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """How many files a run wrote, and in how many batches."""
    readings: list[WriterStatistics] = []
    close = Writer.__aexit__

    async def note(self: Writer, *reason: Any) -> None:
        await close(self, *reason)
        readings.append(self.statistics())

    with monkeypatch.context() as patch:
        patch.setattr(Writer, "__aexit__", note)
        bound_of(SYSTEM, flags, PROFILE, 1)
    [reading] = readings
    return reading.written, reading.batches


@pytest.mark.slow
def test_thirty_writes_become_ten_and_leave_the_same_files(monkeypatch: pytest.MonkeyPatch) -> None:
    assert written(replace(BASELINE, **FIVE), monkeypatch) == (30, 30)
    assert written(replace(BASELINE, batch_writes=True, **FIVE), monkeypatch) == (30, 10)
    assert unspoiled(SYSTEM, replace(BASELINE, batch_writes=True, **FIVE)) == unspoiled(
        SYSTEM, replace(BASELINE, **FIVE)
    )


@pytest.mark.slow
@pytest.mark.parametrize("flag", ["capacity_once", "batch_writes", "shortlist", "pooled_connections"])
def test_five_registrations_get_the_same_answer_at_the_same_time_whatever_else_is_off(flag: str) -> None:
    answer = unspoiled(SYSTEM, replace(BASELINE, **FIVE)).answer

    assert unspoiled(SYSTEM, replace(OPTIMIZED, **FIVE)).answer == answer
    assert unspoiled(SYSTEM, replace(OPTIMIZED, **FIVE, **{flag: False})).answer == answer
    assert unspoiled(SYSTEM, replace(BASELINE, concurrent_registrations=True, **FIVE)).answer == answer


def asked(flags: MatchingFlags, spoiling: Spoiling | None = None) -> tuple[list[str], Outcome]:
    """The steps in which the model was asked, and the outcome."""
    steps: list[str] = []
    given = spoiling or Spoiling()

    def note(call: Call, text: str) -> str:
        steps.append(call.step)
        return given.reply(call, text)

    outcome = direct(SYSTEM, flags, Spoiling(reply=note, keeps=given.keeps))
    assert outcome is not None
    return steps, outcome


def test_a_registration_whose_offer_an_earlier_one_has_filled_is_matched_again() -> None:
    steps, outcome = asked(replace(OPTIMIZED, **FIVE))
    offers = {name: match["offer"] for name, match in outcome.answer["matches"].items()}

    assert PLACES["o02"] == 1
    assert (offers["R-1001"], offers["R-1005"]) == ("o02", "o01")
    assert steps.count("R-1005_offer_matcher") == 2
    assert len(steps) == 11


def objecting(agent: str, times: int) -> Spoiling:
    """The critic `agent` says REVISE at first."""
    left = [times]

    def reply(call: Call, text: str) -> str:
        if call.agent != agent or not left[0]:
            return text
        left[0] -= 1
        return text.replace("verdict = APPROVE", "verdict = REVISE")

    return Spoiling(reply=reply)


def test_a_critic_that_objects_once_costs_a_round_and_nothing_else() -> None:
    steps, outcome = asked(BASELINE, objecting("offer_critic", 1))

    assert steps.count("R-1001_offer_matcher") == steps.count("R-1001_offer_critic") == 2
    assert outcome.score == 100.0


def test_a_critic_that_never_approves_leaves_the_registration_for_a_person_and_takes_no_place() -> None:
    steps, outcome = asked(BASELINE, objecting("offer_critic", 9))

    assert steps == ["R-1001_offer_matcher", "R-1001_offer_critic"] * 3
    assert outcome.answer["capacity"] == PLACES
    assert outcome.answer["matches"]["R-1001"]["offer"] is None
    assert outcome.grade == "F"
    assert "status.json: R-1001 is no offer, must be ordered" in outcome.faults


def test_what_lacks_a_field_is_sent_back_with_the_reason_and_the_critic_is_not_asked() -> None:
    prompts: list[str] = []

    def reply(call: Call, text: str) -> str:
        prompts.extend(call.paragraphs())
        return "I would rather not say." if len(prompts) < 20 and call.agent == "offer_matcher" else text

    steps, outcome = asked(BASELINE, Spoiling(reply=reply))

    assert steps[:3] == ["R-1001_offer_matcher", "R-1001_offer_matcher", "R-1001_offer_critic"]
    assert [text for text in prompts if text.startswith("The last answer was no JSON object with registration, offer")]
    assert outcome.score == 100.0


def without_fitting_offer(monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = programme.shipped
    poor = shipped("registrations")
    poor["registrations"][0]["budget"] = 1000

    def changed(name: str) -> Any:
        return poor if name == "registrations" else shipped(name)

    for module in (matching, rubric):
        monkeypatch.setattr(module, "shipped", changed)


@pytest.mark.parametrize("flags", [BASELINE, OPTIMIZED])
def test_a_registration_that_no_offer_fits_gets_none_and_no_second_phase(
    flags: MatchingFlags, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_fitting_offer(monkeypatch)

    steps, outcome = asked(flags)

    assert not [step for step in steps if "incentive" in step]
    assert (outcome.score, outcome.answer["capacity"]) == (100.0, PLACES)
    assert outcome.answer["matches"]["R-1001"]["offer"] == "none"


def test_a_critic_with_other_figures_does_not_approve() -> None:
    answer = {"offer": "o01", "o01_rank": 2.5}
    checks = {"choice": "offer", "o01_check": "o01_rank"}

    assert approves("o01_check = 2.5\nchoice = o01\nverdict = APPROVE", answer, checks)
    assert not approves("o01_check = 2.4\nchoice = o01\nverdict = APPROVE", answer, checks)
    assert not approves("choice = o01\nverdict = APPROVE", answer, checks)
    assert not approves("o01_check = 2.5\nchoice = o01\nverdict = REVISE", answer, checks)
    assert not approves("I do not APPROVE", answer, {})


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"registration": "R-1", "score": 2}\n\nThe rest is prose.', {"registration": "R-1", "score": 2}),
        (' {"registration": "R-1"}', {"registration": "R-1"}),
        ('{"registration": "R-1"', {}),
        ("[1, 2]", {}),
        ("", {}),
    ],
)
def test_the_object_at_the_beginning_of_a_text_is_the_answer(text: str, found: dict[str, Any]) -> None:
    assert object_in(text) == found


@pytest.mark.parametrize(
    ("changed", "valid"),
    [
        ({}, True),
        ({"registration": "R-2"}, False),
        ({"score": None}, False),
        ({"score": "high"}, False),
        ({"score": True}, False),
        ({"offer": 7}, False),
    ],
)
def test_an_answer_is_valid_with_every_field_of_its_type_about_its_registration(
    changed: dict[str, Any],
    valid: bool,  # noqa: FBT001 - a parameter of the table
) -> None:
    answer = {"registration": "R-1", "offer": "o01", "score": 2.5} | changed

    assert is_valid(answer, ("registration", "offer", "score"), "R-1") is valid


def test_the_answer_leaves_prose_out_where_no_critic_reads_it() -> None:
    def rest(flags: MatchingFlags) -> Iterable[bool]:
        return ["\n\n" in text for call, text in calls_of(SYSTEM, flags) if call.agent.endswith("_matcher")]

    assert all(rest(BASELINE))
    assert not any(rest(PUBLISHED))
