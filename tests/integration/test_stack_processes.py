"""Processes of the stack: who they are, and that only those are ended."""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import pytest
from support.servers import eventually

from spanwise.errors import UnavailableError
from spanwise_cli.stack import lifecycle, processes, webhook
from spanwise_cli.stack.plan import Server, Settings
from spanwise_cli.stack.ports import Ports
from spanwise_cli.stack.processes import Identity

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

SLEEPS = "import time\nprint('ready', flush=True)\ntime.sleep(600)"
STUBBORN = f"import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n{SLEEPS}"


def run(tmp_path: Path, program: str) -> Identity:
    log = tmp_path / "log"
    process = processes.start([sys.executable, "-c", program], {}, log)
    eventually(lambda: "ready" in log.read_text())
    return process


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[Identity]:
    process = run(tmp_path, SLEEPS)
    yield process
    processes.end([process])


def test_a_process_is_ended_by_its_identity(sleeper: Identity) -> None:
    assert processes.alive(sleeper)

    processes.end([sleeper])

    assert not processes.alive(sleeper)


def test_a_process_that_ignores_the_request_is_made_to_end(tmp_path: Path) -> None:
    process = run(tmp_path, STUBBORN)

    processes.end([process], grace=0.2)

    assert not processes.alive(process)


def test_a_process_with_a_reused_id_is_not_ours_and_is_left_alone(sleeper: Identity) -> None:
    impostor = Identity(sleeper.pid, "another start time")

    assert not processes.alive(impostor)
    processes.end([impostor], grace=0.2)
    assert processes.alive(sleeper)


def server(port: int, *command: str) -> Server:
    here = f"http://127.0.0.1:{port}"
    return Server("webhook", command, here, f"{here}/", (port,))


def test_a_server_that_dies_while_starting_is_reported_with_its_last_words(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    ports = Ports.free()
    dies = server(ports.webhook, sys.executable, "-c", "import sys; sys.exit('bad configuration')")

    with pytest.raises(UnavailableError, match="webhook ended while starting: bad configuration"):
        lifecycle.start([dies], Settings(folder=tmp_path, ports=ports))


def test_a_taken_port_is_named_before_anything_starts(tmp_path: Path) -> None:
    ports = Ports.free()
    with webhook.serve("127.0.0.1", ports.webhook, tmp_path / "alerts"):
        never = server(ports.webhook, "/nonexistent/program")
        remedy = f"webhook needs port {ports.webhook} and .* set SPANWISE_STACK_WEBHOOK_PORT to another port"
        with pytest.raises(UnavailableError, match=remedy):
            lifecycle.start([never], Settings(folder=tmp_path, ports=ports))


def test_the_receiver_keeps_what_is_delivered_and_refuses_what_is_no_json(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    ports = Ports.free()
    log = tmp_path / "alerts.jsonl"
    receiver = server(ports.webhook, sys.executable, webhook.__file__, "--port", str(ports.webhook), "--log", str(log))
    started = lifecycle.start([receiver], Settings(folder=tmp_path, ports=ports))
    try:
        post(receiver.health, json.dumps({"alerts": [{"status": "firing", "note": "é"}]}).encode())
        with pytest.raises(urllib.error.HTTPError, match="400") as refused:
            post(receiver.health, b"{")
        refused.value.close()
        assert log.read_text(encoding="utf-8") == '{"alerts":[{"status":"firing","note":"é"}]}\n'
        assert log.stat().st_mode & 0o777 == 0o600
    finally:
        processes.end(list(started.values()))
    assert not processes.alive(started["webhook"])


def post(url: str, body: bytes) -> None:
    with urllib.request.urlopen(urllib.request.Request(url, body), timeout=5) as answer:
        answer.read()


def test_a_server_has_a_session_of_its_own_so_that_ctrl_c_does_not_reach_it(sleeper: Identity) -> None:
    assert os.getsid(sleeper.pid) == sleeper.pid
