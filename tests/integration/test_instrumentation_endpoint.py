"""Probing a real OTLP receiver: what it costs, what its clock says, and each way in which it can fail."""

from __future__ import annotations

import socket
import time
from email.utils import formatdate

import pytest
from support.otlp_receiver import receiving, receiving_grpc

from spanwise.destinations.otlp import Settings
from spanwise.errors import UnavailableError
from spanwise_cli.endpoint import probe

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("isolated_provider")]


def refusal(endpoint: str) -> str:
    with pytest.raises(UnavailableError) as error:
        probe(Settings(endpoint=endpoint))
    return str(error.value)


def test_an_empty_request_is_accepted_and_the_clocks_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key=abc")
    with receiving() as receiver:
        answer = probe(Settings(endpoint=receiver.address))
    assert 0 < answer.seconds < 3
    assert answer.clock_ahead is not None
    assert abs(answer.clock_ahead) < 2
    assert [(path, headers["x-api-key"]) for path, _, headers in receiver.requests] == [("/v1/traces", "abc")]
    assert receiver.spans == []


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        (401, "the key is missing or wrong; set OTEL_EXPORTER_OTLP_HEADERS"),
        (403, "the key may not write; set OTEL_EXPORTER_OTLP_HEADERS"),
        (404, "no OTLP receiver is at this path; give its base address"),
        (503, "look at the receiver's log"),
    ],
)
def test_a_refusal_is_told_with_its_status_and_a_remedy(status: int, remedy: str) -> None:
    with receiving([status]) as receiver:
        assert refusal(receiver.address) == f"{receiver.address}: refuses spans ({status}); {remedy}"


def test_a_receiver_that_is_down_is_told_and_its_password_is_not() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        assert refusal(f"http://me:secret@127.0.0.1:{port}") == (
            f"http://me:***@127.0.0.1:{port}: not reachable (Connection refused); start the receiver or change "
            "SPANWISE_ENDPOINT"
        )


def test_a_name_that_nobody_knows_is_not_reachable() -> None:
    assert refusal("http://nowhere.invalid:4318").startswith("http://nowhere.invalid:4318: not reachable (")


def test_a_grpc_receiver_accepts_an_empty_request() -> None:
    with receiving_grpc() as receiver:
        answer = probe(Settings(endpoint=receiver.address, protocol="grpc"))
    assert 0 < answer.seconds < 3
    assert answer.clock_ahead is None
    assert receiver.spans == []


def test_a_server_of_another_protocol_is_not_reachable_over_grpc(capfd: pytest.CaptureFixture[str]) -> None:
    with receiving() as receiver, pytest.raises(UnavailableError) as error:
        probe(Settings(endpoint=receiver.address, protocol="grpc"))
    assert str(error.value) == f"{receiver.address}: refuses spans over gRPC; look at the receiver's log"
    assert capfd.readouterr().err == ""


def test_the_date_of_the_answer_is_the_receivers_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    def an_hour_ago(handler: object, timestamp: float | None = None) -> str:
        return formatdate(time.time() - 3600, usegmt=True)

    monkeypatch.setattr("http.server.BaseHTTPRequestHandler.date_time_string", an_hour_ago)
    with receiving() as receiver:
        ahead = probe(Settings(endpoint=receiver.address)).clock_ahead
    assert ahead is not None
    assert 3599 < ahead < 3603
