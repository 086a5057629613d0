"""Two populations compared: the verdict, pairs, counts, causes that add up, surroundings, and what is left out."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from support.populations import run, seconds_of, sides

from spanwise import conventions as c
from spanwise.errors import InputError, NothingMeasuredError
from spanwise_profiling.comparison import compare
from spanwise_profiling.profiled import measured

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spanwise_profiling.profile import Profile


def alone(values: Sequence[float], first: int = 1, **more: Any) -> list[Profile]:
    """Return runs without seeds, of these seconds, numbered from `first`."""
    return measured([run(first + i, value, begin=100.0 * i, **more) for i, value in enumerate(values)])


def test_a_faster_side_is_found_with_its_size() -> None:
    found = compare(*sides(12, 0.8))
    duration = found.duration
    assert (found.verdict, found.paired_by, found.a_runs, found.b_runs, found.needed) == (
        "faster", "seed", 12, 12, None,
    )  # fmt: skip
    assert duration.ratio == pytest.approx(-0.2, abs=0.02)
    assert duration.ratio_interval is not None
    assert duration.ratio_interval.low < -0.2 < duration.ratio_interval.high < -0.15
    assert duration.difference == pytest.approx(duration.a * duration.ratio)
    assert duration.p < 0.001
    assert duration.detectable is not None
    assert 0 < duration.detectable < 0.05


def test_pairs_see_what_runs_without_pairs_do_not() -> None:
    """Seeds differ by a third, sides by a tenth."""
    assert compare(*sides(12, 1.1)).verdict == "slower"
    assert compare(*sides(12, 1.1), pair=False).verdict == "inconclusive"


def test_the_same_is_shown_and_not_concluded_from_a_lack_of_runs() -> None:
    assert compare(*sides(20, 1.0, noise=0.01)).verdict == "same"
    vague = compare(*sides(8, 1.0, noise=0.2))
    assert vague.verdict == "inconclusive"
    assert vague.needed is not None
    assert vague.needed > 8
    assert compare(*sides(20, 1.01, noise=0.002)).verdict == "same"
    assert compare(*sides(20, 1.01, noise=0.002), margin=0.005).verdict == "slower"


def test_too_few_runs_are_inconclusive_and_say_how_many_it_takes() -> None:
    found = compare(alone([10.0]), alone([20.0], 2))
    assert (found.verdict, found.needed, found.duration.ratio_interval, found.duration.detectable) == (
        "inconclusive", 4, None, None,
    )  # fmt: skip


def test_runs_are_paired_by_task_and_seed_and_others_are_left_out() -> None:
    a = measured([run(i, 10 + i, begin=i, attributes={c.RUN_TASK: f"t{i % 4}", c.RUN_SEED: i // 4}) for i in range(10)])
    b = measured(
        [run(20 + i, 5 + i, begin=i, attributes={c.RUN_TASK: f"t{i % 4}", c.RUN_SEED: i // 4}) for i in range(8)]
    )
    found = compare(a, b)
    assert (found.paired_by, found.a_runs, found.b_runs) == ("task and seed", 8, 8)
    assert found.duration.a == pytest.approx(13.5)
    assert "2 runs have no counterpart with the same task and seed; they are left out." in found.notes


def test_the_seed_of_all_model_calls_is_the_seed_of_a_run() -> None:
    a, b = alone([10.0 + i for i in range(6)]), alone([9.0 + i for i in range(6)], 7)

    def seeded(profile: Profile, seed: int) -> Profile:
        children = {
            parent: tuple(replace(one, attributes={**one.attributes, c.REQUEST_SEED: seed}) for one in members)
            for parent, members in profile.run.trace.children.items()
        }
        return replace(profile, run=replace(profile.run, trace=replace(profile.run.trace, children=children)))

    found = compare([seeded(one, i) for i, one in enumerate(a)], [seeded(one, i) for i, one in enumerate(b)])
    assert (found.paired_by, found.a_runs) == ("seed", 6)


def test_five_pairs_are_too_few_so_that_all_runs_are_compared() -> None:
    found = compare(*sides(5, 0.3))
    assert (found.verdict, found.paired_by) == ("faster", None)
    assert any("5 pairs by seed, too few" in note for note in found.notes)


def test_counts_are_exact_where_no_run_differs_from_the_others() -> None:
    found = compare(*sides(3, 1.0, calls=3))
    counts = {count.name: count for count in found.counts}
    assert (counts["model calls"].a, counts["model calls"].b, counts["model calls"].change) == ((2, 2), (4, 4), "more")
    assert counts["model calls"].p is None
    assert (counts["input tokens"].a, counts["input tokens"].b) == ((200, 200), (400, 400))
    assert counts["agents"].change == "same"
    assert "cache hits" not in counts
    assert (found.shape.same, found.shape.only_a, found.shape.only_b) == (False, (), ())


def test_what_only_one_side_is_made_of_is_named() -> None:
    found = compare(*sides(3, 1.0, judge="appeal"))
    assert (found.shape.only_a, found.shape.only_b) == (("agent judge",), ("agent appeal",))
    assert compare(*sides(3)).shape.same


def test_counts_that_vary_are_judged_by_ranks_and_corrected() -> None:
    a, b = sides(10)
    varied = [
        [replace(one, run=replace(one.run, totals=replace(one.run.totals, output_tokens=base + i))) for i, one in side]
        for base, side in ((100, enumerate(a)), (200, enumerate(b)))
    ]
    counts = {count.name: count for count in compare(varied[0], varied[1]).counts}
    assert (counts["output tokens"].a, counts["output tokens"].change) == ((100, 109), "more")
    assert counts["output tokens"].p is not None
    assert counts["output tokens"].p >= 2 / 2**10


@pytest.mark.parametrize("pair", [True, False])
def test_causes_add_up_to_the_difference(*, pair: bool) -> None:
    a, b = sides(10, 1.0, plan=3.0, spread=0.05)
    longer = measured(
        [run(100 + i, one.run.seconds + 2, plan=3.0, begin=200.0 * i + 100, seed=i) for i, one in enumerate(b)]
    )
    found = compare(a, longer, pair=pair)
    assert found.verdict == "slower"
    assert math.fsum(cause.seconds for cause in found.causes) == pytest.approx(found.duration.difference)
    names = [cause.name for cause in found.causes]
    assert (names[0], names[-1]) == ("plan", "unexplained")
    assert found.causes[0].seconds == pytest.approx(2.0)
    assert found.causes[0].buckets == {"model": pytest.approx(2.0)}
    assert abs(found.causes[-1].seconds) < 0.5


def test_an_agent_that_works_beside_the_path_is_said_to() -> None:
    a = measured([run(2 * i + 1, 10.0 + i / 10, plan=4.0, begin=100.0 * i, seed=i) for i in range(8)])
    b = measured([run(2 * i + 2, 6.0 + i / 10, plan=4.0, begin=100.0 * i + 50, seed=i, beside=True) for i in range(8)])
    found = compare(a, b)
    [plan] = [cause for cause in found.causes if cause.name == "plan"]
    assert (found.verdict, plan.beside) == ("faster", True)
    assert plan.seconds == pytest.approx(-4.0)
    assert compare(*sides(10, 0.5)).causes[0].beside is False


def test_without_a_difference_there_is_nothing_to_explain() -> None:
    assert compare(*sides(20, 1.0, noise=0.01)).causes == ()


def test_runs_without_agents_are_taken_apart_by_their_spans() -> None:
    def plainly(profiles: Sequence[Profile]) -> list[Profile]:
        return [
            replace(
                one,
                agents=tuple(replace(share, name="") for share in one.agents[:1]),
                path=tuple(replace(segment, agent=None) for segment in one.path),
            )
            for one in profiles
        ]

    a, b = sides(10, 0.5)
    found = compare(plainly(a), plainly(b))
    assert found.causes[0].name == "chat sim-1"
    assert math.fsum(cause.seconds for cause in found.causes) == pytest.approx(found.duration.difference)


@pytest.mark.parametrize(
    ("first", "second", "differing"),
    [
        ({"host.name": "one"}, {"host.name": "two"}, ["machine"]),
        ({"process.runtime.version": "3.11.7"}, {"process.runtime.version": "3.12.1"}, ["Python"]),
        ({c.TIME_SCALE: 1.0}, {c.TIME_SCALE: 20.0}, ["speed"]),
        ({"host.arch": "arm64"}, {"host.arch": "x86_64"}, ["architecture"]),
        ({"host.name": "one"}, {}, []),
        ({"host.name": "one"}, {"host.name": "one"}, []),
    ],
)
def test_other_surroundings_are_a_verdict_of_their_own(
    first: dict[str, Any], second: dict[str, Any], differing: list[str]
) -> None:
    a = measured([run(2 * i + 1, 10.0 + i / 10, begin=100.0 * i, resource=first) for i in range(8)])
    b = measured([run(2 * i + 2, 6.0 + i / 10, begin=100.0 * i + 50, resource=second) for i in range(8)])
    found = compare(a, b)
    assert [one.name for one in found.surroundings if one.differs] == differing
    assert (found.verdict == "environments_differ") == bool(differing)
    ignoring = compare(a, b, ignore_surroundings=True)
    assert (found.would_be, ignoring.verdict) == (ignoring.would_be, ignoring.would_be)


def test_hosts_that_serve_both_sides_are_no_difference() -> None:
    a = measured([run(2 * i + 1, 10.0, begin=100.0 * i, resource={"host.name": f"h{i % 3}"}) for i in range(6)])
    b = measured([run(2 * i + 2, 10.0, begin=100.0 * i + 50, resource={"host.name": f"h{i % 2}"}) for i in range(6)])
    assert not any(one.differs for one in compare(a, b).surroundings)


def test_load_counts_where_it_is_recorded() -> None:
    a = alone([10.0] * 6, attributes={c.RUN_LOAD: 0.1})
    b = alone([10.0] * 6, 7, attributes={c.RUN_LOAD: 1.4})
    [load] = [one for one in compare(a, b).surroundings if one.name == "load"]
    assert (load.a, load.b, load.differs) == (("0.10",), ("1.40",), True)


def test_failed_and_unfinished_runs_are_counted_and_left_out() -> None:
    a = [*alone([10.0 + i / 10 for i in range(8)]), *alone([99.0], 50, error="TimeoutError")]
    b = [*alone([10.1 + i / 10 for i in range(6)], 20), *alone([99.0] * 9, 60, error="TimeoutError")]
    found = compare(a, b)
    assert (found.a_runs, found.b_runs, found.success.a_failed, found.success.b_failed) == (8, 6, 1, 9)
    assert (found.success.a_runs, found.success.b_runs, found.success.change) == (9, 15, "more")
    assert found.notes[:2] == (
        "1 of 9 runs of A ended in an error; their durations are left out.",
        "9 of 15 runs of B ended in an error; their durations are left out.",
    )
    assert max(seconds_of([*found.typical])) < 99


def test_a_run_far_from_the_others_is_shown_and_counts() -> None:
    found = compare(alone([10.0, 10.1, 10.2, 9.9, 9.8, 60.0]), alone([10.0, 10.1, 10.2, 9.9, 9.8, 10.3], 7))
    assert [(one.side, one.seconds) for one in found.outliers] == [("a", 60.0)]
    assert found.a_runs == 6


def test_one_side_after_the_other_is_said() -> None:
    later = measured([run(20 + i, 10.0 + i, begin=5000.0 + 100 * i) for i in range(6)])
    assert any("after the other" in note for note in compare(alone([10.0 + i for i in range(6)]), later).notes)
    assert not any("after the other" in note for note in compare(*sides(6)).notes)


def test_the_runs_that_are_shown_are_a_pair_that_was_judged() -> None:
    a, b = sides(9, 0.8)
    found = compare(a, b)
    one, other = found.typical
    assert (one in a, other in b) == (True, True)
    assert one.run.root.attributes[c.RUN_SEED] == other.run.root.attributes[c.RUN_SEED]


def test_what_cannot_be_compared_is_an_error() -> None:
    a, b = sides(3)
    with pytest.raises(InputError, match=r"A holds runs of desk, B of shop; only runs of one workflow"):
        compare(a, alone([1.0], 90, name="shop"))
    with pytest.raises(InputError, match=r"1 run\(s\) are in both A and B"):
        compare(a, [*b, a[0]])
    with pytest.raises(NothingMeasuredError, match=r"^B: it holds no run; record more") as problem:
        compare(a, [])
    assert problem.value.exit_code == 5
    with pytest.raises(NothingMeasuredError, match=r"^A: none of its 1 runs ended without an error"):
        compare(alone([1.0], 90, error="E"), b)


def test_metrics_beside_the_duration_are_corrected_for_their_number() -> None:
    found = compare(*sides(12, 0.8))
    metrics = {one.name: one for one in found.metrics}
    assert metrics["work"].change == "less"
    assert metrics["work"].ratio == pytest.approx(-0.2, abs=0.02)
    assert metrics["tokens a second"].change == "more"
    assert "cost" not in metrics
    assert min(one.p for one in found.metrics) >= found.duration.p


@pytest.mark.slow
@pytest.mark.parametrize("pair", [True, False])
def test_equal_populations_are_seldom_told_apart(*, pair: bool) -> None:
    draw = random.Random(11)
    found = [compare(*sides(8, noise=0.1, seed=draw.getrandbits(32)), pair=pair).verdict for _ in range(150)]
    assert sum(one in {"faster", "slower"} for one in found) <= 0.08 * 150
