"""Outages of real servers: collector away, back and killed in between, Jaeger away behind it; every span arrives."""

from __future__ import annotations

import os
import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from support.servers import eventually, jaeger_trace, need
from typer.testing import CliRunner

import spanwise
from spanwise.journal import ledger as ledgers
from spanwise.journal import reader
from spanwise_cli.main import build_app
from spanwise_cli.stack import lifecycle, processes
from spanwise_cli.stack.plan import Settings, plan
from spanwise_cli.stack.ports import LOOPBACK, Ports

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from pathlib import Path

    from spanwise_cli.stack.plan import Server
    from spanwise_cli.stack.processes import Identity

pytestmark = [pytest.mark.slow, pytest.mark.servers, pytest.mark.usefixtures("isolated_provider")]
STEPS = 200


class Servers:
    """Jaeger and the collector, each started, ended and killed as a test wants."""

    def __init__(self, folder: Path) -> None:
        self._settings = Settings(folder=folder, ports=Ports.free(), rules="/nonexistent", interval="1s", flush="1s")
        self._planned: dict[str, Server] = {server.name: server for server in plan(self._settings)}
        self._running: dict[str, Identity] = {}
        self.otlp_http = f"http://{LOOPBACK}:{self._settings.ports.otlp_http}"
        self.otlp_grpc = f"http://{LOOPBACK}:{self._settings.ports.otlp_grpc}"
        self.jaeger_api = f"http://{LOOPBACK}:{self._settings.ports.jaeger_ui}/api/v3"

    def start(self, *names: str) -> None:
        self._running |= lifecycle.start([self._planned[name] for name in names], self._settings)

    def end(self, *names: str) -> None:
        processes.end([self._running.pop(name) for name in names or tuple(self._running)])

    def kill(self, name: str) -> None:
        os.kill(self._running[name].pid, signal.SIGKILL)
        self.end(name)


@contextmanager
def servers(folder: Path) -> Generator[Servers]:
    need("otelcol", "jaeger", "prometheus", "alertmanager")
    made = Servers(folder)
    try:
        yield made
    finally:
        made.end()


def run(name: str) -> str:
    """Record a workflow of many steps; returns its trace id."""
    with spanwise.workflow(name) as workflow:
        for number in range(STEPS):
            with spanwise.step(str(number)):
                pass
    return f"{workflow.context.trace_id:032x}"


def stored(jaeger_api: str, trace_ids: Iterable[str]) -> int:
    """Return how many different spans Jaeger has of some traces: delivering at least once may store one twice."""
    return sum(
        len({s["spanId"] for r in jaeger_trace(jaeger_api, one) for g in r["scopeSpans"] for s in g["spans"]})
        for one in trace_ids
    )


def fates(folder: Path) -> dict[str, int]:
    counts = ledgers.read(folder)
    assert counts.started == counts.open + counts.buffered + counts.journaled + sum(counts.dropped.values())
    return {name: number for name, number in counts.destinations["otlp"].items() if number}


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_a_collector_that_is_away_killed_and_back_gets_every_span(tmp_path: Path, protocol: str) -> None:
    with servers(tmp_path / "stack") as stack:
        endpoint = stack.otlp_grpc if protocol == "grpc" else stack.otlp_http
        telemetry = spanwise.configure(journal_dir=tmp_path / "j", endpoint=endpoint, protocol=protocol)
        traces = [run("away") for _ in range(3)]
        assert telemetry.flush(1) is False
        assert fates(tmp_path / "j") == {"pending": 3 * (STEPS + 1)}
        stack.start("jaeger", "collector")
        traces += [run("back") for _ in range(3)]
        assert telemetry.flush(60)
        stack.kill("collector")
        traces += [run("killed") for _ in range(3)]
        assert telemetry.flush(1) is False
        stack.start("collector")
        traces += [run("back again") for _ in range(3)]
        assert telemetry.flush(60)
        everything = 12 * (STEPS + 1)
        spanwise.shutdown()
        assert fates(tmp_path / "j") == {"delivered": everything}
        seen = eventually(lambda: stored(stack.jaeger_api, traces), lambda number: number >= everything)
    assert seen == everything == len(list(reader.read(tmp_path / "j")))


def test_jaeger_away_behind_a_collector_that_is_killed_with_its_queue_gets_every_span(tmp_path: Path) -> None:
    with servers(tmp_path / "stack") as stack:
        stack.start("jaeger", "collector")
        stack.end("jaeger")
        telemetry = spanwise.configure(journal_dir=tmp_path / "j", endpoint=stack.otlp_http)
        traces = [run("away") for _ in range(3)]
        assert telemetry.flush(60)  # the collector has them in its queue on disk
        stack.kill("collector")
        traces.append(run("both away"))
        stack.start("jaeger", "collector")
        assert telemetry.flush(60)
        spanwise.shutdown()
        everything = 4 * (STEPS + 1)
        assert fates(tmp_path / "j") == {"delivered": everything}
        assert eventually(lambda: stored(stack.jaeger_api, traces), lambda n: n >= everything, within=60) == everything


def test_a_process_that_never_saw_the_collector_is_delivered_by_hand(tmp_path: Path) -> None:
    with servers(tmp_path / "stack") as stack:
        spanwise.configure(journal_dir=tmp_path / "j", endpoint=stack.otlp_http, shutdown_timeout=0.1)
        traces = [run("alone")]
        spanwise.shutdown()
        stack.start("jaeger", "collector")
        began = time.monotonic()
        words = ["export", "--all", "--to", stack.otlp_http, "--journal", str(tmp_path / "j")]
        assert CliRunner().invoke(build_app(), words).exit_code == 0
        assert time.monotonic() - began < 20
        assert fates(tmp_path / "j") == {"delivered": STEPS + 1}
        assert eventually(lambda: stored(stack.jaeger_api, traces)) == STEPS + 1
