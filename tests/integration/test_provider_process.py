from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from support.provider_process import LIMIT_S, announced, command, provider, started

from spanwise_pipeline.provider.profile import Failures, Model, Profile

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.alone]

BODY = {
    "model": "m",
    "messages": [{"role": "user", "content": "a = 1\nState a, b.\nUse about 40 words for each fact."}],
}
SPANWISE = [sys.executable, "-m", "spanwise_cli", "provider"]


def post(base_url: str, body: Any) -> tuple[int, bytes]:
    at = urlsplit(base_url)
    connection = http.client.HTTPConnection(str(at.hostname), at.port or 0, timeout=LIMIT_S)
    try:
        connection.request("POST", "/v1/chat/completions", json.dumps(body), {"content-type": "application/json"})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_it_ends_when_its_standard_input_closes(tmp_path: Path) -> None:
    with started(command(tmp_path, Profile("p"), speed=50)) as process:
        assert post(announced(process), BODY)[0] == 200
        assert process.stdin is not None
        process.stdin.close()

        assert process.wait(LIMIT_S) == 0


def test_it_ends_on_sigterm_with_requests_under_way(tmp_path: Path) -> None:
    with started(command(tmp_path, Profile("p", default_model=Model(time_to_first_token_s=3600)))) as process:
        at = urlsplit(announced(process))
        with socket.create_connection((str(at.hostname), at.port), timeout=LIMIT_S) as client:
            raw = json.dumps(BODY).encode()
            client.sendall(
                b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(raw) + raw
            )
            process.send_signal(signal.SIGTERM)

            assert process.wait(LIMIT_S) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_two_processes_give_the_same_bytes(tmp_path: Path) -> None:
    profile = Profile("p", default_model=Model(sigma=0.3))
    answers = []
    for _ in range(2):
        with provider(tmp_path, profile, speed=50) as base_url:
            answers.append([post(base_url, BODY), post(base_url, BODY | {"stream": True})])

    assert answers[0] == answers[1]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("failures", [Failures(stall=1.0, stall_s=2.0), Failures(drop=1.0)])
def test_broken_connections_break_on_the_wire(tmp_path: Path, failures: Failures, stream: bool) -> None:  # noqa: FBT001
    broken = http.client.RemoteDisconnected if failures.stall else http.client.IncompleteRead

    with (
        provider(tmp_path, Profile("p", default_model=Model(failures=failures)), speed=50) as base_url,
        pytest.raises(broken),
    ):
        post(base_url, BODY | {"stream": stream})


def test_a_stall_closes_its_own_connection_and_no_other(tmp_path: Path) -> None:
    models = {"m": Model(failures=Failures(stall=1.0, stall_s=2.0)), "good": Model()}
    with provider(tmp_path, Profile("p", models=models), speed=50) as base_url:
        at = urlsplit(base_url)
        connections = [http.client.HTTPConnection(str(at.hostname), at.port or 0, timeout=LIMIT_S) for _ in range(2)]
        stalled, other = connections
        for connection in connections:
            connection.request("GET", "/v1/models")
            connection.getresponse().read()

        stalled.request("POST", "/v1/chat/completions", json.dumps(BODY))
        with pytest.raises(http.client.RemoteDisconnected):
            stalled.getresponse()
        # The connection that was opened last still stands: this does not open it again.
        other.auto_open = 0
        other.request("POST", "/v1/chat/completions", json.dumps(BODY | {"model": "good"}))
        assert other.getresponse().status == 200
        for connection in connections:
            connection.close()


def refusal(arguments: list[str]) -> tuple[int, str, str]:
    done = subprocess.run(
        arguments, capture_output=True, text=True, timeout=LIMIT_S, stdin=subprocess.DEVNULL, check=False
    )
    return done.returncode, done.stdout, done.stderr


def test_a_bad_profile_is_one_line_and_exit_2(tmp_path: Path) -> None:
    arguments = command(tmp_path, Profile("p"))
    path = tmp_path / "p.json"
    path.write_text('{"name": "p", "models": {"m": {"ttft": 1}}}', encoding="utf-8")

    code, out, err = refusal(arguments)

    assert (code, out) == (2, "")
    assert err.startswith(f"{path}: models.m: unknown key 'ttft'; allowed: ")
    assert err.count("\n") == 1


def test_a_taken_port_is_one_line_and_exit_4(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        assert refusal(command(tmp_path, Profile("p"), port=port)) == (
            4,
            "",
            f"127.0.0.1:{port}: Address already in use; give --port 0 for a free one\n",
        )


def test_the_command_announces_itself_in_json_and_ends_on_sigterm_with_0(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\n", encoding="utf-8")
    arguments = [*SPANWISE, "--json", "--port", "0", "--speed", "50", "--profile", str(path)]

    with started(arguments, stdin=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        document = json.loads(process.stdout.readline())
        answered = post(document["base_url"], BODY)[0]
        process.send_signal(signal.SIGTERM)

        assert process.wait(LIMIT_S) == 0
        assert document == {
            "schema": "spanwise.provider/1",
            "base_url": document["base_url"],
            "profile": "mine",
            "speed": 50.0,
            "pid": process.pid,
        }
        assert (answered, process.stdout.read()) == (200, "")


def test_ctrl_c_ends_the_command_with_130_and_without_a_traceback() -> None:
    with started([*SPANWISE, "--port", "0"], stdin=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        process.send_signal(signal.SIGINT)

        assert process.wait(LIMIT_S) == 130
        assert line.startswith("http://127.0.0.1:")
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_the_command_names_a_taken_port_and_the_remedy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, out, err = refusal([*SPANWISE, "--port", str(port)])

    assert (code, out) == (4, "")
    assert f"127.0.0.1:{port}: cannot listen there (Address already in use); choose another with --port" in err


def test_an_address_of_another_machine_is_refused() -> None:
    code, _, err = refusal([*SPANWISE, "--host", "192.0.2.1", "--port", "0"])

    assert code == 4
    assert "192.0.2.1:0: cannot listen there (Cannot assign requested address); give an address of this machine" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--speed", "0"], "--speed 0: must be a number above 0"),
        (["--profile", "missing.yaml"], "missing.yaml: no such file"),
    ],
)
def test_bad_options_are_one_line_and_exit_2(arguments: list[str], message: str) -> None:
    code, out, err = refusal([*SPANWISE, *arguments])

    assert (code, out) == (2, "")
    assert message in err


def test_the_provider_imports_nothing_else_of_ours() -> None:
    script = (
        "import sys, spanwise_pipeline.provider.server, spanwise_pipeline.provider.__main__\n"
        "print([n for n in sys.modules if n.startswith('spanwise') and not n.startswith('spanwise_pipeline.provider')])"
    )

    assert refusal([sys.executable, "-c", script]) == (0, "['spanwise_pipeline']\n", "")
