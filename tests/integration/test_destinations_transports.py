"""One request over HTTP or gRPC: what is sent, and what each answer means."""

from __future__ import annotations

import gzip
import socket
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)

from spanwise.destinations.over_grpc import GrpcTransport
from spanwise.destinations.over_http import HttpTransport
from spanwise.destinations.transport import Reply, read_partial, retry_after

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("isolated_provider")]
PROTOBUF = {"content-type": "application/x-protobuf"}
REJECTING = ExportTraceServiceResponse(
    partial_success=ExportTracePartialSuccess(rejected_spans=300, error_message="too öld")
).SerializeToString()


@contextmanager
def serving(
    status: int = 200, headers: dict[str, str] | None = None, body: bytes = b"", seconds: float = 0
) -> Generator[tuple[str, list[tuple[dict[str, str], bytes]]]]:
    """Answer every request alike; gives the address, and what comes in."""
    came: list[tuple[dict[str, str], bytes]] = []
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["content-length"]))
            came.append(({key.lower(): value for key, value in self.headers.items()}, content))
            ended.wait(seconds)
            self.send_response(status)
            for key, value in {"content-length": str(len(body)), **(headers or {})}.items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = False
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/v1/traces", came
        finally:
            ended.set()
            server.shutdown()
            thread.join()


def sent(address: str, body: bytes = b"spans", **options: Any) -> Reply:
    transport = HttpTransport(address, **options)
    try:
        return transport.send(body)
    finally:
        transport.close()


@pytest.mark.parametrize(
    ("status", "headers", "reply"),
    [
        (200, {}, Reply("accepted")),
        (202, {}, Reply("accepted")),
        (400, {}, Reply("refused", "HTTP 400: Bad Request")),
        (413, {}, Reply("refused", "HTTP 413: Request Entity Too Large")),
        (422, {}, Reply("refused", "HTTP 422: Unprocessable Entity")),
        (429, {"retry-after": "7"}, Reply("later", "HTTP 429: Too Many Requests", 7.0)),
        (503, {"retry-after": "0"}, Reply("later", "HTTP 503: Service Unavailable", 0.0)),
        (502, {}, Reply("later", "HTTP 502: Bad Gateway")),
        (500, {"retry-after": "7"}, Reply("doubtful", "HTTP 500: Internal Server Error", 7.0)),
        (504, {}, Reply("later", "HTTP 504: Gateway Timeout")),
        (500, {}, Reply("doubtful", "HTTP 500: Internal Server Error")),
        (401, {}, Reply("doubtful", "HTTP 401: the key is missing or wrong")),
        (404, {}, Reply("doubtful", "HTTP 404: no OTLP receiver is at this path")),
        (302, {"location": "/elsewhere"}, Reply("doubtful", "HTTP 302: Found")),
    ],
)
def test_each_status_has_a_meaning(status: int, headers: dict[str, str], reply: Reply) -> None:
    with serving(status, headers) as (address, _):
        assert sent(address) == reply


def test_spans_that_are_rejected_among_accepted_ones_are_told() -> None:
    with serving(200, PROTOBUF, REJECTING) as (address, _):
        assert sent(address) == Reply("accepted", "too öld", rejected=300)
    with serving(200, {"content-type": "text/html"}, b"<html>") as (address, _):
        assert sent(address) == Reply("accepted")


@pytest.mark.parametrize(
    "body", [b"", b"\x00", b"\xff" * 20, b"\x0a\xff", b"\x0a\x02\x08", b"\x0b", b"\x08\x01", REJECTING[:-1], b"<html>"]
)
def test_an_answer_that_is_no_message_counts_as_accepted(body: bytes) -> None:
    assert read_partial(body) == Reply("accepted")


def test_an_answer_of_a_newer_protocol_is_understood_as_far_as_it_is_known() -> None:
    message = ExportTraceServiceResponse.FromString(REJECTING)
    unknown = b"\x19" + bytes(8) + b"\x25" + bytes(4) + b"\x30\x01"
    assert read_partial(unknown + message.SerializeToString()).rejected == 300


def test_headers_and_compression_are_those_of_opentelemetrys_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key=wrong")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "x-api-key=abc,other=a%20b")
    unpack: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.decompress, "deflate": zlib.decompress}
    for name, unpacked in unpack.items():
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", name)
        with serving() as (address, came):
            sent(address)
        [(headers, body)] = came
        assert unpacked(body) == b"spans"
        assert {key: headers[key] for key in ("content-type", "content-encoding", "x-api-key", "other")} == {
            "content-type": "application/x-protobuf", "content-encoding": name, "x-api-key": "abc", "other": "a b",
        }  # fmt: skip


def test_a_silent_receiver_is_given_up_after_the_time_that_the_variable_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.2")
    with serving(seconds=20) as (address, _):
        began = time.monotonic()
        assert sent(address) == Reply("doubtful", "no answer in time")
        assert time.monotonic() - began < 5


def test_a_receiver_that_takes_a_request_and_breaks_off_is_in_doubt() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            for _ in range(2):  # a connection that breaks off is tried once more
                connection, _address = server.accept()
                with connection:
                    while b"spans" not in connection.recv(65536):
                        pass

        thread = threading.Thread(target=serve)
        thread.start()
        assert sent(f"http://127.0.0.1:{server.getsockname()[1]}/v1/traces").verdict == "doubtful"
        thread.join()


