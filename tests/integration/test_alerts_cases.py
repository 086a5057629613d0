"""Every alert on data, by the newest promtool and by the oldest: firing with its words, quiet, restarts, no data.

Then every threshold and comparison is changed, one at a time, and each change has to make a test fail.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from support.alert_cases import CASES, Case
from support.alert_histories import BURNING, SLOWER, Timeline, promtool_tests
from support.servers import need

from spanwise_alerts.alerting import ALERTS
from spanwise_alerts.budgets import read_budgets
from spanwise_alerts.rules import rule_file
from spanwise_cli.stack.catalogue import find

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from support.alert_cases import Growth

pytestmark = [pytest.mark.slow, pytest.mark.servers]
PROMTOOLS = ("promtool", "promtool-2.42")
_AT = "30m"
_COMPARISON = re.compile(r"(?<= )(>=|<=|>|<)(?= )")
_THRESHOLD = re.compile(r"(?<= (?:>|<) )(\d+(?:\.\d+)?)(?= \*|$)", re.MULTILINE)
_TRAFFIC = re.compile(r"(?<= >= )(\d+)(?=\)?$)", re.MULTILINE)


@dataclass(frozen=True)
class Suite:
    """Rules and promtool's tests of them."""

    name: str
    rules: dict[str, Any]
    tests: list[dict[str, Any]]
    evaluated: str = "5m"
    part: int | None = None
    """Which alternative of the condition the tests are about."""


def rules_of(case: Case | Timeline) -> dict[str, Any]:
    """Return the rules of a case, without pending time, and with the one alert of the case."""
    made = rule_file(read_budgets(case.budgets, source=case.alert))
    rules = made["groups"][0]["rules"]
    kept = [rule for rule in rules if rule.get("alert", case.alert) == case.alert]
    for rule in kept:
        if "alert" in rule:
            rule["for"], rule["keep_firing_for"] = "0s", "0s"
    return {"groups": [{"name": "g", "rules": kept}]}


def alert_of(rules: dict[str, Any]) -> dict[str, Any]:
    [rule] = [rule for rule in rules["groups"][0]["rules"] if "alert" in rule]
    return dict(rule)


def timeline_suite(timeline: Timeline, number: int) -> Suite:
    """Return the suite of an alert that looks at more than one window; links are tested by the cases."""
    rules = rules_of(timeline)
    rule = alert_of(rules)
    rule["annotations"] = {"description": rule["annotations"]["description"]}
    others = [one for one in rules["groups"][0]["rules"] if "alert" not in one]
    labels = {**rule["labels"], "job": "desk", "gen_ai_workflow_name": "w"}
    for place, label, name in (("agents", "agent", "risk"), ("tools", "tool", "prices")):
        labels |= {f"gen_ai_{label}_name": name} if f".{place}." in rule["labels"]["budget"] else {}
    labels |= {"gen_ai_request_model": "small"} if ".models." in rule["labels"]["budget"] else {}
    labels |= {"objective": rule["labels"]["budget"]} if ".objectives." in rule["labels"]["budget"] else {}
    tests = promtool_tests(timeline, labels, {"description": timeline.description})
    made = {"groups": [{"name": "g", "rules": [*others, rule]}]}
    return Suite(f"{number:02}-{timeline.alert}", made, tests, timeline.evaluated, timeline.part)


def history(case: Case, growth: Growth, *, fires: bool, before: str = "0x9") -> dict[str, Any]:
    """Return a test in which counters begin with `before`, and grow in the tenth minute."""
    expected: list[dict[str, Any]] = []
    if fires:
        rule = alert_of(rules_of(case))
        labels = {"severity": "ticket", "budget": case.key, **case.labels}
        annotations = {
            "summary": rule["annotations"]["summary"],
            "description": case.description,
            "runbook_url": f"alerts/runbooks/{case.alert}.md",
            "trace_search": f"http://127.0.0.1:16686/search?service=desk&{case.search}&lookback=1h&limit=20",
        }
        expected = [{"exp_labels": labels, "exp_annotations": annotations}]
    return {
        "interval": "1m",
        "input_series": [
            {"series": series, "values": f"{before} {value:g}x60"} for series, value in growth.items()
        ],
        "alert_rule_test": [{"eval_time": _AT, "alertname": case.alert, "exp_alerts": expected}],
    }  # fmt: skip


def histories(case: Case) -> list[dict[str, Any]]:
    quiet = [history(case, growth, fires=False) for growth in case.quiet]
    nothing = history(case, {}, fires=False)
    no_series = {"expr": '{__name__=~"job_.+"}', "eval_time": _AT, "exp_samples": []}
    return [
        history(case, case.fires, fires=True),
        *quiet,
        # The program started again: what it had counted before is not of this window, and is not compared with.
        history(case, case.fires, fires=True, before="900x5 0x3"),
        history(case, dict.fromkeys(case.fires, 0.0), fires=False, before="900x5 0x3"),
        # Its first series, as of a batch job that is scraped for the first time after it has run.
        history(case, case.fires, fires=True, before="_x9"),
        nothing | {"promql_expr_test": [no_series]},
    ]


