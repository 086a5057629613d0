"""`python -m spanwise_pipeline.provider`: the door for a program that starts a provider of its own.

It reads a profile as JSON, says its address in one line of JSON, and ends when its standard input closes, so that it
never outlives its parent. People use `spanwise provider`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from spanwise_pipeline.provider import profile, server

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable


def main() -> int:
    """Serve until standard input closes, SIGTERM or Ctrl-C, and return the exit status."""
    options = _options()
    try:
        settings = profile.from_dict(json.loads(Path(options.profile_json).read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        return _refuse(f"{options.profile_json}: {error}", status=2)
    if not 0 < options.speed < float("inf"):
        return _refuse(f"--speed {options.speed:g}: must be a number above 0", status=2)
    try:
        bound = server.bind(options.host, options.port)
    except OSError as error:
        return _refuse(
            f"{options.host}:{options.port}: {error.strerror or error}; give --port 0 for a free one", status=4
        )
    server.serve(settings, bound, speed=options.speed, on_ready=lambda stop: _ready(bound, stop))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m spanwise_pipeline.provider", description=__doc__)
    parser.add_argument("--profile-json", required=True, help="file with a Profile as JSON (dataclasses.asdict)")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--speed", type=float, default=1.0, help="divides every simulated wait")
    return parser.parse_args()


def _refuse(message: str, *, status: int) -> int:
    sys.stderr.write(f"{message}\n")
    return status


def _ready(bound: socket.socket, stop: Callable[[], None]) -> None:
    sys.stdout.write(json.dumps({"base_url": server.base_url(bound), "pid": os.getpid()}) + "\n")
    sys.stdout.flush()
    threading.Thread(target=_stop_at_end_of_input, args=(stop,), daemon=True).start()


def _stop_at_end_of_input(stop: Callable[[], None]) -> None:
    # Plain reads: a buffered reader's lock would be held while the interpreter ends.
    while os.read(0, 4096):
        pass
    stop()


if __name__ == "__main__":
    sys.exit(main())
