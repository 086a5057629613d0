"""`python -m spanwise_pipeline.systems.hedge_fund`: the fund's web service on this machine, with any model endpoint.

With the simulated provider:

    spanwise provider --profile hedge_fund.yaml --speed 4
    python -m spanwise_pipeline.systems.hedge_fund --speed 4
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import uvicorn

from spanwise_pipeline import Clock, Resources, SystemContext
from spanwise_pipeline.systems.hedge_fund import SYSTEM
from spanwise_pipeline.systems.hedge_fund.web import create_app

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from spanwise_pipeline.systems.hedge_fund.flags import HedgeFundFlags
    from spanwise_pipeline.systems.hedge_fund.web import OpenContext


def main() -> int:
    """Serve until Ctrl-C, and return the exit status."""
    options = _options()
    if not 0 < options.speed < float("inf"):
        return _refuse(f"--speed {options.speed:g}: must be a number above 0", status=2)
    try:
        bound = socket.create_server(("127.0.0.1", options.port))
    except OSError as error:
        return _refuse(f"--port {options.port}: {error.strerror or error}; give --port 0 for a free one", status=4)
    clock = Clock(options.speed)
    app = create_app(SYSTEM.presets, _contexts(options, clock), clock)
    sys.stdout.write(json.dumps({"address": f"http://127.0.0.1:{bound.getsockname()[1]}/", "pid": os.getpid()}) + "\n")
    sys.stdout.flush()
    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=2)
    uvicorn.Server(config).run(sockets=[bound])
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m spanwise_pipeline.systems.hedge_fund", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--base-url", default="http://127.0.0.1:8400/v1", help="OpenAI-compatible endpoint")
    parser.add_argument("--speed", type=float, default=1.0, help="that of the simulated provider; 1 for any other one")
    parser.add_argument("--port", type=int, default=8500, help="0 takes a free one")
    parser.add_argument("--redis", help="address of a Redis below the caches")
    return parser.parse_args()


def _refuse(message: str, *, status: int) -> int:
    sys.stderr.write(f"{message}\n")
    return status


def _contexts(options: argparse.Namespace, clock: Clock) -> OpenContext:
    @asynccontextmanager
    async def opened(flags: HedgeFundFlags, publish: Callable[[str, str], None]) -> AsyncGenerator[SystemContext]:
        async with Resources(SYSTEM.name, SYSTEM.needs(flags), clock=clock, redis=options.redis) as resources:
            yield SystemContext(
                base_url=options.base_url, api_key=os.environ.get("OPENAI_API_KEY", "any"), clock=clock, seed=None,
                label_requests=False, publish=publish, resources=resources,
            )  # fmt: skip

    return opened


if __name__ == "__main__":
    sys.exit(main())
