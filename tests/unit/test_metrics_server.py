"""The metrics server answers whatever it is asked, and says nothing on the host's standard error."""

from __future__ import annotations

import socket
import struct

import pytest

import spanwise

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("isolated_provider")]

REQUESTS = {
    "abandoned": b"",
    "plain": b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
    "no version": b"GET /metrics HTTP/1.1\r\nAccept: text/plain;version=a.b;escaping=values\r\n\r\n",
    "too old a version": b"GET /metrics HTTP/1.1\r\nAccept: text/plain;version=1;escaping=values\r\n\r\n",
    "not HTTP": b"\x16\x03\x01\x00\xff" * 9 + b"\r\n\r\n",
    "many headers": b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: y\r\n" % number for number in range(300)) + b"\r\n",
    "long line": b"A" * 70_000,
    "unknown method": b"FOO / HTTP/1.1\r\nHost: x\r\n\r\n",
}


def ask(port: int, request: bytes, *, reset: bool) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request)
        if reset or not request:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return b""
        try:
            return connection.recv(100)
        except ConnectionResetError:
            return b""


def test_no_request_writes_on_the_hosts_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    telemetry = spanwise.configure(metrics_port=0)
    port = telemetry.metrics_port
    assert port is not None
    for request in REQUESTS.values():
        ask(port, request, reset=True)
        ask(port, request, reset=False)
    assert ask(port, REQUESTS["plain"], reset=False).startswith(b"HTTP/1.0 200 OK")
    spanwise.shutdown()
    assert capfd.readouterr() == ("", "")
