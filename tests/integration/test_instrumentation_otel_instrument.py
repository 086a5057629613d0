"""Programs that know nothing of spanwise under the real `opentelemetry-instrument`: journal, ledger, runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections import Counter
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.otlp_receiver import receiving
from support.servers import eventually
from typer.testing import CliRunner

from spanwise.journal import ledger as ledgers
from spanwise.journal import reader
from spanwise.journal.ledger import Counts
from spanwise_cli.main import build_app

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.slow
INSTRUMENT = Path(sys.executable).with_name("opentelemetry-instrument")
GROUP = "opentelemetry_traces_exporter"
PROGRAM = """
from opentelemetry import trace
tracer = trace.get_tracer("app")
with tracer.start_as_current_span("desk"):
    for number in range(3):
        with tracer.start_as_current_span(str(number)):
            pass
"""
HTTP = {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}


def environment(folder: Path, **variables: str) -> dict[str, str]:
    """Return an environment with the entry point that an installation has, and nothing set but `variables`."""
    if not entry_points(group=GROUP, name="spanwise"):
        about = folder / "spanwise_entry-0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: spanwise-entry\nVersion: 0\n")
        (about / "entry_points.txt").write_text(
            f"[{GROUP}]\nspanwise = spanwise.launch.traces_exporter:JournalExporter\n"
        )
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "SPANWISE_"))}
    inherited["PYTHONPATH"] = os.pathsep.join([str(folder), *filter(None, sys.path)])
    return inherited | {"OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none", **variables}


def run(folder: Path, program: str, **variables: str) -> None:
    """Run a program under the command; it must end with 0 and say nothing."""
    (folder / "app.py").write_text(program)
    done = subprocess.run(
        [INSTRUMENT, sys.executable, "app.py"], cwd=folder, env=environment(folder, **variables), capture_output=True,
        text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def recorded(folder: Path) -> Counter[str]:
    return Counter(span.name for span in reader.read(folder))


def runs(folder: Path) -> Sequence[dict[str, Any]]:
    result = CliRunner().invoke(build_app(), ["runs", "--json", "--journal", str(folder)])
    assert result.exit_code == 0
    found: Sequence[dict[str, Any]] = json.loads(result.stdout)["runs"]
    return found


def test_a_plain_program_is_journaled_beside_what_otlp_sends_and_is_a_run(tmp_path: Path) -> None:
    with receiving() as receiver:
        address = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.address}
        run(tmp_path, PROGRAM, OTEL_TRACES_EXPORTER="otlp,spanwise", OTEL_SERVICE_NAME="app", **HTTP, **address)
    names = {"desk": 1, "0": 1, "1": 1, "2": 1}
    assert Counter(receiver.spans) == recorded(tmp_path / ".spanwise") == names
    assert ledgers.read(tmp_path / ".spanwise") == Counts(started=4, journaled=4)
    [found] = runs(tmp_path / ".spanwise")
    assert (found["workflow"], found["service"], found["state"]) == ("desk", "app", "ended")


def test_a_burst_loses_nothing_where_otlp_has_nobody_to_send_to(tmp_path: Path) -> None:
    run(
        tmp_path, PROGRAM.replace("range(3)", "range(20_000)"), OTEL_TRACES_EXPORTER="spanwise",
        SPANWISE_ENDPOINT="http://127.0.0.1:9", SPANWISE_SHUTDOWN_TIMEOUT="1",
    )  # fmt: skip
    counts = ledgers.read(tmp_path / ".spanwise")
    assert (counts.started, counts.journaled, counts.dropped) == (20_001, 20_001, {})
    assert counts.destinations["otlp"]["pending"] == 20_001


def test_an_endpoint_of_spanwises_own_is_sent_to_over_http_though_the_command_sets_grpc(tmp_path: Path) -> None:
    with receiving() as receiver:
        run(tmp_path, PROGRAM, OTEL_TRACES_EXPORTER="spanwise", SPANWISE_ENDPOINT=receiver.address)
    assert sorted(receiver.spans) == ["0", "1", "2", "desk"]
    [fates] = ledgers.read(tmp_path / ".spanwise").destinations.values()
    assert {name: number for name, number in fates.items() if number} == {"delivered": 4}


FORKS = """
import os
from opentelemetry import trace
tracer = trace.get_tracer("app")
with tracer.start_as_current_span("before"):
    pass
child = os.fork()
with tracer.start_as_current_span("parent" if child else "child"):
    pass
if not child:
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""


def test_a_forked_child_is_journaled(tmp_path: Path) -> None:
    run(tmp_path, FORKS, OTEL_TRACES_EXPORTER="spanwise")
    assert recorded(tmp_path / ".spanwise") == {"before": 1, "parent": 1, "child": 1}
    assert ledgers.read(tmp_path / ".spanwise") == Counts(started=3, journaled=3)


SERVED = """
from opentelemetry import trace
tracer = trace.get_tracer("app")


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    with tracer.start_as_current_span("request"):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})
"""


def test_the_workers_of_a_prefork_server_are_journaled(tmp_path: Path) -> None:
    (tmp_path / "served.py").write_text(SERVED)
    # A worker that is still starting misses SIGTERM, and gunicorn then waits for its graceful timeout, 30 s by default.
    words = [
        "served:app", "--preload", "--workers", "2", "--bind", "127.0.0.1:0", "--worker-class",
        "uvicorn.workers.UvicornWorker", "--graceful-timeout", "5",
    ]  # fmt: skip
    server = subprocess.Popen(
        [INSTRUMENT, Path(sys.executable).with_name("gunicorn"), *words], cwd=tmp_path, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, env=environment(tmp_path, OTEL_TRACES_EXPORTER="spanwise"),
    )  # fmt: skip
    folder = tmp_path / ".spanwise"
    try:
        assert server.stdout is not None
        listening = next(line for line in server.stdout if "Listening at: " in line)
        address = listening.split("Listening at: ")[1].split()[0]
        for _ in range(20):
            with urllib.request.urlopen(address, timeout=10) as answer:
                assert answer.read() == b"done"
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=30)
    eventually(lambda: ledgers.read(folder).journaled, lambda found: found >= 20, within=10)
    assert recorded(folder) == {"request": 20}
    assert ledgers.read(folder) == Counts(started=20, journaled=20)
