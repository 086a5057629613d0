"""Systems recorded on a virtual clock: spans of exact times, a run of minutes in less than a second."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any
from unittest import mock

from support.systems import SPEED
from support.traces import BEGIN_NS
from support.trading import full_context, shipped_profile

import spanwise
from spanwise.config import strict_yaml
from spanwise.journal.reader import LinkRecord, SpanRecord
from spanwise.testing import PlainSpan, capture, run_virtual
from spanwise_pipeline.bound import bound_of
from spanwise_pipeline.provider.profile import Profile
from spanwise_pipeline.systems.trading import SYSTEM
from spanwise_pipeline.systems.trading.desk import Desk
from spanwise_profiling.runs import runs_of
from spanwise_profiling.trace import build_traces

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from spanwise_pipeline import Outcome, System, SystemContext
    from spanwise_pipeline.systems.trading.flags import TradingFlags
    from spanwise_profiling.runs import Run


def recorded(flags: TradingFlags, seed: int = 1) -> Run:
    """Return a run of the whole system, cold."""
    [run] = _recorded(lambda: SYSTEM.run(full_context(shipped_profile(), seed), flags), flags, times=1)
    return run


def recorded_at_speed_one(system: System, flags: Any, seed: int = 1) -> tuple[Run, Outcome]:
    """Return a run of any system, cold, as its bound is computed, and its outcome."""

    def now() -> int:
        try:
            return BEGIN_NS + round(asyncio.get_running_loop().time() * 1e9)
        except RuntimeError:
            return BEGIN_NS

    def seconds() -> float:
        return now() / 1e9

    async def run(context: SystemContext, flags: Any) -> Outcome:
        with spanwise.workflow(system.name, flags=asdict(flags)):
            return await system.run(context, flags)

    with (
        mock.patch("time.time_ns", now),
        mock.patch("time.perf_counter_ns", now),
        mock.patch("time.perf_counter", seconds),
        capture(wait_threshold=0.0001, fingerprints=True) as spans,
    ):
        profile = strict_yaml.load(system.profile, Profile)
        outcome = bound_of(replace(system, run=run), flags, profile, seed).outcome
        [found] = runs_of(build_traces([_record(span, scale=1.0) for span in spans()]))
        return found, outcome


def recorded_twice(flags: TradingFlags) -> list[Run]:
    """Return two runs that one desk serves, so that the second finds its caches filled."""
    desk: list[Desk] = []

    async def serve() -> None:
        if not desk:
            desk.append(Desk(full_context(shipped_profile()), flags))
        await desk[0].run()

    return _recorded(serve, flags, times=2)


def _recorded(run_once: Callable[[], Coroutine[Any, Any, object]], flags: TradingFlags, *, times: int) -> list[Run]:
    async def main() -> None:
        loop = asyncio.get_running_loop()

        def now() -> int:
            return BEGIN_NS + round(loop.time() * 1e9)

        def seconds() -> float:
            return now() / 1e9

        with (
            mock.patch("time.time_ns", now),
            mock.patch("time.perf_counter_ns", now),
            mock.patch("time.perf_counter", seconds),
        ):
            for _ in range(times):
                with spanwise.workflow("trading", variant="desk", flags=asdict(flags)):
                    await run_once()

    with capture(time_scale=SPEED, wait_threshold=0.0001, fingerprints=True) as spans:
        run_virtual(main)
        return runs_of(build_traces([_record(span) for span in spans()]))


def _record(span: PlainSpan, *, scale: float = SPEED) -> SpanRecord:
    trace_id = f"{span['trace_id']:032x}"
    return SpanRecord(
        trace_id=trace_id,
        span_id=f"{span['span_id']:016x}",
        parent_id=f"{span['parent_id']:016x}" if span["parent_id"] else None,
        name=span["name"],
        kind=1,
        start_ns=span["start_ns"],
        end_ns=span["end_ns"],
        attributes=span["attributes"],
        links=tuple(LinkRecord(trace_id, f"{released:016x}", about) for released, about in span["links"]),
        status_code=2 if span["status"] == "ERROR" else 0,
        resource={"service.name": "a system", "spanwise.time.scale": scale},
    )
