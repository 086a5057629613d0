"""Many runs as one: weights, paths, and what the slow tenth has; the tests of difference against known values."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.traces import agent, chat, record, run_of, workflow

from spanwise_profiling import ranks
from spanwise_profiling.advice import findings_of
from spanwise_profiling.analysis import profile_of
from spanwise_profiling.load import load
from spanwise_profiling.populations import Distribution, population_of, weight_of
from spanwise_profiling.slow_runs import Difference

if TYPE_CHECKING:
    from spanwise_profiling.profile import Profile

PAGE = Path(__file__).parents[2] / "docs" / "populations.md"


def desk(seconds: float, *, second: str = "judge", trace: int = 1, **attributes: Any) -> Profile:
    """A run in which `plan` takes 1 s and another agent the rest."""
    return profile_of(
        run_of(
            workflow(1, 0, seconds, trace=trace, attributes=attributes),
            agent(2, 0, 1, name="plan", parent=1, trace=trace),
            chat(3, 0, 1, parent=2, trace=trace),
            agent(4, 1, seconds, name=second, parent=1, trace=trace),
            chat(5, 1, seconds, parent=4, trace=trace),
        )
    )


def test_durations_agents_and_buckets_over_runs() -> None:
    many = population_of([desk(float(seconds)) for seconds in range(2, 12)])
    assert (many.runs, many.stands_for) == (10, 10.0)
    assert many.seconds == Distribution(mean=6.5, p10=2.0, p50=6.0, p90=10.0, largest=11.0)
    assert [(one.name, one.present, one.on_path.mean, one.tokens) for one in many.agents] == [
        ("judge", 1.0, 5.5, 120.0),
        ("plan", 1.0, 1.0, 120.0),
    ]
    assert many.budget == {"model": 6.5}
    assert (many.slow_from, many.slow) == (None, ())


def test_an_agent_that_is_not_in_every_run_counts_nothing_there() -> None:
    many = population_of([desk(3.0), desk(3.0), desk(5.0, second="appeal")])
    [appeal] = [one for one in many.agents if one.name == "appeal"]
    assert (round(appeal.present, 3), round(appeal.on_path.mean, 3), appeal.on_path.p50) == (0.333, 1.333, 0.0)


def test_which_path_occurs_how_often() -> None:
    many = population_of([desk(3.0), desk(4.0), desk(5.0), desk(9.0, second="appeal")])
    assert [(one.agents, one.share, one.runs, one.seconds) for one in many.paths] == [
        (("plan", "judge"), 0.75, 3, 4.0),
        (("plan", "appeal"), 0.25, 1, 9.0),
    ]
    assert profile_of(run_of(workflow(1, 0, 1), chat(2, 0, 1, parent=1))).agents_on_path == ("model",)


@pytest.mark.parametrize(
    ("attributes", "weight"),
    [
        ({}, 1.0),
        ({"sampling.probability": 0.1}, 10.0),
        ({"sampler.type": "probabilistic", "sampler.param": 0.25}, 4.0),
        ({"sampler.type": "const", "sampler.param": 1}, 1.0),
        ({"SampleRate": 20}, 20.0),
        ({"sampling.probability": 0.0}, 1.0),
    ],
)
def test_a_sampled_run_stands_for_several(attributes: dict[str, Any], weight: float) -> None:
    assert weight_of(desk(2.0, **attributes).run) == weight


@pytest.mark.parametrize(
    ("trace_state", "weight"),
    [
        ("ot=th:c", 4.0),
        ("ot=th:8;rv:abcdef01234567", 2.0),
        ("vendor=1,ot=rv:abcdef01234567;th:0", 1.0),
        ("not=th:c", 1.0),
        ("ot=th:zz", 1.0),
        ("ot=th:fd70a3d70a3d71", 100.0),
    ],
)
def test_opentelemetry_s_threshold_says_how_many_a_run_stands_for(trace_state: str, weight: float) -> None:
    run = run_of(replace(workflow(1, 0, 1), trace_state=trace_state))
    assert weight_of(run) == pytest.approx(weight)


def test_the_trace_state_is_read_from_a_journal(tmp_path: Path) -> None:
    path = record(tmp_path, workflow(1, 0, 1))
    path.write_text(path.read_text().replace('"parentSpanId"', '"traceState": "ot=th:c", "parentSpanId"'))
    [run] = load(path).runs
    assert weight_of(run) == 4.0


def test_weights_enter_the_figures() -> None:
    sampled: dict[str, Any] = {"sampling.probability": 0.1}
    runs = [desk(2.0, **sampled), desk(11.0)]
    many = population_of(runs)
    assert (many.stands_for, many.seconds.p50, round(many.seconds.mean, 3)) == (11.0, 2.0, round((20 + 11) / 11, 3))
    assert population_of(runs, [1, 1]).seconds.mean == 6.5


def mixed(runs: int = 100) -> list[Profile]:
    """Runs of 3 to 4 s; every tenth takes 10 s more in another agent, and says that it is of a new release."""
    draw = random.Random(7)
    profiles: list[Profile] = []
    for i in range(runs):
        about: dict[str, Any] = {
            "request": str(i),
            "colour": draw.choice(["red", "blue"]),
            "release": "old" if i % 10 else "new",
        }
        seconds, second = (3 + draw.random(), "judge") if i % 10 else (13 + draw.random(), "appeal")
        profiles.append(desk(seconds, second=second, **about))
    return profiles


def test_what_the_slow_tenth_has_that_the_rest_has_not() -> None:
    many = population_of(mixed())
    assert many.slow_from is not None
    assert many.slow_from > 3
    told = {(one.measure, one.name): (round(one.slow), round(one.rest)) for one in many.slow}
    assert told["seconds", "agent appeal"][1] == 0
    assert ("share", "release = new") in told
    assert ("share", "path = plan > appeal") in told
    assert not [name for _, name in told if "colour" in name or "request" in name or name == "plan"]
    assert all(one.p < 0.05 for one in many.slow)
    assert [one.measure for one in many.slow] == sorted(
        (one.measure for one in many.slow), key=["seconds", "share", "count"].index
    )


def test_runs_that_differ_by_chance_alone_have_nothing_to_tell_them_apart_but_their_length() -> None:
    draw = random.Random(3)
    alike = [desk(3 + draw.random(), colour=draw.choice("rgb")) for _ in range(60)]
    told = [one.name for one in population_of(alike).slow]
    assert set(told) <= {"agent judge", "bucket model"}


def test_findings_are_among_what_is_compared() -> None:
    profiles = [replace(one, findings=findings_of(one)) for one in mixed()]
    assert isinstance(population_of(profiles).slow[0], Difference)


def test_rank_sums_worked_out_by_hand() -> None:
    assert ranks.rank_sum([1, 2, 3, 4, 5], [6, 7, 8, 9, 10]) == pytest.approx(0.012185780355344813)
    assert ranks.rank_sum([1, 1, 2, 3], [1, 2, 2, 4, 5]) == pytest.approx(0.3748571, abs=1e-6)
    assert ranks.rank_sum([1, 1], [1, 1]) == 1.0


def test_fisher_s_exact_test_on_the_lady_tasting_tea() -> None:
    assert ranks.fisher(3, 4, 1, 4) == pytest.approx(0.4857142857)
    assert ranks.fisher(4, 4, 0, 4) == pytest.approx(0.0285714286)


def test_corrected_p_values() -> None:
    assert ranks.corrected([0.01, 0.04, 0.03, 0.5]) == pytest.approx([0.04, 0.16 / 3, 0.16 / 3, 0.5])
    assert ranks.corrected([]) == []
