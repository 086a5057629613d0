"""The dashboard: its JSON is Grafana's, its queries are PromQL over names that exist, its budgets are the file's."""

from __future__ import annotations

import importlib
import itertools
import json
import re
from typing import Any

import pytest
from support.panels import panel_queries, panels
from support.promql import emitted, groupings, reads

from spanwise.config import strict_yaml
from spanwise_alerts.budgets import Budgets, load_budgets
from spanwise_alerts.links import DASHBOARD_UID
from spanwise_dashboards.build import GENERATED, dashboard_text
from spanwise_dashboards.queries import BUDGET


def committed() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(GENERATED.read_text(encoding="utf-8"))
    return document


def budget_queries(dashboard: dict[str, Any]) -> dict[str, str]:
    return {
        panel["title"]: target["expr"]
        for panel in dashboard["panels"]
        for target in panel.get("targets", ())
        if target["refId"] == BUDGET
    }


def cells(panel: dict[str, Any]) -> set[tuple[int, int]]:
    place = panel["gridPos"]
    return set(
        itertools.product(range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"]))
    )


def test_the_committed_dashboard_is_what_the_shipped_budgets_make() -> None:
    assert GENERATED.read_text(encoding="utf-8") == dashboard_text(load_budgets())


def test_the_dashboard_survives_the_typed_models() -> None:
    dashboard_text(Budgets(version=1))  # imports the SDK, which warns when it is imported for the first time
    models = importlib.import_module("grafana_foundation_sdk.models.dashboard")
    encoder = importlib.import_module("grafana_foundation_sdk.cog.encoder").JSONEncoder()

    again = encoder.encode(models.Dashboard.from_json(committed()))

    assert json.loads(again) == committed()


def test_its_uid_is_its_file_name_and_what_alerts_link_to() -> None:
    assert committed()["uid"] == GENERATED.stem == DASHBOARD_UID


def test_panels_have_ids_of_their_own_and_no_two_share_a_place() -> None:
    everything = committed()["panels"]
    taken = [cell for panel in everything for cell in cells(panel)]

    assert [panel["id"] for panel in everything] == list(range(1, len(everything) + 1))
    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) == 23


@pytest.mark.parametrize("panel", list(panels()), ids=lambda panel: panel["title"])
def test_every_panel_says_what_it_shows_and_in_which_unit(panel: dict[str, Any]) -> None:
    heatmap = panel["type"] == "heatmap"
    unit = panel["options"]["yAxis"]["unit"] if heatmap else panel["fieldConfig"]["defaults"]["unit"]

    assert len(panel["description"]) > 20
    assert unit in {"s", "short", "percentunit", "suffix: tok/s"}
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
    assert all(target["legendFormat"] for target in panel["targets"])


@pytest.mark.parametrize(("title", "expr"), panel_queries())
def test_every_query_reads_series_and_labels_that_spanwise_emits(title: str, expr: str) -> None:
    known = emitted()

    assert reads(expr) != ()
    for read in reads(expr):
        assert read.labels <= known[read.name], (title, read)
    assert groupings(expr) <= frozenset[str]().union(*known.values())


def test_budgets_are_drawn_as_they_stand_in_the_file() -> None:
    drawn = {
        title: re.findall(r"\[\$window\]\)\) \+ ([0-9.]+)", expr) for title, expr in budget_queries(committed()).items()
    }

    assert drawn == {
        "Duration p50 and p95 against the budget": ["120", "15", "30", "300"],
        "Tokens a second against the budget": ["100", "20"],
        "Cache hit rate against the budget": ["0.3", "0.5", "0.3", "0.2"],
    }


def test_other_budgets_draw_other_lines_and_none_draw_none() -> None:
    own = strict_yaml.loads(
        "version: 1\nlinks: {jaeger: https://j.example}\nworkflows: {w: {duration: {p95: 7}}}", Budgets, source="test"
    )
    text = dashboard_text(own)

    assert list(budget_queries(json.loads(text))) == ["Duration p50 and p95 against the budget"]
    assert "+ 7" in budget_queries(json.loads(text))["Duration p50 and p95 against the budget"]
    assert "https://j.example" in text
    assert budget_queries(json.loads(dashboard_text(Budgets(version=1)))) == {}


def test_exemplars_are_asked_for_where_a_point_is_a_run() -> None:
    asked = {panel["title"] for panel in panels() for target in panel["targets"] if target["exemplar"]}
    linked = {panel["title"] for panel in panels() if panel["fieldConfig"]["defaults"].get("links")}

    assert asked == {"Duration p50 and p95 against the budget", "Duration of runs"}
    assert "Duration p50 and p95 against the budget" in linked


def test_the_choices_are_data_source_service_workflow_window_and_jaeger() -> None:
    variables = committed()["templating"]["list"]

    assert [(variable["type"], variable["name"]) for variable in variables] == [
        ("datasource", "datasource"),
        ("query", "job"),
        ("query", "workflow"),
        ("interval", "window"),
        ("textbox", "jaeger"),
    ]
    assert variables[1]["query"] == "label_values(gen_ai_invoke_workflow_duration_seconds_count, job)"
    assert variables[2]["query"] == (
        'label_values(gen_ai_invoke_workflow_duration_seconds_count{job=~"$job"}, gen_ai_workflow_name)'
    )
