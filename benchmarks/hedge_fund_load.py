"""How many users `hedge_fund` serves at once, with 95 % of their requests answered within 15 s.

    python benchmarks/hedge_fund_load.py             # on a virtual clock, under the limits of the profile
    python benchmarks/hedge_fund_load.py --real 10   # and 10 users in real time: seconds, and this program's processor

Each user asks one request after another, without a pause, drawn from the workload of `hedge_fund_workload.py`. All
share one fund, its caches and the models' limits. The caches are empty at first.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from typing import TYPE_CHECKING, Final

from hedge_fund_workload import workload

from spanwise.config import strict_yaml
from spanwise.testing import run_virtual
from spanwise_pipeline import Clock, Resources, SystemContext
from spanwise_pipeline.in_process import InProcessTransport
from spanwise_pipeline.provider.app import create_app
from spanwise_pipeline.provider.profile import Profile
from spanwise_pipeline.provider_process import ProviderProcess
from spanwise_pipeline.systems.hedge_fund import SYSTEM
from spanwise_pipeline.systems.hedge_fund.fund import Fund

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx2

    from spanwise_pipeline.systems.hedge_fund.window import Request

PATIENCE: Final = 15.0
REQUESTS_EACH: Final = 4
MOST_USERS: Final = 200
PRESETS: Final = ("baseline", "phase1", "phase2", "phase3", "published", "optimized")


async def serve(
    preset: str, users: int, base_url: str, transport: Callable[[bool], httpx2.AsyncBaseTransport] | None
) -> list[float]:
    """Serve `users` at once; returns the seconds of each request, shortest first."""
    clock, flags = Clock(), SYSTEM.presets[preset]
    async with Resources(SYSTEM.name, SYSTEM.needs(flags), clock=clock) as resources:
        context = SystemContext(
            base_url=base_url, api_key="any", clock=clock, seed=None, label_requests=False,
            publish=lambda _agent, _text: None, resources=resources, transport=transport,
        )  # fmt: skip
        fund = Fund(context, flags)
        drawn = workload(users * REQUESTS_EACH)
        taken: list[float] = []

        async def use(requests: list[Request]) -> None:
            for request in requests:
                began = clock.now()
                await fund.decide(request)
                taken.append(clock.now() - began)

        await asyncio.gather(*(use(drawn[user::users]) for user in range(users)))
        await fund.close()
    return sorted(taken)


def p95(seconds: list[float]) -> float:
    """Return the 95th percentile of sorted values."""
    return seconds[min(int(0.95 * len(seconds)), len(seconds) - 1)]


def virtual(preset: str, users: int) -> list[float]:
    """Serve `users` on a virtual clock, with the limits of the profile."""
    app = create_app(strict_yaml.load(SYSTEM.profile, Profile))

    def transport(pooled: bool) -> httpx2.AsyncBaseTransport:  # noqa: FBT001 - what `SystemContext` calls it with
        return InProcessTransport(app, pooled=pooled)

    return run_virtual(lambda: serve(preset, users, "http://in-process/v1", transport))[0]


def most_users(preset: str) -> int:
    """Return how many users are served within `PATIENCE`, found by halving."""
    low, high = 0, 1
    while high <= MOST_USERS and p95(virtual(preset, high)) <= PATIENCE:
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        if p95(virtual(preset, middle)) <= PATIENCE:
            low = middle
        else:
            high = middle
    return low


async def real(preset: str, users: int) -> tuple[list[float], float]:
    """Serve `users` in real time; returns the seconds of each request, and the share of one core that this took."""
    profile = strict_yaml.load(SYSTEM.profile, Profile)
    async with ProviderProcess(profile, 1.0) as provider:
        began, used = time.perf_counter(), time.process_time()
        seconds = await serve(preset, users, provider.base_url, None)
        return seconds, (time.process_time() - used) / (time.perf_counter() - began)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=int, metavar="USERS", help="also serve so many users in real time")
    parser.add_argument("--preset", action="append", choices=PRESETS, help="only this one; repeatable")
    given = parser.parse_args()
    print("| preset | one user, 95 % within | users with 95 % within 15 s | then, 95 % within |")
    print("| --- | ---: | ---: | ---: |")
    for preset in given.preset or PRESETS:
        users = most_users(preset)
        then = f"{p95(virtual(preset, users)):.1f} s" if users else ""
        print(f"| `{preset}` | {p95(virtual(preset, 1)):.1f} s | {users} | {then} |", flush=True)
    if given.real:
        seconds, share = asyncio.run(real("optimized", given.real))
        print(
            f"\n`optimized`, {given.real} users in real time: 95 % within {p95(seconds):.1f} s, "
            f"{100 * share:.0f} % of one core for the client."
        )


if __name__ == "__main__":
    main()