def test_where_nobody_listens_the_reason_names_no_secret() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert sent(f"http://me:secret@127.0.0.1:{port}/v1/traces?key=secret") == Reply("later", "Connection refused")


def test_a_kept_connection_that_was_closed_meanwhile_is_no_failure() -> None:
    accepted: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            for _ in range(2):  # one answer a connection, then it is closed without a word
                connection, _address = server.accept()
                with connection:
                    while b"spans" not in (received := connection.recv(65536)):
                        pass
                    accepted.append(received)
                    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        transport = HttpTransport(f"http://127.0.0.1:{server.getsockname()[1]}/v1/traces")
        assert [transport.send(b"spans") for _ in range(2)] == [Reply("accepted")] * 2
        transport.close()
        thread.join()
    assert len(accepted) == 2


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None), ("", None), ("12", 12.0), ("0.5", 0.5), ("-3", 0.0), ("nan", None), ("inf", None), ("soon", None),
        ("86400", 3600.0), ("Sat, 21 Nov 2026 08:00:30 GMT", 30.0), ("Sat, 21 Nov 2026 07:00:00 GMT", 0.0),
    ],
)  # fmt: skip
def test_when_to_come_back_is_a_number_or_a_date(text: str | None, seconds: float | None) -> None:
    assert retry_after(text, now=1_795_248_000.0) == seconds


@contextmanager
def serving_grpc(answer: Callable[[Any, Any], ExportTraceServiceResponse]) -> Generator[str]:
    grpc: Any = pytest.importorskip("grpc")
    service: Any = pytest.importorskip("opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc")

    class Servicer(service.TraceServiceServicer):  # type: ignore[misc]
        def Export(self, request: Any, context: Any) -> ExportTraceServiceResponse:  # noqa: N802
            return answer(request, context)

    server = grpc.server(ThreadPoolExecutor(max_workers=1))
    service.add_TraceServiceServicer_to_server(Servicer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.stop(None).wait(5)


def sent_over_grpc(answer: Callable[[Any, Any], ExportTraceServiceResponse], body: bytes = b"") -> Reply:
    with serving_grpc(answer) as address:
        transport = GrpcTransport(address)
        try:
            return transport.send(body)
        finally:
            transport.close()


def aborting(code: str, details: str, seconds: int | None = None) -> Callable[[Any, Any], ExportTraceServiceResponse]:
    def answer(_: Any, context: Any) -> ExportTraceServiceResponse:
        grpc: Any = pytest.importorskip("grpc")
        if seconds is not None:
            error_details: Any = pytest.importorskip("google.rpc.error_details_pb2")
            status_pb2: Any = pytest.importorskip("google.rpc.status_pb2")
            info = error_details.RetryInfo()
            info.retry_delay.seconds = seconds
            status = status_pb2.Status()
            status.details.add().Pack(info)
            context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        context.abort(grpc.StatusCode[code], details)
        return ExportTraceServiceResponse()

    return answer


@pytest.mark.parametrize(
    ("code", "details", "seconds", "reply"),
    [
        ("INVALID_ARGUMENT", "bad span", None, Reply("refused", "gRPC INVALID_ARGUMENT: bad span")),
        (
            "RESOURCE_EXHAUSTED",
            "received message larger than max",
            None,
            Reply("refused", "gRPC RESOURCE_EXHAUSTED: received message larger than max"),
        ),
        ("RESOURCE_EXHAUSTED", "slow down", 9, Reply("later", "gRPC RESOURCE_EXHAUSTED: slow down", 9.0)),
        ("UNAVAILABLE", "draining", 90_000, Reply("later", "gRPC UNAVAILABLE: draining", 3600.0)),
        ("UNAVAILABLE", "draining", None, Reply("later", "gRPC UNAVAILABLE: draining")),
        ("UNAUTHENTICATED", "who?", None, Reply("doubtful", "gRPC UNAUTHENTICATED: who?")),
    ],
)
def test_each_code_of_grpc_has_a_meaning(code: str, details: str, seconds: int | None, reply: Reply) -> None:
    assert sent_over_grpc(aborting(code, details, seconds)) == reply


def test_grpc_tells_of_rejected_spans() -> None:
    response = ExportTraceServiceResponse.FromString(REJECTING)
    assert sent_over_grpc(lambda *_: response) == Reply("accepted", "too öld", rejected=300)


def test_metadata_of_grpc_is_that_of_opentelemetrys_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key=abc")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    seen: dict[str, str] = {}

    def answer(_: Any, context: Any) -> ExportTraceServiceResponse:
        seen.update((key, value) for key, value in context.invocation_metadata())
        return ExportTraceServiceResponse()

    assert sent_over_grpc(answer) == Reply("accepted")
    assert seen["x-api-key"] == "abc"


def test_a_silent_receiver_over_grpc_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.2")
    ended = threading.Event()

    def answer(*_: Any) -> ExportTraceServiceResponse:
        ended.wait(20)
        return ExportTraceServiceResponse()

    with serving_grpc(answer) as address:
        transport = GrpcTransport(address)
        reply = transport.send(b"")
        assert (reply.verdict, reply.reason.split(":")[0]) == ("doubtful", "gRPC DEADLINE_EXCEEDED")
        transport.close()
        assert transport.send(b"") == Reply("later", "the connection was closed")
        ended.set()
