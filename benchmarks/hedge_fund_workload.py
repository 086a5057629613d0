"""How often the caches of `hedge_fund` answer, on a workload of 200 requests and a real Redis.

    python benchmarks/hedge_fund_workload.py --redis redis://127.0.0.1:6379/0

The workload: 80 distinct requests (the ten pairs of five shares on the last eight trading days of the data), drawn by
Zipf's law with exponent 1 from seed 17. Two funds take turns, each with a memory of its own above the same Redis,
as two processes of a service do. Nothing is cached at first, and misses count.
"""

from __future__ import annotations

import argparse
import asyncio
import random
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Any, Final

from spanwise.config import strict_yaml
from spanwise_pipeline import Clock, Resources, SystemContext
from spanwise_pipeline.in_process import InProcessTransport
from spanwise_pipeline.provider.app import create_app
from spanwise_pipeline.provider.profile import Profile
from spanwise_pipeline.systems.hedge_fund import SYSTEM, needs
from spanwise_pipeline.systems.hedge_fund.fund import Fund
from spanwise_pipeline.systems.hedge_fund.prices import all_bars
from spanwise_pipeline.systems.hedge_fund.window import Request

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spanwise_pipeline import Cache

SEED: Final = 17
EXPONENT: Final = 1.0
DAYS: Final = 8
SPEED: Final = 20.0
POPULAR: Final = 2
"""Shares whose data are asked for ahead: those that the workload asks for most."""


@dataclass(frozen=True, slots=True)
class Use:
    """How often one kind of cache was asked, over all funds."""

    lookups: int
    memory: int
    shared: int
    coalesced: int
    misses: int

    @property
    def rate(self) -> float:
        """Share of lookups that made nothing."""
        return 1 - self.misses / self.lookups


def distinct_requests() -> list[Request]:
    """Return every request of the workload once, the most frequent first."""
    days = [bar.date for bar in all_bars()["MSFT"]][-DAYS:]
    requests = [Request(pair, day) for pair in combinations(all_bars(), 2) for day in days]
    random.Random(SEED).shuffle(requests)
    return requests


def workload(runs: int) -> list[Request]:
    """Return `runs` requests, drawn by Zipf's law."""
    requests = distinct_requests()
    weights = [1 / rank**EXPONENT for rank in range(1, len(requests) + 1)]
    return random.Random(SEED).choices(requests, weights, k=runs)


async def measure(requests: Sequence[Request], redis: str, *, ahead: bool, results: bool) -> dict[str, Any]:
    """Serve the requests in turn by two funds; returns the use of their caches, and what was asked for ahead.

    Args:
        requests: the workload.
        redis: address of the store below both memories.
        ahead: ask for the data of popular shares before the first request.
        results: cache decisions too.
    """
    profile = strict_yaml.load(SYSTEM.profile, Profile)
    app, clock = create_app(profile, speed=SPEED), Clock(SPEED)
    # What a failing call costs is not measured here, and attempts that end early would depend on this machine.
    flags = replace(SYSTEM.presets["published"], fast_fallback=False, result_cache=results, pooled_connections=True)
    async with Resources(SYSTEM.name, needs(flags), clock=clock, redis=redis) as resources:
        context = SystemContext(
            base_url="http://in-process/v1", api_key="any", clock=clock, seed=1, label_requests=True,
            publish=lambda _agent, _text: None, resources=resources,
            transport=lambda pooled: InProcessTransport(app, pooled=pooled),
        )  # fmt: skip
        funds = [Fund(context, flags), Fund(context, flags)]
        began = clock.now()
        made = await _ask_ahead(funds[0], requests) if ahead else 0
        took = clock.now() - began
        for number, request in enumerate(requests):
            await funds[number % len(funds)].decide(request)
        found = {
            "data": _use([fund.service.cache for fund in funds]),
            "decisions": _use([fund.decisions for fund in funds]),
            "ahead": (made, took),
        }
        for fund in funds:
            await fund.close()
    return found


async def _ask_ahead(fund: Fund, requests: Sequence[Request]) -> int:
    asked = [ticker for request in requests for ticker in request.tickers]
    popular = sorted(set(asked), key=asked.count, reverse=True)[:POPULAR]
    return await fund.service.precompute(popular, sorted({request.as_of for request in requests}))


def _use(caches: Sequence[Cache[Any] | None]) -> Use | None:
    readings = [cache.statistics() for cache in caches if cache is not None]
    if not readings:
        return None
    return Use(
        lookups=sum(r.hits + r.coalesced + r.misses for r in readings),
        memory=sum(r.hits - r.shared_hits for r in readings),
        shared=sum(r.shared_hits for r in readings),
        coalesced=sum(r.coalesced for r in readings),
        misses=sum(r.misses for r in readings),
    )


def row(name: str, use: Use) -> str:
    """Return a row of the table."""
    return (
        f"| {name} | {use.lookups:,} | {use.memory:,} | {use.shared:,} | {use.coalesced:,} | {use.misses:,} |"
        f" {100 * use.rate:.1f} % |"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--redis", required=True, metavar="URL", help="address of an empty Redis")
    parser.add_argument("--runs", type=int, default=200, metavar="N")
    given = parser.parse_args()
    requests = workload(given.runs)
    cold = asyncio.run(measure(requests, given.redis, ahead=False, results=False))
    warm = asyncio.run(measure(requests, given.redis, ahead=True, results=False))
    both = asyncio.run(measure(requests, given.redis, ahead=False, results=True))
    print(f"{given.runs} requests, {len(set(requests))} of {len(distinct_requests())} distinct ones among them\n")
    print("| cache | lookups | from memory | from Redis | coalesced | misses | hit rate |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    print(row("data, cold", cold["data"]))
    print(row("data, popular shares asked for ahead", warm["data"]))
    print(row("decisions (`result_cache`), cold", both["decisions"]))
    print(row("data below cached decisions, cold", both["data"]))
    made, took = warm["ahead"]
    print(f"\nAsking ahead: {made} answers in {took:.1f} s, eight at a time.")


if __name__ == "__main__":
    main()
