"""A program that ends many spans at once, with spanwise or the SDK's batch processor, and tells what became of them.

Run by path in a process of its own; beside it a receiver that takes a second a request.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

SLOW_RECEIVER = """
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        time.sleep(1)
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        pass

server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.handle_error = lambda *_: None  # a client that ends amid a request is what is tested
print(server.server_address[1], flush=True)
server.serve_forever()
"""


@contextmanager
def slow_receiver() -> Generator[str]:
    """Run a receiver that takes a second a request; gives its address."""
    with subprocess.Popen([sys.executable, "-c", SLOW_RECEIVER], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.terminate()


def burst_at(kind: str, spans: int, folder: Path, endpoint: str = "", *, buffer: str = "64 MiB") -> dict[str, Any]:
    """Run a burst in a process of its own and return what it told.

    Args:
        kind: `spanwise`, `loop` for the same in the thread of an event loop, or `sdk` for the SDK's batch processor.
        spans: how many.
        folder: the journal.
        endpoint: where to send; without it, nowhere.
        buffer: how much may wait.
    """
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "SPANWISE_"))}
    environment |= {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "SPANWISE_BUFFER_SIZE": buffer}
    done = subprocess.run(
        [sys.executable, __file__, kind, str(spans), str(folder), endpoint],
        env=environment, capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _timed(end_one: Callable[[], None], spans: int) -> dict[str, float]:
    begin = peak = _resident()
    began = time.perf_counter()
    for number in range(spans):
        end_one()
        if number % 4096 == 0:
            peak = max(peak, _resident())
    return {"seconds": time.perf_counter() - began, "growth_mib": (max(peak, _resident()) - begin) / 2**20}


def _with_spanwise(spans: int, folder: str, endpoint: str, *, in_loop: bool) -> dict[str, Any]:
    import spanwise  # noqa: PLC0415 - the other kind is not to load it

    telemetry = spanwise.configure(journal_dir=folder, endpoint=endpoint or None, shutdown_timeout=2)

    def end_one() -> None:
        with spanwise.step("s"):
            pass

    end_one()
    telemetry.flush(1.5)

    async def burst() -> dict[str, float]:
        return _timed(end_one, spans)

    told: dict[str, Any] = dict(asyncio.run(burst()) if in_loop else _timed(end_one, spans))
    spanwise.shutdown()
    counts = telemetry.ledger()
    kept = {name: getattr(counts, name) for name in ("started", "journaled", "dropped", "destinations")}
    return told | kept


def _with_sdk(spans: int, endpoint: str) -> dict[str, Any]:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - likewise
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - likewise
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter  # noqa: PLC0415 - likewise
    from opentelemetry.sdk.trace.export import SpanExportResult as Result  # noqa: PLC0415 - likewise

    taken = 0

    class Counting(SpanExporter):
        def __init__(self) -> None:
            self._exporter = OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces")

        def export(self, spans: Any) -> Result:
            nonlocal taken
            result = self._exporter.export(spans)
            taken += len(spans) if result is Result.SUCCESS else 0
            return result

        def shutdown(self) -> None:
            shutdown: Callable[[], object] = self._exporter.shutdown  # untyped there
            shutdown()

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(Counting()))
    tracer = provider.get_tracer("burst")
    told: dict[str, Any] = dict(_timed(lambda: tracer.start_span("s").end(), spans))
    provider.shutdown()
    return told | {"started": spans, "delivered": taken}


def main() -> None:
    """Run one burst and print what became of it as a line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=["spanwise", "loop", "sdk"])
    parser.add_argument("spans", type=int)
    parser.add_argument("folder")
    parser.add_argument("endpoint", nargs="?", default="")
    given = parser.parse_args()
    if given.kind == "sdk":
        told = _with_sdk(given.spans, given.endpoint)
    else:
        told = _with_spanwise(given.spans, given.folder, given.endpoint, in_loop=given.kind == "loop")
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
