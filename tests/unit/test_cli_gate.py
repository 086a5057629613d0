"""`spanwise gate` and `spanwise budgets`: which runs, exit codes, and every form of the output."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from support.populations import MACHINE, record_sides, run
from support.traces import record

from spanwise import conventions as c
from spanwise.errors import InputError
from spanwise_alerts.alerting import alerts
from spanwise_alerts.budgets import load_budgets, read_budgets
from spanwise_cli.gate_limits import limits_of
from spanwise_cli.main import main
from spanwise_cli.options import presentation
from spanwise_profiling.gate.measures import MEASURES, RATIOS

EVERY = Path(__file__).with_name("every_budget.yaml")
BUDGETS = """
version: 1
workflows:
  desk:
    run: {model_calls: 2, tokens: 1000, seconds: 60}
    duration: {p95: 30}
    tokens_per_second: {minimum: 1}
"""


@pytest.fixture(autouse=True)
def _own_presentation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presentation, "verbose", presentation.verbose)
    monkeypatch.setattr(presentation, "color", presentation.color)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with ten runs of each of two presets, and a budget file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPANWISE_JOURNAL_DIR", raising=False)
    record_sides(tmp_path / ".spanwise")
    (tmp_path / "budgets.yaml").write_text(BUDGETS, encoding="utf-8")
    return tmp_path


def printed(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    assert main(["gate", *words]) == code
    return capsys.readouterr().out


def test_runs_within_their_budgets_pass(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, "preset=old").splitlines()
    assert lines[0] == "Gate passed: 6 passed of 6 checks"
    assert lines[1].split(maxsplit=2)[2] == "duration: 12.74 s in the worst of 10 runs; at most 60.00 s"


def test_a_broken_budget_names_its_key(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, "preset=new", code=1)
    assert "model calls: 3 in the worst of 10 runs, 10 are over it; at most 2 (workflows.desk.run.model_calls)" in out


def test_a_regression_fails_without_budgets(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "budgets.yaml").unlink()
    out = printed(capsys, "preset=new", "--baseline", "preset=old", code=1)
    assert out.splitlines()[0] == "Gate failed: 4 failed, 1 passed of 5 checks"
    assert "judge: +1.47 s on the critical path, model +1.47 s, model calls +1" in out


def test_without_runs_the_ones_that_are_not_the_baseline_are_judged(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = json.loads(printed(capsys, "--baseline", "preset=old", "--json", code=1))
    assert (found["schema"], found["verdict"]) == ("spanwise.gate/1", "fail")
    comparison = found["comparisons"]["desk"]
    assert (comparison["a"]["n"], comparison["b"]["n"], comparison["paired_by"]) == (10, 10, "seed")


def test_a_stored_baseline_is_a_file_that_export_writes(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "budgets.yaml").unlink()
    record(here / "stored", *(one for _, one in run(77, 8.0, seed=50, resource=MACHINE).walk()), file="b")
    [stored] = (here / "stored").glob("*")
    assert main(["gate", "preset=old", "--baseline", str(stored), "--no-seconds"]) == 0


@pytest.mark.parametrize("baseline", ["baseline.jsonl", "preset=none", "elsewhere/old.jsonl,workflow=desk"])
def test_a_missing_baseline_is_never_a_pass(here: Path, capsys: pytest.CaptureFixture[str], baseline: str) -> None:
    out = printed(capsys, "preset=old", "--baseline", baseline, code=5)
    assert out.splitlines()[0].startswith("NOTHING WAS MEASURED: 1 not measured, ")
    assert "no run of this workflow is in the baseline, and what was not measured is never a pass" in out


@pytest.mark.parametrize("words", [(), ("last",), ("preset=old",)])
def test_without_a_recorded_run_nothing_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "budgets.yaml").write_text("version: 1\ndefault: {duration: {p95: 1}}\n", encoding="utf-8")
    out = printed(capsys, *words, code=5)
    assert out == "NOTHING WAS MEASURED: there is no run, or nothing to judge it by\n"


def test_a_workflow_that_was_not_run_is_not_passed(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = BUDGETS + "  report:\n    run: {errors: 0}\n"
    (here / "budgets.yaml").write_text(more, encoding="utf-8")
    assert "no run of this workflow was found" in printed(capsys, "preset=old", code=5)


def test_a_workflow_without_a_budget_is_not_passed(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "budgets.yaml").write_text("version: 1\nworkflows: {other: {duration: {p95: 1}}}\n", encoding="utf-8")
    assert "the budget file has no budget of this workflow, and no default" in printed(capsys, "preset=old", code=5)


def test_a_failed_run_fails_the_gate(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    failing = run(90, 8.0, begin=9000.0, error="TimeoutError", attributes={c.RUN_VARIANT: "old"}, resource=MACHINE)
    record(here / ".spanwise", *(one for _, one in failing.walk()), file="failing")
    assert "1 of 11 runs ended in an error (TimeoutError)" in printed(capsys, "preset=old", code=1)
    assert "failures: 1 of 1 runs failed, of the baseline 0 of 10" in printed(
        capsys, "last", "--baseline", "preset=new", code=1
    )


def test_counts_can_decide_alone(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "budgets.yaml").write_text("version: 1\nworkflows: {desk: {run: {seconds: 1, errors: 0}}}\n")
    out = printed(capsys, "preset=old", "--no-seconds")
    assert "does not decide: counts decide alone" in out
    printed(capsys, "preset=old", code=1)


def test_markdown_and_junit_have_the_same_verdict(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, "preset=new", "--markdown", "--junit", "gate.xml", code=1)
    assert out.startswith("<!-- spanwise gate -->\n### \u274c Gate failed: 1 failed, 5 passed of 6 checks\n")
    [suite] = ET.parse(here / "gate.xml").getroot()
    assert (suite.get("name"), suite.get("tests"), suite.get("failures")) == ("desk", "6", "1")


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("preset=old", "--allow", "colour=3%"), "--allow colour=3%: no count; "),
        (("preset=old", "--allow", "tokens"), "--allow tokens: no count; did you mean "),
        (("preset=old", "--allow", "retries=much"), "--allow retries=much: give a share "),
        (("preset=old", "--markdown", "--json"), "--markdown and --json: each is all that is printed"),
        (("preset=old", "--budgets", "no.yaml"), "no.yaml: no such file; write one with: spanwise budgets init"),
        (("preset=old", "--junit", "no/where.xml"), "--junit no/where.xml: cannot be written"),
        (("preset=old", "--baseline", "preset=old"), "10 run(s) are in both A and B"),
        (("colour=red",), "colour=red: unknown filter; "),
    ],
)
def test_bad_usage_is_one_line_with_a_remedy(
    here: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], problem: str
) -> None:
    assert main(["gate", *words]) == 2
    err = capsys.readouterr().err
    assert problem in err
    assert err.count("\n") == 1


def test_nothing_to_judge_by_is_bad_usage(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "budgets.yaml").unlink()
    assert main(["gate", "preset=old"]) == 2
    assert "give --baseline A, --budgets FILE, or both" in capsys.readouterr().err


def test_limits_are_those_of_the_workflow_or_else_the_default() -> None:
    text = """
