"""A webhook that keeps what Alertmanager delivers: `python -m spanwise_cli.stack.webhook --log FILE`.

One JSON document a line, as it came. Standard library only and nothing of ours, because compose.yaml runs this one file
in a bare Python image.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

_LARGEST = 16 * 1024 * 1024


class _Receiver(BaseHTTPRequestHandler):
    log: ClassVar[Path]
    lock: ClassVar[threading.Lock] = threading.Lock()

    def do_GET(self) -> None:
        """Answer that the receiver is up."""
        self._answer(200, b"ok\n")

    def do_POST(self) -> None:
        """Keep one JSON document; acknowledged only once it is written."""
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > _LARGEST:
            self._answer(411, b"Content-Length is needed, at most 16 MiB\n")
            return
        try:
            document: Any = json.loads(self.rfile.read(int(length)))
        except ValueError:
            self._answer(400, b"not JSON\n")
            return
        line = json.dumps(document, separators=(",", ":"), ensure_ascii=False)
        with self.lock, self.log.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
        self._answer(200, b"kept\n")

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Stay silent: the log is the file of alerts."""


def serve(host: str, port: int, log: Path) -> ThreadingHTTPServer:
    """Return a bound server that appends to `log`; the caller runs and closes it."""
    log.touch(mode=0o600)
    return ThreadingHTTPServer((host, port), type("Receiver", (_Receiver,), {"log": log}))


def main() -> int:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(description="Keep delivered alerts in a file, one JSON document a line.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9095)
    parser.add_argument("--log", type=Path, required=True)
    options = parser.parse_args()
    with serve(options.host, options.port, options.log) as server:

        def stop(_signal: int, _frame: object) -> None:
            # `shutdown` waits for `serve_forever`, which the signal interrupted: it needs a thread of its own.
            threading.Thread(target=server.shutdown).start()

        signal.signal(signal.SIGTERM, stop)
        server.serve_forever(poll_interval=0.2)
    return 0


if __name__ == "__main__":
    sys.exit(main())