def suite(case: Case, number: int) -> Suite:
    return Suite(f"{number:02}-{case.alert}", rules_of(case), histories(case))


def checked(suites: Sequence[Suite], folder: Path, promtool: str) -> subprocess.CompletedProcess[str]:
    """Have promtool test all suites, in their order."""
    files: list[Path] = []
    for one in suites:
        rules, tests = folder / f"{one.name}.rules.yaml", folder / f"{one.name}.yaml"
        rules.write_text(yaml.safe_dump(one.rules), encoding="utf-8")
        document = {"rule_files": [rules.name], "evaluation_interval": one.evaluated, "tests": one.tests}
        tests.write_text(yaml.safe_dump(document), encoding="utf-8")
        files.append(tests)
    need(promtool)
    command = [str(find(promtool)), "test", "rules", *map(str, files)]
    return subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=280
    )


def failing(suites: Sequence[Suite], folder: Path) -> set[str]:
    """Return the names of those suites that fail."""
    done = checked(suites, folder, "promtool-2.42")  # which says of each file how it went
    parts = re.split(r"^Unit Testing:\s+(\S+)$", done.stdout, flags=re.MULTILINE)
    verdicts = dict(zip(parts[1::2], parts[2::2], strict=True))
    assert len(verdicts) == len(suites), done.stdout
    return {one.name for one in suites if "FAILED" in verdicts[str(folder / f"{one.name}.yaml")]}


SUITES = [suite(case, number) for number, case in enumerate(CASES)]
TIMELINES = [timeline_suite(one, len(CASES) + number) for number, one in enumerate((*SLOWER, *BURNING))]


@pytest.mark.parametrize("promtool", PROMTOOLS)
def test_every_alert_fires_with_its_words_and_keeps_quiet_otherwise(promtool: str, tmp_path: Path) -> None:
    done = checked([*SUITES, *TIMELINES], tmp_path, promtool)
    assert done.returncode == 0, done.stdout


def test_there_is_a_case_for_every_alert() -> None:
    assert {case.alert for case in CASES} | {one.alert for one in (*SLOWER, *BURNING)} == set(ALERTS)


def mutants(suites: Sequence[Suite], exact: Sequence[bool]) -> Iterator[Suite]:
    """Yield each suite with one threshold or one comparison of its alert changed."""
    for one, is_exact in zip(suites, exact, strict=True):
        place, rule = next((i, r) for i, r in enumerate(one.rules["groups"][0]["rules"]) if "alert" in r)
        parts = rule["expr"].split("\nor\n") if one.part is not None else [rule["expr"]]
        about = one.part or 0
        for what, part in changed(parts[about], exact=is_exact):
            expr = "\nor\n".join([*parts[:about], part, *parts[about + 1 :]])
            rules = [*one.rules["groups"][0]["rules"]]
            rules[place] = {**rule, "expr": expr}
            yield replace(one, name=f"{one.name}-{what}", rules={"groups": [{"name": "g", "rules": rules}]})


def changed(expr: str, *, exact: bool) -> Iterator[tuple[str, str]]:
    """Yield the changes of an expression: comparisons turned round or made (un)strict, thresholds a quarter off.

    The guard `> 0` of a division is left alone: without it a division by zero is no number, which compares as false.
    """
    opposite = {">": "<", "<": ">", ">=": "<"}
    nearly = {">": ">=", "<": "<=", ">=": ">"}
    for number, match in enumerate(_COMPARISON.finditer(expr)):
        if expr[match.end() :].startswith(" 0)"):
            continue
        for kind, table in (("turned", opposite), ("nearly", nearly)):
            if kind == "turned" or exact or match[0] == ">=":
                yield f"{kind}{number}", expr[: match.start()] + table[match[0]] + expr[match.end() :]
    for number, match in enumerate(_THRESHOLD.finditer(expr)):
        for factor in (0.75, 1.25):
            value = f"{float(match[0]) * factor:g}"
            yield f"threshold{number}x{factor}", expr[: match.start()] + value + expr[match.end() :]
    for number, match in enumerate(_TRAFFIC.finditer(expr)):
        for step in (-1, 1):
            yield f"traffic{number}{step:+}", expr[: match.start()] + str(int(match[0]) + step) + expr[match.end() :]


def test_every_changed_threshold_and_comparison_makes_a_test_fail(tmp_path: Path) -> None:
    kept = [(one, case) for one, case in zip(SUITES, CASES, strict=True) if case.mutated]
    suites = [replace(one, tests=one.tests[: 1 + len(case.quiet)]) for one, case in kept]
    made = list(mutants(suites, [case.exact for _, case in kept]))
    assert len(made) > 6 * len(kept)
    assert sorted({one.name for one in made} - failing(made, tmp_path)) == []


@pytest.mark.parametrize("part", ["SlowerThanBefore", "Objective"])
def test_every_changed_threshold_over_time_makes_a_test_fail(part: str, tmp_path: Path) -> None:
    suites = [one for one in TIMELINES if part in one.name]
    made = list(mutants(suites, [False] * len(suites)))
    assert len(made) > 6 * len(suites)
    assert sorted({one.name for one in made} - failing(made, tmp_path)) == []
