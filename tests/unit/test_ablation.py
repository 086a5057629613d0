"""`spanwise systems ablate`: what is run in which order, what a flag's effect is, and what is said of a claim."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from support.documents import SYSTEMS_ABLATE, differences
from support.finished import finished

from spanwise.errors import InputError, UnavailableError
from spanwise_cli import ablated
from spanwise_cli import finished as finishing
from spanwise_cli.ablated import Effect, Results, judged
from spanwise_cli.main import main
from spanwise_pipeline import Claim, ablation
from spanwise_pipeline.ablation import Ablation, Switch, switches_of
from spanwise_pipeline.experiment import Experiment
from spanwise_pipeline.systems.matching import SYSTEM

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from spanwise_cli.finished import Finished

OFF_AND_ON = {
    "constellation": ("p1m1m2c", "p1m1_p2m2"), "capacity_once": (False, True), "concurrent_loading": (False, True),
    "batch_writes": (False, True), "stop_at_json": (False, True), "skip_critic": (False, True),
    "shortlist": (False, True), "concurrent_registrations": (False, True), "pooled_connections": (False, True),
}  # fmt: skip
SECONDS = {"baseline": 100.0, "optimized": 40.0, "batch_writes": 97.0, "skip_critic": 80.0}
"""Of a run of the first preset with one flag, and of both presets; without a flag of all, a run takes 10 s more."""


def of(runs: int, *flags: str) -> Ablation:
    experiment = Experiment(SYSTEM, ("baseline", "optimized"), {}, runs=runs, speed=20.0)
    return Ablation(experiment, switches_of(SYSTEM, flags))


def come_to(planned: Ablation, *, spread: float = 0.1, **changed: Any) -> list[tuple[str, Switch | None, Finished]]:
    """Made-up runs: each seed adds the same to all of its runs, and a little to those with a flag turned."""
    found: list[tuple[str, Switch | None, Finished]] = []
    for number in range(planned.experiment.runs):
        for preset, switch in planned.arms:
            seconds = SECONDS[preset] + number
            if switch is not None:
                seconds = SECONDS[switch.flag] if preset == "baseline" else SECONDS[preset] + 10.0
                seconds += number + spread * number
            run = finished(seed=1 + number, seconds=seconds, bound_s=seconds - 1.0, **changed)
            found.append((preset, switch, run))
    return found


def test_the_flags_that_two_presets_differ_in_are_switched() -> None:
    switches = switches_of(SYSTEM)

    assert {switch.flag: (switch.off, switch.on) for switch in switches} == OFF_AND_ON
    assert "batch_writes" not in {switch.flag for switch in switches_of(SYSTEM, given=("batch_writes",))}
    assert [switch.flag for switch in switches_of(SYSTEM, ("shortlist",))] == ["shortlist"]


@pytest.mark.parametrize("name", ["registrations", "skip_critics"])
def test_a_flag_that_is_not_switched_is_refused_with_the_nearest(name: str) -> None:
    with pytest.raises(InputError, match=f"--flag {name}: the presets of matching do not switch it; "):
        switches_of(SYSTEM, (name,))


def test_everything_is_run_seed_by_seed_with_each_flag_turned_in_both_presets(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Experiment] = []

    def execute(experiment: Experiment, **_: Any) -> Iterator[Any]:
        asked.append(experiment)
        yield experiment

    monkeypatch.setattr(ablation, "execute", execute)
    planned = of(2, "skip_critic", "constellation")
    planned = replace(planned, experiment=replace(planned.experiment, overrides={"registrations": 5}))
    nobody: Any = None

    runs = list(ablation.run_ablation(planned, telemetry=nobody, watcher=nobody))

    turned: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({}, {}),
        ({"constellation": "p1m1_p2m2"}, {"constellation": "p1m1m2c"}),
        ({"skip_critic": True}, {"skip_critic": False}),
    ]
    arms = [(preset, values) for pair in turned for preset, values in zip(("baseline", "optimized"), pair, strict=True)]
    assert [(one.seed, *one.presets, one.overrides) for one in asked] == [
        (seed, preset, {"registrations": 5, **values}) for seed in (1, 2) for preset, values in arms
    ]
    assert [one.runs for one in asked] == [1] * 12
    assert [(preset, switch.flag if switch else None) for preset, switch, _ in runs[:3]] == [
        ("baseline", None), ("optimized", None), ("baseline", "constellation"),
    ]  # fmt: skip


def test_an_effect_is_the_typical_share_of_runs_with_the_same_seed_with_its_interval() -> None:
    planned = of(5, "batch_writes", "skip_critic")

    first, second = Results(planned, come_to(planned)).flags()

    assert [first.switch.flag, second.switch.flag] == ["skip_critic", "batch_writes"]
    alone = first.alone
    assert alone.saves_s == pytest.approx(19.8)
    assert alone.saves_share == pytest.approx(1 - 82.2 / 102, abs=0.001)
    assert alone.low is not None
    assert alone.high is not None
    assert alone.low < alone.saves_share < alone.high < alone.low + 0.02
    assert alone.bound_share == pytest.approx(1 - 81.2 / 101, abs=0.001)
    assert (alone.tokens, alone.untold, alone.same_answer) == (0, 0, True)
    assert first.in_all.saves_share == pytest.approx(1 - 42 / 52.2, abs=0.001)
    assert (first.claim, first.verdict, second.verdict) == (Claim(0.15, 0.25), "holds", "less")


def test_runs_that_failed_are_left_out_and_few_have_no_interval() -> None:
    planned = of(2, "skip_critic")
    runs = come_to(planned)
    broken = finished(seed=2, error=UnavailableError("gone"))
    runs = [(preset, switch, broken if run.plan.seed == 2 and switch else run) for preset, switch, run in runs]

    [found] = Results(planned, runs).flags()

    assert (found.alone.low, found.alone.high) == (None, None)
    assert found.alone.saves_share == pytest.approx(0.2)
    assert Results(planned, []).flags() == []


def effect(share: float, low: float | None = None, high: float | None = None) -> Effect:
    return Effect(share, low, high, 1.0, None, None, None, 0.0, 0, same_answer=True)


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (effect(0.07, 0.01, 0.2), "holds"),
        (effect(0.04, 0.03, 0.045), "less"),
        (effect(0.04, 0.03, 0.06), "unclear"),
        (effect(0.11, 0.105, 0.12), "more"),
        (effect(0.11, 0.09, 0.12), "unclear"),
        (effect(0.04), "less"),
        (effect(0.11), "more"),
    ],
)
def test_a_claim_holds_in_its_range_and_fails_where_the_whole_interval_is_outside(found: Effect, verdict: str) -> None:
    assert judged(found, Claim(0.05, 0.10)) == verdict


def shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str, code: int = 0, **changed: Any
) -> tuple[str, str]:
    """What the command prints of made-up runs."""
    kept: list[Finished] = []

    def run_ablation(planned: Ablation, **_: Any) -> Iterator[tuple[str, Switch | None, Finished]]:
        for preset, switch, run in come_to(planned, **changed):
            kept.append(run)
            yield preset, switch, run

    def read_back(runs: Sequence[Finished], _: object) -> list[Finished]:
        assert list(runs) == kept
        return kept

    monkeypatch.setattr(ablation, "run_ablation", run_ablation)
    monkeypatch.setattr(finishing, "read_back", read_back)
    flags = ("--flag", "skip_critic", "--flag", "batch_writes")
    assert main(["systems", "ablate", "matching", *flags, *words]) == code
    out, err = capsys.readouterr()
    return out, err


@pytest.mark.usefixtures("isolated_provider")
def test_the_document_of_an_ablation_is_that_of_the_contract(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, err = shown(monkeypatch, capsys, "--json", "--seeds", "5", "--set", "registrations=5")
    document: Mapping[str, Any] = json.loads(out)

    assert (err, differences(document, SYSTEMS_ABLATE)) == ("", [])
    assert (document["schema"], document["speed"], document["seeds"]) == (
        "spanwise.systems.ablate/1", 20.0, [1, 2, 3, 4, 5],
    )  # fmt: skip
    assert document["set"] == {"registrations": 5}
    assert document["presets"]["baseline"] == [100.0, 101.0, 102.0, 103.0, 104.0]
    critic, writes = document["flags"]
    assert (critic["flag"], critic["claim"], critic["verdict"]) == (
        "skip_critic", {"least": 0.15, "most": 0.25}, "holds",
    )  # fmt: skip
    assert (writes["flag"], writes["verdict"]) == ("batch_writes", "less")
    assert writes["alone"]["durations_s"] == pytest.approx([97.0, 98.1, 99.2, 100.3, 101.4])


@pytest.mark.usefixtures("isolated_provider")
def test_an_ablation_for_people_is_a_row_a_flag_and_its_notes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, _ = shown(monkeypatch, capsys)
    head, critic, writes, *notes = out.splitlines()

    assert head.split() == ["flag", *["claimed,", "%", "alone,", "%", "bound,", "%", "tokens", "in", "all,", "%"]]
    assert critic.split() == ["skip_critic", "15-25", "holds", "19.4", "±0.6", "19.6", "±0.6", "+0", "19.5", "±0.5"]
    assert writes.split()[:4] == ["batch_writes", "5-10", "less", "2.7"]
    assert notes[0] == "baseline 102.0 s, optimized 42.0 s (medians); seeds 1 to 5, cold start, speed 20."
    assert notes[3:] == ["all runs gave the same answer."]
    assert max(map(len, out.splitlines()[:3])) <= 80


@pytest.mark.usefixtures("isolated_provider")
def test_an_ablation_whose_runs_fail_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = UnavailableError("http://127.0.0.1:1: gone; start it")

    _, err = shown(monkeypatch, capsys, code=4, error=gone)

    assert err == f"spanwise: {gone}\n"


def test_a_speed_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["systems", "ablate", "matching", "--speed", "0"]) == 2
    assert "--speed 0: must be a number above 0" in capsys.readouterr().err


def test_an_answer_that_must_not_change_is_named() -> None:
    planned = of(1, "skip_critic")
    runs = come_to(planned)
    other = [(preset, switch, finished(seed=1, answer="sell") if switch else run) for preset, switch, run in runs]

    assert "another answer, although it must not change: skip_critic" in ablated.notes(planned, Results(planned, other))
