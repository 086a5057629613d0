"""OTLP receivers for tests: they keep what they accept; the one over HTTP first answers as it was told."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable


class Receiver:
    """What came in, and how to answer."""

    def __init__(self, statuses: Iterable[int] = ()) -> None:
        self.statuses = deque(statuses)
        self.held = threading.Event()
        """Requests are answered once it is set."""
        self.held.set()
        self.fails: Callable[[list[str]], bool] = lambda _: False
        """Whether a request with spans of those names is answered with 500."""
        self.requests: list[tuple[str, int, dict[str, str]]] = []
        """Path, status and headers of each request."""
        self.spans: list[str] = []
        """Names of the accepted spans."""
        self.address = ""

    def answer(self, path: str, body: bytes, headers: dict[str, str]) -> int:
        """Take a request; returns the status."""
        names = names_in(ExportTraceServiceRequest.FromString(body))
        status = self.statuses.popleft() if self.statuses else 500 if self.fails(names) else 200
        self.requests.append((path, status, headers))
        if status == 200:
            self.spans += names
        return status


def names_in(message: ExportTraceServiceRequest) -> list[str]:
    """Return the names of the spans of a request."""
    return [s.name for r in message.resource_spans for g in r.scope_spans for s in g.spans]


@contextmanager
def receiving(statuses: Iterable[int] = ()) -> Generator[Receiver]:
    """Run a receiver on a free port of 127.0.0.1."""
    receiver = Receiver(statuses)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            receiver.held.wait(30)
            self.send_response(receiver.answer(self.path, body, dict(self.headers)))
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        receiver.address = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield receiver
        finally:
            receiver.held.set()
            server.shutdown()
            thread.join()


@contextmanager
def receiving_grpc() -> Generator[Receiver]:
    """Run a gRPC receiver that accepts everything on a free port of 127.0.0.1; skips where the extra is missing."""
    grpc: Any = pytest.importorskip("grpc")
    service: Any = pytest.importorskip("opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc")
    receiver = Receiver()

    class Accepting(service.TraceServiceServicer):  # type: ignore[misc]
        def Export(self, request: ExportTraceServiceRequest, context: Any) -> ExportTraceServiceResponse:  # noqa: N802
            receiver.spans += names_in(request)
            return ExportTraceServiceResponse()

    server = grpc.server(ThreadPoolExecutor(max_workers=1))
    service.add_TraceServiceServicer_to_server(Accepting(), server)
    receiver.address = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield receiver
    finally:
        server.stop(None).wait(5)
