"""What the shipped configuration files say, without a server: the collector's table equals the conventions'."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from spanwise import conventions
from spanwise.conventions import METRICS, Metric
from spanwise.errors import InputError
from spanwise_cli.stack import compose, control
from spanwise_cli.stack.plan import Settings
from spanwise_cli.stack.ports import Ports, variable
from spanwise_cli.stack.render import COLLECTOR_FILE, CONFIG, render

COLLECTOR: Any = yaml.safe_load(COLLECTOR_FILE.read_text())
DEFINITIONS: list[dict[str, Any]] = COLLECTOR["connectors"]["signal_to_metrics"]["spans"]


def prometheus_name(definition: dict[str, Any]) -> str:
    """The name as the exporter makes it: dots to underscores, then unit and `_total` unless they are there."""
    name = definition["name"].replace(".", "_")
    if definition["unit"] == "s" and "seconds" not in name.split("_"):
        name += "_seconds"
    return f"{name}_total" if "sum" in definition else name


def definitions_of(metric: Metric) -> list[dict[str, Any]]:
    return [definition for definition in DEFINITIONS if prometheus_name(definition) == metric.name]


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_the_collector_derives_the_family_with_the_conventions_labels_and_buckets(metric: Metric) -> None:
    found = definitions_of(metric)

    assert found
    for definition in found:
        labels = [conventions.label_of(entry["key"]) for entry in definition["attributes"]]
        assert sorted(labels) == sorted(metric.all_labels)
        assert definition["description"] == metric.help
        assert ("histogram" in definition, "sum" in definition) == (
            metric.kind == "histogram",
            metric.kind == "counter",
        )
        assert tuple(map(float, definition.get("histogram", {}).get("buckets", ()))) == metric.buckets


def test_the_collector_derives_nothing_else() -> None:
    assert {prometheus_name(definition) for definition in DEFINITIONS} == {metric.name for metric in METRICS}


def test_every_attribute_that_the_collector_reads_is_one_of_the_conventions() -> None:
    text = COLLECTOR_FILE.read_text()
    known = {value for name, value in vars(conventions).items() if name.isupper() and isinstance(value, str)}
    known |= set(map(conventions.budget_attribute, conventions.BUDGET_BUCKETS))

    read = set(re.findall(r'attributes\["([a-z_.]+)"\]', text)) | set(re.findall(r"\{key: ([a-z_.]+)", text))

    assert read - known == set()


def test_every_variable_of_a_port_is_spelt_as_the_table_spells_it() -> None:
    known = {variable(name): str(port) for name, port in Ports()}
    files = (COLLECTOR_FILE, CONFIG / "jaeger.yaml", compose.COMPOSE_FILE)
    found = [pair for file in files for pair in re.findall(r"(SPANWISE_STACK_\w+_PORT):-(\d+)", file.read_text())]

    assert found
    assert [(name, port) for name, port in found if known.get(name) != port] == []


def test_the_start_lines_of_compose_fill_in_every_placeholder() -> None:
    services = yaml.safe_load(compose.COMPOSE_FILE.read_text())["services"]
    for server in ("prometheus", "alertmanager"):
        wanted = set(re.findall(r"\$\{(\w+)\}", (CONFIG / f"{server}.yaml").read_text()))
        assert set(re.findall(r"\$\$\{(\w+)\}", services[server]["command"][0])) == wanted


def test_compose_gets_the_files_of_an_installed_package() -> None:
    given = compose.environment(Settings(folder=Path("/state")))
    wanted = set(re.findall(r"\$\{(SPANWISE_STACK_\w+)", compose.COMPOSE_FILE.read_text().replace("$${", "")))

    assert wanted - set(given) == set()
    files = {name: Path(value) for name, value in given.items() if name.endswith("_FILE")}
    assert [name for name, path in files.items() if not path.is_file()] == []


def test_rendering_fills_in_every_placeholder() -> None:
    values = dict.fromkeys(
        ("SPANWISE_STACK_INTERVAL", "SPANWISE_STACK_GROUP_INTERVAL", "SPANWISE_STACK_WEBHOOK_URL"), "5s"
    )

    document = yaml.safe_load(render("alertmanager.yaml", values))

    assert document["receivers"][0]["webhook_configs"] == [{"url": "5s", "send_resolved": True}]
    assert document["route"]["group_by"] == ["alertname", "gen_ai_workflow_name"]


def test_a_placeholder_without_a_value_is_named() -> None:
    with pytest.raises(InputError, match="no value for the placeholder SPANWISE_STACK_"):
        render("prometheus.yaml", {})


def test_ports_come_from_the_environment() -> None:
    chosen = Ports.from_environment({"SPANWISE_STACK_OTLP_HTTP_PORT": "5318", "SPANWISE_STACK_JAEGER_UI_PORT": ""})

    assert (chosen.otlp_http, chosen.jaeger_ui) == (5318, 16686)
    assert chosen.environment()["SPANWISE_STACK_OTLP_HTTP_PORT"] == "5318"


@pytest.mark.parametrize("text", ["http", "0", "65536", "-1", "٣"])
def test_a_port_that_is_none_is_named(text: str) -> None:
    with pytest.raises(InputError, match=r"SPANWISE_STACK_WEBHOOK_PORT=.*: not a port; give a number from 1 to 65535"):
        Ports.from_environment({"SPANWISE_STACK_WEBHOOK_PORT": text})


def test_free_ports_are_all_different() -> None:
    numbers = [port for _, port in Ports.free()]

    assert len(set(numbers)) == len(numbers)


def test_the_job_of_programs_own_metrics_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPANWISE_STACK_PROCESS_JOB", raising=False)
    assert control.default_settings().process_job == "spanwise-process"

    monkeypatch.setenv("SPANWISE_STACK_PROCESS_JOB", "shop/desk-2.eu")
    assert control.default_settings().process_job == "shop/desk-2.eu"

    monkeypatch.setenv("SPANWISE_STACK_PROCESS_JOB", 'desk"')
    with pytest.raises(InputError, match=r"SPANWISE_STACK_PROCESS_JOB='desk\"': not a job; give a service's name"):
        control.default_settings()
