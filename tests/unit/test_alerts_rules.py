"""Rules made from budgets: names, guards and words; what they do on data is promtool's to say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from support.promql import emitted, groupings, reads

from spanwise.config import strict_yaml
from spanwise_alerts.alerting import ALERTS, alerts, estimated_budgets
from spanwise_alerts.budgets import Budgets, load_budgets
from spanwise_alerts.promql import bucket_bound, growth, none_of, number
from spanwise_alerts.rules import GENERATED, recordings, rule_file, rules_text

ROOT = Path(__file__).parents[2]
ALL = Path(__file__).with_name("every_budget.yaml")
"""Every kind of budget, of a workflow, an agent, a tool and a model."""
EVERYTHING = """
version: 1
time_scale: 20
links: {jaeger: https://jaeger.example, runbook: https://runbooks.example/alerts}
workflows:
  trading: {duration: {p95: 120, window: 1m, pending_for: 0s}}
  'say "hi" (v1.0)':
    duration: {p95: 100, regression: {factor: 2, offset: 1w}}
    tokens_per_second: {minimum: 12.5, window: 1h}
    cache_hit_rate: {minimum: 0.5, caches: {quotes: 0.7, news: 0.14}}
default:
  duration: {p95: 0.5}
"""


def everything() -> Budgets:
    return strict_yaml.loads(EVERYTHING, Budgets, source="test")


def rules_of(budgets: Budgets) -> list[dict[str, Any]]:
    (group,) = rule_file(budgets)["groups"]
    rules: list[dict[str, Any]] = group["rules"]
    return rules


def test_the_committed_rules_are_what_the_shipped_budgets_make() -> None:
    assert GENERATED.read_text(encoding="utf-8") == rules_text(load_budgets())


def test_the_written_file_reads_back_as_the_rules() -> None:
    assert yaml.safe_load(rules_text(everything())) == rule_file(everything())


@pytest.mark.parametrize("budgets", [load_budgets(), everything(), load_budgets(ALL)], ids=["shipped", "odd", "all"])
def test_every_series_and_label_is_one_that_spanwise_emits_or_a_recording_before(budgets: Budgets) -> None:
    known = dict(emitted())
    labels = frozenset[str]().union(*known.values())

    for rule in rules_of(budgets):
        for read in reads(rule["expr"]):
            assert read.name in known, rule
            assert read.labels <= known[read.name], rule
        assert groupings(rule["expr"]) <= labels
        if "record" in rule:
            known[rule["record"]] = labels | rule.get("labels", {}).keys()


def test_every_alert_has_severity_budget_pending_time_texts_runbook_and_search() -> None:
    for rule in rules_of(load_budgets()):
        if "alert" in rule:
            assert set(rule) == {"alert", "expr", "for", "keep_firing_for", "labels", "annotations"}
            assert set(rule["labels"]) == {"severity", "budget"}
            assert set(rule["annotations"]) == {
                "summary",
                "description",
                "runbook_url",
                "trace_search",
                "dashboard",
            }


def test_no_two_alerts_have_the_same_name_and_labels() -> None:
    identities = [(rule["alert"], str(rule["labels"])) for rule in rules_of(everything()) if "alert" in rule]

    assert len(set(identities)) == len(identities)


def test_every_alert_that_can_be_made_has_a_runbook_that_the_page_lists() -> None:
    pages = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "alerts" / "runbooks").glob("*.md")}
    index = (ROOT / "docs" / "alerts.md").read_text(encoding="utf-8")

    assert {alert.name for alert in alerts(load_budgets(ALL))} == set(ALERTS)
    assert set(pages) == set(ALERTS)
    assert [name for name, text in pages.items() if f"# {name}\n" not in text or "## What to do\n" not in text] == []
    assert [name for name in ALERTS if f"(../alerts/runbooks/{name}.md)" not in index] == []


def test_an_owner_is_the_nearest_that_is_given() -> None:
    text = """
version: 1
owner: file
workflows:
  own: {owner: workflow, duration: {p95: 120, owner: budget}, tokens: {maximum: 5}}
  file: {tokens: {maximum: 5}, objectives: {a: {target: 0.5, owner: objective}}}
"""
    made = strict_yaml.loads(text, Budgets, source="test")

    assert [alert.owner for alert in alerts(made)] == ["budget", "workflow", "file", "objective"]
    assert rules_of(made)[-1]["labels"]["owner"] == "objective"


def test_an_objective_that_no_failure_can_miss_so_fast_has_no_such_alert() -> None:
    def names(target: float) -> list[str]:
        text = f"version: 1\nworkflows: {{w: {{objectives: {{a: {{target: {target}}}}}}}}}"
        return [alert.name for alert in alerts(strict_yaml.loads(text, Budgets, source="test"))]

    assert names(0.99) == ["SpanwiseObjectiveBurnsFast", "SpanwiseObjectiveBurnsSlowly"]
    assert names(0.5) == ["SpanwiseObjectiveBurnsSlowly"]


def test_the_label_leads_to_the_key_in_the_file() -> None:
    assert [alert.budget for alert in alerts(everything())] == [
        "workflows.trading.duration.p95",
        'workflows.say "hi" (v1.0).duration.p95',
        'workflows.say "hi" (v1.0).duration.regression',
        'workflows.say "hi" (v1.0).tokens_per_second.minimum',
        'workflows.say "hi" (v1.0).cache_hit_rate.minimum',
        'workflows.say "hi" (v1.0).cache_hit_rate.caches.quotes',
        'workflows.say "hi" (v1.0).cache_hit_rate.caches.news',
        "default.duration.p95",
    ]


def test_each_window_is_recorded_once_for_the_budgets_that_use_it() -> None:
    windows = [recording.record.rsplit(":", 1)[1] for recording in recordings(everything())]

    assert windows == [
        "growth1m", "growth1m",
        "growth30m", "growth30m", "p95_30m",
        "growth1h", "mean1h",
        "growth30m", "hit_ratio30m", "growth30m", "hit_ratio30m",
    ]  # fmt: skip


def test_a_budget_on_a_bound_is_counted_and_any_other_is_estimated() -> None:
    trading, greeting, *_, default = [alert for alert in alerts(everything()) if alert.name == "SpanwiseWorkflowSlow"]

    assert 'le=~"120|120[.]0"' in trading.expr
    assert ":p95_30m" in greeting.expr
    assert ":p95_30m" in default.expr
    assert [(key, seconds) for key, seconds, _ in estimated_budgets(everything())] == [
        ('workflows.say "hi" (v1.0).duration.p95', 100),
        ("default.duration.p95", 0.5),
    ]


def test_links_lead_to_real_seconds_and_leave_out_a_grafana_that_is_not_there() -> None:
    trading = next(rule for rule in rules_of(everything()) if "alert" in rule)["annotations"]

    assert "minDuration=6s&lookback=1h" in trading["trace_search"]
    assert trading["trace_search"].startswith("https://jaeger.example/search?")
    assert trading["runbook_url"] == "https://runbooks.example/alerts/SpanwiseWorkflowSlow.md"
    assert "dashboard" not in trading


def test_a_workflow_with_a_time_scale_of_its_own_does_not_have_the_one_of_the_file() -> None:
    text = """
version: 1
time_scale: 20
workflows:
  file: {duration: {p95: 120}}
  own: {time_scale: 8, duration: {p95: 100, regression: {factor: 2, floor: 60}}}
default: {time_scale: 1, duration: {p95: 120}}
"""
    budgets = strict_yaml.loads(text, Budgets, source="test")

    assert [alert.min_seconds for alert in alerts(budgets)] == [6, 12.5, 7.5, 120]


def test_no_budgets_make_no_rules() -> None:
    assert rules_of(Budgets(version=1)) == []


def test_names_of_workflows_cannot_break_out_of_a_query() -> None:
    assert none_of("gen_ai_workflow_name", ['a"b', "c.d|e"]) == ('gen_ai_workflow_name!~"a\\"b|c\\\\.d\\\\|e"',)
    assert none_of("gen_ai_workflow_name", []) == ()


def test_growth_covers_a_running_a_new_and_a_restarted_series() -> None:
    assert growth("x", "5m") == (
        "((last_over_time(x[5m]) unless resets(x[5m]) > 0) - x offset 5m >= 0)\n"
        "or (last_over_time(x[5m]) unless resets(x[5m]) > 0)\n"
        "or increase(x[5m])"
    )


def test_numbers_are_written_in_full() -> None:
    assert [number(value) for value in (120.0, 0.05, 12_345_678.0)] == ["120", "0.05", "12345678"]
    assert [bucket_bound(value) for value in (120.0, 0.64)] == ['le=~"120|120[.]0"', 'le="0.64"']


def test_braces_in_a_name_are_no_template() -> None:
    budgets = strict_yaml.loads("version: 1\nworkflows: {'{{ w }}': {duration: {p95: 1}}}", Budgets, source="test")

    assert rules_of(budgets)[-1]["labels"]["budget"] == 'workflows.{{ "{{" }} w }}.duration.p95'
