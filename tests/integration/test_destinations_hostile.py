"""Receivers that answer too much, too slowly or with tricks: each answer has a bound, and delivery goes on."""

from __future__ import annotations

import gzip
import select
import socket
import threading
import time
import tracemalloc
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from spanwise.destinations.over_http import HttpTransport
from spanwise.destinations.transport import Reply, read_partial, retry_after

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

pytestmark = pytest.mark.slow
MIB = 2**20


@contextmanager
def answering(answer: Callable[[socket.socket], None]) -> Generator[tuple[str, list[bytes]]]:
    """Run a server that reads a request and has `answer` write what it likes; gives the address and the requests."""
    seen: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    threading.Thread(target=talk, args=(connection,), daemon=True).start()

        def talk(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                while head := read_head(connection):
                    seen.append(head)
                    answer(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1/traces", seen
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(5)


def read_head(connection: socket.socket) -> bytes:
    """Return the head of a request of the body `spans`; nothing at the end."""
    data = b""
    while not data.endswith(b"\r\n\r\nspans"):
        if not (more := connection.recv(4096)):
            return b""
        data += more
    return data


def head(status: str = "200 OK", *headers: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", "content-type: application/x-protobuf", *headers, "", ""]).encode()


def sent(address: str, timeout: float = 0.5) -> tuple[Reply, float, int]:
    """Return the reply, the seconds that it took, and the most bytes that it needed."""
    transport = HttpTransport(address, timeout=timeout)
    tracemalloc.start()
    began = time.monotonic()
    try:
        reply = transport.send(b"spans")
        return reply, time.monotonic() - began, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        transport.close()


def endless(first: bytes) -> Callable[[socket.socket], None]:
    def answer(connection: socket.socket) -> None:
        connection.sendall(first)
        while True:
            connection.sendall(bytes(64 * 1024))

    return answer


def drop_by_drop(text: bytes, first: bytes = b"") -> Callable[[socket.socket], None]:
    def answer(connection: socket.socket) -> None:
        connection.sendall(first)
        for position in range(len(text)):
            connection.sendall(text[position : position + 1])
            if select.select([connection], [], [], 0.05)[0]:  # the other side has gone
                return

    return answer


def whole(text: bytes) -> Callable[[socket.socket], None]:
    return lambda connection: connection.sendall(text)


BOMB = gzip.compress(bytes(64 * MIB))


@pytest.mark.parametrize(
    ("answer", "reply"),
    [
        (whole(head("200 OK", "content-encoding: gzip", f"content-length: {len(BOMB)}") + BOMB), Reply("accepted")),
        (endless(head("200 OK", "connection: close")), Reply("accepted")),
        (endless(head("302 Found", "location: /elsewhere", "connection: close")), Reply("doubtful", "HTTP 302: Found")),
        (endless(head("500 Oops", "connection: close")), Reply("doubtful", "HTTP 500: Oops")),
        (endless(b"HTTP/1.1 200 OK\r\nx: "), None),
        (drop_by_drop(head("200 OK", "x: " + "y" * 10_000)), Reply("doubtful", "no answer in time")),
        (drop_by_drop(bytes(10_000), head("200 OK", "content-length: 10000")), Reply("accepted")),
        (whole(head("500 \x1b[2Jgone\x07", "content-length: 0")), Reply("doubtful", "HTTP 500: �[2Jgone�")),
    ],
    ids=[
        "bomb",
        "endless",
        "endless-redirect",
        "endless-error",
        "endless-header",
        "slow-head",
        "slow-body",
        "controls",
    ],
)
def test_an_answer_has_a_bound_in_memory_and_in_time(
    answer: Callable[[socket.socket], None], reply: Reply | None
) -> None:
    with answering(answer) as (address, _):
        found, seconds, memory = sent(address)
    assert reply is None or found == reply
    assert seconds < 4
    assert memory < 4 * MIB


def test_cookies_are_not_kept() -> None:
    with answering(whole(head("200 OK", "set-cookie: a=" + "x" * 4000 + "; path=/", "content-length: 0"))) as (
        url,
        seen,
    ):
        transport = HttpTransport(url, timeout=5)
        assert [transport.send(b"spans").verdict for _ in range(3)] == ["accepted"] * 3
        transport.close()
    assert not any(b"cookie" in one.lower() for one in seen)


def test_the_message_of_a_partial_success_is_cut_and_cannot_reach_a_terminal_raw() -> None:
    message = b"too old \x1b]0;x\x07" * 5_000
    about = b"\x08\x03\x12" + varint(len(message)) + message
    reply = read_partial(b"\x0a" + varint(len(about)) + about)
    assert (reply.verdict, reply.rejected) == ("accepted", 3)
    assert len(reply.reason) < 400
    assert reply.reason.isprintable()


def varint(number: int) -> bytes:
    encoded = b""
    while number > 127:
        encoded, number = encoded + bytes([number & 127 | 128]), number >> 7
    return encoded + bytes([number])


def test_a_varint_of_a_million_bytes_is_no_message() -> None:
    began = time.monotonic()
    assert read_partial(b"\x08" + b"\xff" * MIB + b"\x01") == Reply("accepted")
    assert time.monotonic() - began < 1


@pytest.mark.parametrize(
    "text", ["9" * 5000, "1e999", "nan", "Mon, 01 Jan 0001 00:00:00 GMT", "Mon, 99 Foo 99999 99:99:99 -9999", "\x00"]
)
def test_a_moment_to_come_back_that_is_none_is_left_out(text: str) -> None:
    assert retry_after(text) in {None, 0.0}


def test_a_header_that_was_set_is_not_replaced_by_the_netrc_of_the_home_folder_or_by_the_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login me password hunter2\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    with answering(whole(head("200 OK", "content-length: 0"))) as (url, seen):
        for headers, address in (
            ({"authorization": "Bearer k"}, url),
            ({"Authorization": "Bearer k"}, url.replace("//", "//me:pw@")),
            ({}, url),
        ):
            transport = HttpTransport(address, headers, timeout=5)
            assert transport.send(b"spans").verdict == "accepted"
            transport.close()
    found = [[line for line in one.split(b"\r\n") if line.lower().startswith(b"authorization")] for one in seen]
    assert [[line.partition(b": ")[2] for line in lines] for lines in found] == [[b"Bearer k"], [b"Bearer k"], []]


def test_a_certificate_that_was_named_is_not_replaced_by_the_bundle_of_the_surroundings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "surroundings.pem"))
    assert HttpTransport("https://c").verify == str(tmp_path / "surroundings.pem")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", str(tmp_path / "named.pem"))
    assert HttpTransport("https://c").verify == str(tmp_path / "named.pem")
