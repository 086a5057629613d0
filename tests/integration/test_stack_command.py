"""`spanwise stack` and the servers' configuration on the real servers, with ports and folders of their own."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
import yaml
from support.otlp_json import export_request
from support.servers import NO_RULES, eventually, fetch_json, jaeger_trace, need, post_otlp, start_stack

from spanwise.config.folders import make_folder
from spanwise_cli.main import main
from spanwise_cli.stack import cache, catalogue, compose, control, lifecycle, processes, state
from spanwise_cli.stack.plan import Settings, plan
from spanwise_cli.stack.ports import Ports
from spanwise_cli.stack.render import COLLECTOR_FILE, CONFIG, render

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from spanwise_cli.stack.processes import Identity

pytestmark = [pytest.mark.slow, pytest.mark.servers]

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SERVERS = ("otelcol", "jaeger", "prometheus", "alertmanager")


@pytest.fixture(autouse=True)
def _only_this_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spanwise_cli.main.COMMANDS", ("stack",))


@pytest.fixture
def own_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ports]:
    """A cache of this test's own that has the real servers, and free ports; whatever is left up is ended."""
    need(*SERVERS)
    (tmp_path / "servers").symlink_to(cache.servers_folder())
    monkeypatch.setenv("SPANWISE_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(compose, "available", lambda: False)
    ports = Ports.free()
    for name, value in ports.environment().items():
        monkeypatch.setenv(name, value)
    yield ports
    control.down(control.default_settings())


def spanwise(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(arguments)
    output = capsys.readouterr()
    return code, output.out, output.err


def identities() -> list[Identity]:
    known = state.read(cache.state_folder())
    return [] if known is None else known.identities()


def test_up_twice_status_and_down_leave_no_process(own_stack: Ports, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = spanwise(capsys, "stack", "up")
    assert (code, out.splitlines()[0]) == (0, "up, as processes built from modules (APIs complete, no web pages)")
    started = identities()

    code, out, _ = spanwise(capsys, "stack", "up")
    assert (code, out.splitlines()[0].partition(",")[0], identities()) == (0, "already up", started)

    code, out, _ = spanwise(capsys, "stack", "status", "--json")
    document = json.loads(out)
    assert (code, document["schema"], document["kind"]) == (0, "spanwise.stack/1", "processes")
    here = "http://127.0.0.1"
    assert document["servers"] == [
        {"name": name, "address": f"{here}:{address}", "ui": None, "healthy": True, "pid": process.pid}
        for process, (name, address) in zip(
            started,
            {
                "jaeger": own_stack.jaeger_ui, "collector": own_stack.otlp_http, "prometheus": own_stack.prometheus,
                "alertmanager": own_stack.alertmanager, "webhook": f"{own_stack.webhook}/alert",
            }.items(),
            strict=True,
        )
    ]  # fmt: skip
    assert control.running() == control.Running(
        otlp_http=f"{here}:{own_stack.otlp_http}", jaeger_api=f"{here}:{own_stack.jaeger_ui}/api/v3", jaeger_ui=None,
        prometheus=f"{here}:{own_stack.prometheus}", alertmanager=f"{here}:{own_stack.alertmanager}",
        webhook=f"{here}:{own_stack.webhook}/alert", kind="processes",
    )  # fmt: skip

    assert spanwise(capsys, "stack", "down")[:2] == (0, "ended: jaeger, collector, prometheus, alertmanager, webhook\n")
    assert [process for process in started if processes.alive(process)] == []
    assert control.running() is None
    assert spanwise(capsys, "stack", "down")[:2] == (0, "nothing was up\n")
    assert spanwise(capsys, "stack", "status")[:2] == (1, "down; start it with: spanwise stack up\n")


def test_a_taken_port_is_one_line_and_starts_nothing(own_stack: Ports, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", own_stack.prometheus))
        other.listen()
        code, out, err = spanwise(capsys, "stack", "up")

    assert (code, out) == (4, "")
    assert err.splitlines()[-1] == (
        f"spanwise: prometheus needs port {own_stack.prometheus} and something listens there already; end that, or set "
        "SPANWISE_STACK_PROMETHEUS_PORT to another port"
    )
    assert identities() == []


def test_up_mends_a_stack_that_lost_a_server(own_stack: Ports, capsys: pytest.CaptureFixture[str]) -> None:
    control.up(control.default_settings())
    before = identities()
    processes.end(before[:1])
    assert spanwise(capsys, "stack", "status")[0] == 1

    _, fresh = control.up(control.default_settings())

    assert fresh
    assert all(processes.alive(process) for process in identities())
    assert [process for process in before if processes.alive(process)] == []


def test_a_machine_without_servers_says_how_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SPANWISE_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))

    code, _, err = spanwise(capsys, "stack", "up")

    assert code == 4
    assert "jaeger is not on this machine; run: python -m spanwise_cli.stack.install --only jaeger" in err


ALWAYS = """\
groups:
  - name: test
    rules:
      - alert: RunTooSlow
        expr: vector(1)
        labels: {gen_ai_workflow_name: desk}
        annotations: {summary: "desk is slow", description: "100 s against 60 s", trace_search: "http://jaeger/search"}
"""


def test_an_alert_is_delivered_and_shown(tmp_path: Path, own_stack: Ports, capsys: pytest.CaptureFixture[str]) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(ALWAYS)
    folder = make_folder(cache.state_folder())
    settings = Settings(folder=folder, ports=own_stack, rules=str(rules), interval="1s", flush="1s")
    control.up(settings)

    eventually(lambda: state.alerts(settings.alerts), within=120.0)
    code, out, _ = spanwise(capsys, "stack", "alerts", "--json")

    shown = json.loads(out)["alerts"]
    assert code == 0
    assert [(a["name"], a["status"], a["summary"], a["description"], a["link"]) for a in shown[:1]] == [
        ("RunTooSlow", "firing", "desk is slow", "100 s against 60 s", "http://jaeger/search")
    ]
    assert "RunTooSlow firing" in spanwise(capsys, "stack", "alerts")[1]


def test_spans_survive_jaeger_down_and_the_collector_killed(tmp_path: Path) -> None:
    need(*SERVERS)
    settings = Settings(folder=tmp_path, ports=Ports.free(), rules=NO_RULES, interval="1s", flush="1s")
    servers = {server.name: server for server in plan(settings)}
    jaeger, collector = servers["jaeger"], servers["collector"]
    first = lifecycle.start([collector], settings)["collector"]
    here = f"http://127.0.0.1:{settings.ports.otlp_http}"
    post_otlp(here, export_request(TRACE, [("invoke_workflow desk", 5, {})], {"service.name": "store"}))
    os.kill(first.pid, signal.SIGKILL)
    eventually(lambda: not processes.alive(first))

    started = lifecycle.start([jaeger, collector], settings)
    try:
        stored = eventually(lambda: jaeger_trace(f"{jaeger.address}/api/v3", TRACE))
    finally:
        processes.end(list(started.values()))

    assert [span["name"] for span in stored[0]["scopeSpans"][0]["spans"]] == ["invoke_workflow desk"]


def test_a_jaeger_that_was_asked_traces_nobody_and_ends_at_once(tmp_path: Path) -> None:
    """Its own spans would go to port 4317, into the collector of whoever runs a stack, and hold up its end for 10 s."""
    with start_stack(tmp_path) as stack:
        post_otlp(stack.otlp_http, export_request(TRACE, [("invoke_workflow desk", 5, {})], {"service.name": "store"}))
        assert eventually(lambda: jaeger_trace(stack.jaeger_api, TRACE))
        began = time.monotonic()

        processes.end([stack.processes["jaeger"]])

        assert time.monotonic() - began < 5


def test_the_servers_accept_their_configuration(tmp_path: Path) -> None:
    need(*SERVERS, "promtool", "amtool")
    plan(Settings(folder=tmp_path))
    checks: dict[str, tuple[str, ...]] = {
        "otelcol": ("validate", "--config", str(COLLECTOR_FILE)),
        "promtool": ("check", "config", str(tmp_path / "config" / "prometheus.yaml")),
        "amtool": ("check-config", str(tmp_path / "config" / "alertmanager.yaml")),
    }

    for program, arguments in checks.items():
        done = subprocess.run(
            [str(catalogue.require(program)), *arguments], capture_output=True, text=True, check=False, timeout=60
        )
        assert (program, done.returncode, done.stderr) == (program, 0, done.stderr)


def test_the_oldest_promtool_accepts_the_prometheus_configuration(tmp_path: Path) -> None:
    need(*SERVERS, "promtool-2.42")
    plan(Settings(folder=tmp_path))

    command = [str(catalogue.require("promtool-2.42")), "check", "config", str(tmp_path / "config" / "prometheus.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", ["prometheus", "alertmanager"])
def test_the_start_line_of_the_container_renders_the_file_that_processes_get(tmp_path: Path, name: str) -> None:
    service = yaml.safe_load(compose.COMPOSE_FILE.read_text())["services"][name]
    line = re.sub(r"\$\{\w+:-([\w-]+)\}", r"\1", service["command"][0].replace("$${", "@{")).replace("@{", "${")
    script = line.replace("/tmp/", f"{tmp_path}/").replace("/etc/spanwise/config", str(CONFIG)).partition("exec ")[0]
    values = dict(re.findall(r"s\|\$\{(\w+)\}\|(.*?)\|'", script))

    subprocess.run([*service["entrypoint"], script], check=True, timeout=10)

    assert (tmp_path / f"{name}.yaml").read_text() == render(f"{name}.yaml", values)


def test_a_programs_own_page_is_scraped_as_spanwise_process(tmp_path: Path) -> None:
    with start_stack(tmp_path, scrape=["127.0.0.1:1"]) as stack:
        wanted = {f"127.0.0.1:{stack.process_metrics}", "127.0.0.1:1"}

        def pools() -> set[str]:
            active = fetch_json(f"{stack.prometheus}/api/v1/targets")["data"]["activeTargets"]
            return {t["labels"]["instance"] for t in active if t["scrapePool"] == "spanwise-process"}

        assert eventually(pools, lambda seen: seen == wanted) == wanted