version: 1
workflows:
  desk:
    run: {cost: 2}
    duration: {p95: 120, min_runs: 3}
    tokens_per_second: {minimum: 20, min_runs: 4}
    cache_hit_rate: {minimum: 0.3, min_lookups: 9, caches: {prices: 0.7}}
default: {cache_hit_rate: {minimum: 0.2}}
"""
    budgets = read_budgets(text, source="test")
    found = {limit.place: limit for limit in limits_of(budgets, "desk")}
    assert list(found) == [
        "workflows.desk.run.cost",
        "workflows.desk.duration.p95",
        "workflows.desk.tokens_per_second.minimum",
        "workflows.desk.cache_hit_rate.minimum",
        "workflows.desk.cache_hit_rate.caches.prices",
    ]
    p95, rate, hits = list(found.values())[1:4]
    assert (p95.bound, p95.over, p95.allowed, p95.fewest, p95.least) == (120, "share", 0.05, 3, False)
    assert (rate.bound, rate.over, rate.fewest, rate.least) == (20, "mean", 4, True)
    assert (hits.bound, hits.over, hits.fewest, hits.least, hits.optional) == (0.3, "ratio", 9, True, False)
    [other] = limits_of(budgets, "another")
    assert (other.place, other.optional) == ("default.cache_hit_rate.minimum", True)


# Budgets.


def budgets(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    assert main(["budgets", *words]) == code
    return capsys.readouterr().out


def test_budgets_are_proposed_from_recorded_runs_and_pass(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = budgets(capsys, "init", "preset=old", "--output", "own.yaml", "--schema")
    assert out.startswith("own.yaml, budgets.schema.json: written from desk (10 runs); ")
    text = (here / "own.yaml").read_text(encoding="utf-8")
    assert "      model_calls: 2          # each of 10 runs: 2\n" in text
    given = load_budgets(here / "own.yaml").workflows["desk"]
    assert given.run is not None
    assert given.run.limits() == {"model_calls": 2, "retries": 0, "errors": 0, "tokens": 240}
    assert given.duration is not None
    assert given.duration.p95 == 15
    assert json.loads((here / "budgets.schema.json").read_text(encoding="utf-8"))["title"] == "spanwise budgets"
    printed(capsys, "preset=old", "--budgets", "own.yaml")


def test_without_runs_an_example_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "an example, without runs" in budgets(capsys, "init")
    assert list(load_budgets(tmp_path / "budgets.yaml").workflows) == ["my_workflow"]
    found: dict[str, Any] = json.loads(budgets(capsys, "check", "--json"))
    assert found["contents"] == {"workflows": 1, "limits of runs": 2, "alerts": 1}
    assert budgets(capsys, "check") == "budgets.yaml: sound: 1 workflows, 2 limits of runs, 1 alerts\n"


def test_a_name_that_yaml_would_misread_is_quoted(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, name in enumerate(("no", "a: b # c", "7", "caf\u00e9 \u2028")):
        odd = run(80 + number, 5.0, begin=8000.0 + number, name=name)
        record(here / "odd", *(one for _, one in odd.walk()), file=f"{number}")
    budgets(capsys, "init", "--output", "odd.yaml", "--journal", "odd")
    assert set(load_budgets(here / "odd.yaml").workflows) == {"no", "a: b # c", "7", "caf\u00e9 \u2028"}


def test_a_file_that_is_there_is_not_written_over(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["budgets", "init"]) == 2
    assert "budgets.yaml: is there already; " in capsys.readouterr().err
    assert (here / "budgets.yaml").read_text(encoding="utf-8") == BUDGETS
    assert main(["budgets", "init", "preset=none", "--output", "new.yaml"]) == 5


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "version: 1\nworkflows: {desk: {run: {}}}",
            "x:2: workflows.desk.run: no limit is given; ",
        ),
        ("version: 1\nworkflows: {desk: {run: {tokens: -1}}}", "tokens is -1; write a number of 0 or more"),
        ("version: 1\nworkflows: {desk: {run: {token: 1}}}", "unknown key 'token'; did you mean 'tokens'? "),
        ("version: 1\nworkflows: {desk: {run: {tokens: .nan}}}", "tokens is nan; write a number of 0 or more"),
    ],
)
def test_a_mistake_in_what_a_run_may_take_has_place_and_remedy(text: str, problem: str) -> None:
    with pytest.raises(InputError) as caught:
        read_budgets(text, source="x")
    assert problem in str(caught.value)


def test_every_kind_of_budget_but_regressions_and_objectives_is_judged() -> None:
    budgets = load_budgets(EVERY)
    found = limits_of(budgets, "w")
    assert {limit.measure for limit in found} <= {*MEASURES, *RATIOS}
    alerts_of = {alert.budget for alert in alerts(budgets)}
    skipped = {key for key in alerts_of if "regression" in key or "objectives" in key}
    assert {limit.place for limit in found} == alerts_of - skipped
    by_place = {limit.place: limit for limit in found}
    p50 = by_place["workflows.w.duration.p50"]
    assert (p50.name, p50.allowed) == ("duration.p50", 0.5)
    errors = by_place["workflows.w.agents.risk.error_rate.maximum"]
    assert (errors.name, errors.measure, errors.subject, errors.least) == (
        "risk.error_rate", "agent_error_rate", "risk", False,
    )  # fmt: skip


def test_a_budget_of_success_replaces_the_check_of_failures(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    failing = run(90, 8.0, begin=9000.0, error="TimeoutError", attributes={c.RUN_VARIANT: "old"}, resource=MACHINE)
    record(here / ".spanwise", *(one for _, one in failing.walk()), file="failing")
    text = "version: 1\nworkflows: {desk: {success_rate: {minimum: 0.9}}}\n"
    (here / "budgets.yaml").write_text(text, encoding="utf-8")
    assert printed(capsys, "preset=old").splitlines()[0] == "Gate passed: 1 passed of 1 check"
    (here / "budgets.yaml").write_text(text.replace("0.9", "0.95"), encoding="utf-8")
    assert "runs without an error: 90.9 % of 11 runs; at least 95 %" in printed(capsys, "preset=old", code=1)
