"""The gate's engine: limits, regression against a baseline, the verdict, and what every form says of it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest
from support.populations import run, sides
from support.traces import agent, chat, run_of, span, workflow

from spanwise import conventions as c
from spanwise_profiling.gate import Check, GateResult, Limit, Rules, check_limits, check_regression
from spanwise_profiling.gate.limits import check_failures, undecided
from spanwise_profiling.gate.measures import MEASURES, RATIOS
from spanwise_profiling.gate.proposals import proposals, tolerance_factor, upper_bound
from spanwise_profiling.gate.regression import interleaved
from spanwise_profiling.profile import BUCKETS
from spanwise_profiling.profiled import measured
from spanwise_profiling.render.gate import (
    LONGEST_COMMENT,
    MARKER,
    gate_document,
    gate_junit,
    gate_markdown,
    gate_report,
    headline,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spanwise_profiling.profile import Profile


def runs(*seconds: float, first: int = 1, **more: Any) -> list[Profile]:
    """Return runs of these seconds, without seeds."""
    return measured([run(first + i, value, begin=100.0 * i, **more) for i, value in enumerate(seconds)])


def outcome(limit: Limit, profiles: Sequence[Profile]) -> tuple[str, str]:
    [check] = check_limits([limit], profiles)
    return check.outcome, check.text


def regression(baseline: Sequence[Profile], head: Sequence[Profile], **rules: Any) -> dict[str, Check]:
    checks, _ = check_regression("desk", baseline, head, Rules(**rules))
    return {check.name: check for check in checks}


def verdict(*outcomes: Any, decides: bool = True) -> str:
    return GateResult(tuple(Check("x", "desk", "budget", one, "text", decides=decides) for one in outcomes), {}).verdict


def lookups(*results: str, cache: str = "prices") -> list[Profile]:
    """Return a run with these lookups."""
    attributes = [{c.CACHE_NAME: cache, c.CACHE_RESULT: result} for result in results]
    spans = [span(2 + i, 0.1, 0.2, parent=1, attributes=one) for i, one in enumerate(attributes)]
    return measured([run_of(workflow(1, 0, 1, name="desk"), *spans)])


# Limits.


@pytest.mark.parametrize(("bound", "expected"), [(9.0, "pass"), (8.99, "fail")])
def test_a_limit_on_each_run_is_kept_at_the_bound_and_broken_above(bound: float, expected: str) -> None:
    found = outcome(Limit(name="run.seconds", measure="seconds", bound=bound), runs(8.0, 9.0))
    assert found[0] == expected


def test_a_broken_limit_says_what_was_found_and_where_the_time_went() -> None:
    [check] = check_limits([Limit(name="run.seconds", measure="seconds", bound=8.5)], runs(8.0, 9.0, 10.0))
    assert check.text == "duration: 10.00 s in the worst of 3 runs, 2 are over it; at most 8.50 s"
    assert (check.value, check.limit, check.unit) == (10.0, 8.5, "s")
    assert check.details == (
        "run 0003aaaaaaaa took 10.00 s:",
        "judge: 9.00 s (90 %) of the critical path, mostly model",
        "plan: 1.00 s (10 %) of the critical path, mostly model",
    )


def test_of_a_p95_one_run_in_twenty_may_be_over() -> None:
    limit = Limit(name="duration.p95", measure="seconds", bound=10, over="share", allowed=0.05)
    assert outcome(limit, runs(*[8.0] * 19, 12.0))[0] == "pass"
    assert outcome(limit, runs(*[8.0] * 18, 12.0, 12.0)) == (
        "fail", "duration: 12.00 s in the worst of 20 runs, 2 are over it (5 % may be); at most 10.00 s",
    )  # fmt: skip


def test_a_mean_may_be_broken_by_single_runs() -> None:
    limit = Limit(name="rate", measure="tokens_per_second", bound=30, least=True, over="mean")
    assert outcome(limit, runs(4.0, 12.0)) == (
        "pass", "tokens a second: 40 tokens/s on average over 2 runs; at least 30 tokens/s",
    )  # fmt: skip
    assert outcome(limit, runs(12.0, 12.0))[0] == "fail"


def test_too_few_runs_are_undecided_and_say_how_many_it_takes() -> None:
    limit = Limit(name="duration.p95", measure="seconds", bound=10, over="share", fewest=5)
    assert outcome(limit, runs(8.0)) == ("inconclusive", "duration: 1 runs, and it takes 5 to judge; record more runs")


def test_a_hit_rate_counts_what_was_answered_of_what_was_asked() -> None:
    limit = Limit(name="hits", measure="cache_hit_rate", bound=0.6, least=True, over="ratio", subject="prices")
    found = lookups("hit", "coalesced", "miss", "stale", "bypass")
    assert outcome(limit, found) == ("fail", "cache hit rate of prices: 50 % of 4 lookups; at least 60 %")
    assert outcome(replace(limit, bound=0.5), found)[0] == "pass"
    assert outcome(replace(limit, subject="news"), found)[0] == "inconclusive"


def test_an_optional_limit_is_left_alone_where_there_is_nothing_of_the_kind() -> None:
    limit = Limit(name="hits", measure="cache_hit_rate", bound=0.6, least=True, over="ratio", optional=True)
    assert check_limits([limit], runs(8.0)) == []


def test_an_unknown_cost_is_undecided() -> None:
    found = outcome(Limit(name="run.cost", measure="cost", bound=1.0), runs(8.0))
    assert found == ("inconclusive", "cost: not known of 1 of 1 runs; give prices of all models with --prices FILE")


def test_failed_runs_count_and_may_not_be() -> None:
    failed = runs(9.0, 9.5, error="TimeoutError")
    assert outcome(Limit(name="run.seconds", measure="seconds", bound=9.2), failed)[0] == "fail"
    check = check_failures([*runs(8.0, first=9), *failed])
    assert (check.outcome, check.text) == ("fail", "2 of 3 runs ended in an error (TimeoutError)")


# Regression.


def test_equal_runs_pass_every_check() -> None:
    assert {check.outcome for check in regression(*sides(12)).values()} == {"pass"}


def test_one_call_more_fails_after_one_run_of_each() -> None:
    baseline, head = runs(8.0), runs(8.0, first=2, calls=2)
    found = regression(baseline, head)
    assert found["model calls"].outcome == found["input tokens"].outcome == "fail"
    assert found["model calls"].text == "model calls: 3, of the baseline 2"
    assert found["duration"].outcome == "inconclusive"
    assert not found["duration"].decides


def test_fewer_calls_pass() -> None:
    assert regression(runs(8.0, calls=2), runs(8.0, first=2))["model calls"].outcome == "pass"


@pytest.mark.parametrize(("share", "expected"), [(0.5, "pass"), (0.49, "fail")])
def test_a_count_may_grow_by_what_is_allowed(share: float, expected: str) -> None:
    found = regression(runs(8.0), runs(8.0, first=2, calls=2), allow={"model calls": share})
    assert found["model calls"].outcome == expected
    assert found["input tokens"].outcome == "fail"


def seeded(*tokens: int, first: int) -> list[Profile]:
    """Return a run for each seed, with calls of so many input tokens."""
    return measured(
        [run(first + i, 8.0, begin=100.0 * i + first, seed=i, tokens=(one, 20)) for i, one in enumerate(tokens)]
    )


def test_a_count_that_grew_in_every_pair_fails_however_few_pairs_and_however_much_seeds_differ() -> None:
    found = regression(seeded(100, 900, first=1), seeded(101, 901, first=50))
    assert found["input tokens"].outcome == "fail"
    assert found["input tokens"].text == (
        "input tokens: 202 to 1,802, of the baseline 200 to 1,800; more in 2 of 2 pairs by seed, fewer in 0"
    )
    assert found["output tokens"].outcome == "pass"


def test_a_count_that_grew_in_some_pairs_fails_only_beyond_chance() -> None:
    some = regression(seeded(100, 200, 300, first=1), seeded(100, 210, 300, first=50))["input tokens"]
    assert some.outcome == "pass"
    assert some.text.endswith("more in 1 of 3 pairs by seed, fewer in 0 (p 1, which can be chance)")
    before, after = [100 + i for i in range(10)], [99, *(140 + i for i in range(9))]
    assert regression(seeded(*before, first=1), seeded(*after, first=50))["input tokens"].outcome == "fail"


def test_a_paired_count_may_grow_by_what_is_allowed() -> None:
    before, after = seeded(100, 200, first=1), seeded(110, 220, first=50)
    assert regression(before, after, allow={"input tokens": 0.1})["input tokens"].outcome == "pass"
    assert regression(before, after, allow={"input tokens": 0.09})["input tokens"].outcome == "fail"


def test_slower_runs_in_turn_fail_and_say_where_the_time_went() -> None:
    check = regression(*sides(12, 1.2))["duration"]
    assert check.outcome == "fail"
    assert check.details[0].startswith("judge: +")
    assert any(line.startswith("judge: ") and "of the critical path" in line for line in check.details)


def test_a_slowdown_below_the_margin_passes() -> None:
    assert regression(*sides(40, 1.02, noise=0.002))["duration"].outcome == "pass"


def test_seconds_of_runs_that_were_not_made_in_turn_do_not_decide() -> None:
    a, _ = sides(12)
    late = measured([run(100 + i, 20.0, begin=5000.0 + 100 * i, seed=i) for i in range(12)])
    check = regression(a, late)["duration"]
    assert (check.outcome, check.decides) == ("inconclusive", False)
    assert "not made in turn" in check.text


def test_seconds_of_another_machine_do_not_decide_and_the_machine_is_named() -> None:
    a, b = sides(12, 1.5)
    here = [replace(one, run=_on(one, "here")) for one in b]
    there = [replace(one, run=_on(one, "there")) for one in a]
    check = regression(there, here)["duration"]
    assert check.outcome == "inconclusive"
    assert check.text.endswith("does not decide: machine differs; the baseline was made on there")
    assert regression(there, here, ignore_surroundings=True)["duration"].outcome == "fail"


def _on(profile: Profile, machine: str) -> Any:
    tops = tuple(replace(top, resource={**top.resource, "host.name": machine}) for top in profile.run.tops)
    return replace(profile.run, tops=tops)


def test_seconds_can_be_kept_from_deciding() -> None:
    check = regression(*sides(12, 1.5), seconds=False, strict=True)["duration"]
    assert (check.outcome, check.decides) == ("inconclusive", False)


def test_strict_keeps_undecided_seconds_from_passing() -> None:
    checks = regression(runs(8.0), runs(8.0, first=2), strict=True)
    assert GateResult(tuple(checks.values()), {}).verdict == "inconclusive"


def test_a_failure_where_there_was_none_fails_and_all_runs_failing_does_too() -> None:
    a, b = sides(8)
    failed = measured([run(50, 9.0, begin=30.0, error="TimeoutError")])
    assert regression(a, [*b, *failed])["failures"].outcome == "fail"
    all_failed = regression(a, failed)
    assert GateResult(tuple(all_failed.values()), {}).verdict == "fail"
    assert all_failed["runs"].text == "the runs to judge: none of its 1 runs ended without an error"


def test_failures_that_the_baseline_has_too_can_be_chance() -> None:
    both = [measured([run(n, 9.0, begin=n * 10.0, error="E")]) for n in (60, 61, 62)]
    a, b = sides(8)
    check = regression([*a, *both[0]], [*b, *both[1], *both[2]])["failures"]
    assert (check.outcome, "can be chance" in check.text) == ("pass", True)


@pytest.mark.parametrize(("missing", "where"), [(0, "the baseline"), (1, "the runs to judge")])
def test_a_side_without_runs_is_not_measured(missing: int, where: str) -> None:
    populations: list[list[Profile]] = [runs(8.0), runs(8.0)]
    populations[missing] = []
    [check] = regression(*populations).values()
    assert (check.outcome, where in check.text) == ("nothing_measured", True)


@pytest.mark.parametrize(
    ("order", "expected"),
    [("ABABABAB", True), ("ABBAABBA", True), ("AAAABBBB", False), ("AB", False), ("AABABBAB", False)],
)
def test_runs_are_made_in_turn_where_no_side_gets_far_ahead(order: str, *, expected: bool) -> None:
    made = [(side, measured([run(i + 1, 5.0, begin=10.0 * i)])[0]) for i, side in enumerate(order)]
    a, b = ([one for where, one in made if where == side] for side in "AB")
    assert interleaved(a, b) is expected


# The verdict.


@pytest.mark.parametrize(
    ("outcomes", "expected", "code"),
    [
        ((), "nothing_measured", 5),
        (("pass",), "pass", 0),
        (("pass", "inconclusive"), "inconclusive", 3),
        (("inconclusive", "nothing_measured"), "nothing_measured", 5),
        (("pass", "nothing_measured", "fail"), "fail", 1),
    ],
)
def test_the_worst_outcome_is_the_verdict(outcomes: tuple[str, ...], expected: str, code: int) -> None:
    result = GateResult(tuple(Check("x", "desk", "budget", one, "t") for one in outcomes), {})  # type: ignore[arg-type]
    assert (result.verdict, result.exit_code) == (expected, code)


def test_what_does_not_decide_does_not_keep_a_gate_from_passing() -> None:
    assert verdict("inconclusive", decides=False) == "pass"
    assert verdict("nothing_measured", decides=False) == "nothing_measured"
    assert not undecided(Check("x", "desk", "seconds", "fail", "t")).decides


# The forms.


def a_result() -> GateResult:
    checks, comparison = check_regression("desk", *sides(12, 1.2), Rules())
    assert comparison is not None
    nasty = Check("run.tokens", "<b>|@team\x1b[2J", "budget", "inconclusive", "tokens: 1 & <2>", 1.0, 2.0)
    return GateResult((*checks, nasty), {"desk": comparison}, ("1 of 2 runs have no end",))


def test_the_report_has_the_verdict_first_and_failures_before_passes() -> None:
    lines = [line.plain for line in gate_report(a_result())]
    assert lines[0] == "Gate failed: 1 failed, 1 not decided, 4 passed of 6 checks"
    marks = [line[2:15].strip() for line in lines[1:] if line[2:15].strip() in ("FAIL", "ok", "not decided")]
    assert marks == ["FAIL", "not decided", *["ok"] * 4]
    assert lines[-1] == "  note: 1 of 2 runs have no end"
    assert not any("\x1b" in line for line in lines)


def test_a_comment_can_be_found_again_and_shows_names_as_they_are() -> None:
    lines = gate_markdown(a_result()).splitlines()
    assert lines[0] == MARKER
    assert lines[1] == "### \u274c Gate failed: 1 failed, 1 not decided, 4 passed of 6 checks"
    row = next(line for line in lines if "tokens: 1" in line)
    assert r"\<b\>\|@" in row
    assert "@team" not in row
    assert "**duration: where it went**" in lines


def test_a_comment_that_says_nothing_was_measured_says_it_loudly() -> None:
    assert gate_markdown(GateResult((), {})).splitlines()[1:4] == [
        "### \u26a0\ufe0f NOTHING WAS MEASURED: there is no run, or nothing to judge it by",
        "",
        "**No verdict is not a pass.** Record runs of each workflow, and give a baseline of it.",
    ]


def test_a_comment_is_never_longer_than_github_takes() -> None:
    checks = [Check(f"check {i}", "desk", "budget", "fail", "\U0001f4a5" * 200) for i in range(500)]
    found = gate_markdown(GateResult(tuple(checks), {}))
    assert len(found.encode("utf-16-le")) // 2 <= LONGEST_COMMENT + 200
    assert found.splitlines()[-1].startswith("The comment was cut here")
    assert found.splitlines()[1] == "### \u274c Gate failed: 500 failed of 500 checks"


def test_junit_has_a_test_for_each_check_that_any_reader_can_parse() -> None:
    root = ET.fromstring(gate_junit(a_result()))
    suites = {suite.get("name"): suite for suite in root}
    desk = suites["desk"]
    assert (desk.get("tests"), desk.get("failures"), desk.get("errors")) == ("5", "1", "0")
    [failure] = [case.find("failure") for case in desk if case.find("failure") is not None]
    assert failure is not None
    assert (failure.text or "").startswith("judge: +")
    assert "<b>|@team\\x1b[2J" in suites
    [empty] = ET.fromstring(gate_junit(GateResult((), {})))
    assert empty.get("errors") == "1"


def test_the_document_has_all_checks_and_comparisons() -> None:
    result = a_result()
    found = json.loads(json.dumps(gate_document(result, ["a line was skipped"]), allow_nan=False))
    assert (found["schema"], found["verdict"], found["exit_code"]) == ("spanwise.gate/1", "fail", 1)
    assert found["headline"] == headline(result)
    assert len(found["checks"]) == 6
    assert set(found["checks"][0]) == {
        "name", "workflow", "kind", "outcome", "text", "value", "limit", "unit", "place", "details", "decides",
    }  # fmt: skip
    assert found["comparisons"]["desk"]["verdict"] == "slower"


# Proposals.


def test_what_does_not_vary_is_proposed_as_it_is() -> None:
    found = {one.key: one.bound for one in proposals(runs(8.0, 8.0, 8.0))}
    assert found == {
        "run.model_calls": 2, "run.retries": 0, "run.errors": 0, "run.tokens": 240, "duration.p95": 10,
    }  # fmt: skip


def test_what_varies_gets_room_for_its_noise() -> None:
    assert upper_bound([10.0, 10.0]) == 10.0
    assert upper_bound([10.0, 11.0]) is None
    few, many = upper_bound([9.0, 10.0, 11.0]), upper_bound([9.0, 10.0, 11.0] * 20)
    assert few is not None
    assert many is not None
    assert 11.0 < many < few
    # Exact one-sided factors for 95 % with 95 %: 3.41 for 6 values, 2.40 for 20; the approximation is near.
    assert tolerance_factor(6) == pytest.approx(3.71, rel=0.12)
    assert tolerance_factor(20) == pytest.approx(2.396, rel=0.02)


def test_a_hit_rate_is_proposed_with_the_lookups_of_one_run() -> None:
    found = {one.key: one.bound for one in proposals(lookups("hit", "hit", "hit", "miss", "bypass"))}
    assert (found["cache_hit_rate.minimum"], found["cache_hit_rate.min_lookups"]) == (0.75, 4)


def test_failed_and_unfinished_runs_suggest_nothing() -> None:
    assert proposals(runs(8.0, error="E")) == []


# Measures of agents, tools and models.


def a_busy_run() -> list[Profile]:
    """Return a run with an agent, a tool that fails once, and two streamed calls, of which one was tried again."""
    stream = {c.RESPONSE_TIME_TO_FIRST_CHUNK: 1.0, c.STREAM_CHUNKS: 11, c.USAGE_CACHE_READ_INPUT_TOKENS: 60}
    tool_of = {c.OPERATION_NAME: "execute_tool", c.TOOL_NAME: "prices"}
    retried = {c.RETRY_SCHEDULED: True}
    return measured(
        [
            run_of(
                workflow(1, 0, 10, name="w"),
                agent(2, 0, 8, name="risk", parent=1),
                chat(3, 0, 3, parent=2, model="small", attributes=stream),
                chat(4, 3, 4, parent=2, model="small", attributes=retried, error="429"),
                chat(5, 4, 8, parent=2, model="large", attributes={**stream, c.RESPONSE_TIME_TO_FIRST_CHUNK: 2.0}),
                span(6, 8, 9, parent=1, name="execute_tool prices", attributes=tool_of),
                span(7, 9, 9.5, parent=1, name="execute_tool prices", attributes=tool_of, error="E"),
            )
        ]
    )


@pytest.mark.parametrize(
    ("measure", "subject", "expected"),
    [
        ("agent_seconds", "risk", [8.0]),
        ("tool_seconds", "prices", [1.0, 0.5]),
        ("model_seconds", None, [3.0, 4.0]),
        ("model_seconds", "small", [3.0]),
        ("time_to_first_chunk", None, [1.0, 2.0]),
        ("chunk_gap", "small", [0.2]),
        ("decode_tokens_per_second", "small", [10.0]),
        ("agent_seconds", "nobody", []),
    ],
)
def test_a_measure_has_a_value_for_each_call_of_its_subject(
    measure: str, subject: str | None, expected: list[float]
) -> None:
    [profile] = a_busy_run()
    assert MEASURES[measure].values(profile, subject) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("ratio", "subject", "expected"),
    [
        ("agent_error_rate", "risk", (0, 1)),
        ("tool_error_rate", "prices", (1, 2)),
        ("error_rate", None, (0, 2)),
        ("retries", None, (1, 2)),
        ("prompt_cache_hit_rate", "small", (60, 100)),
        ("success_rate", None, (1, 1)),
    ],
)
def test_a_ratio_has_both_its_parts(ratio: str, subject: str | None, expected: tuple[float, float]) -> None:
    [profile] = a_busy_run()
    assert RATIOS[ratio].parts(profile, subject) == expected


def test_the_shares_of_all_buckets_are_the_whole_run() -> None:
    [profile] = a_busy_run()
    spent = [RATIOS["waits"].parts(profile, bucket)[0] for bucket in BUCKETS]
    assert sum(spent) == pytest.approx(10.0)
