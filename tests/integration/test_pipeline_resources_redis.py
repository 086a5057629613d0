"""A run's shared store in a real Redis: empty for each run, gone afterwards, and done without where Redis is away."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import redis
from support.redis_server import RedisServer, redis_server

from spanwise.errors import InputError, UnavailableError
from spanwise_pipeline import Cache, Flags, Outcome, Published, SharedStore, System, SystemContext
from spanwise_pipeline.experiment import check_redis
from spanwise_pipeline.runner import RunPlan, run_once

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.servers, pytest.mark.usefixtures("isolated_provider")]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as running:
        yield running


@dataclasses.dataclass(frozen=True, slots=True)
class NoFlags(Flags):
    """None."""


async def look_up(context: SystemContext, _flags: Any) -> Outcome:
    """Two caches one above the other's store; the second one finds what the first one made."""
    made: list[int] = []

    async def make() -> str:
        made.append(1)
        return "value"

    for _ in range(2):
        cache: Cache[str] = Cache("notes", capacity=1, ttl=60, clock=context.clock, store=context.store("fund"))
        assert await cache.get({"note": 1}, make) == "value"
    return Outcome({"made": len(made)}, {}, "A+", 100.0)


def plan(address: str, run: Any = look_up) -> RunPlan:
    system = System(
        name="toy", title="A toy", run=run, flags=NoFlags, presets={"only": NoFlags()}, profile=Path("none.yaml"),
        published={}, targets=Published(), needs=lambda _flags: (SharedStore("fund"),),
    )  # fmt: skip
    return RunPlan(system, "only", NoFlags(), 1, 1.0, None, base_url="http://127.0.0.1:9/v1", redis=address)


def made(plan: RunPlan) -> int:
    report = asyncio.run(run_once(plan))
    assert report.error is None
    assert report.outcome is not None
    count: int = report.outcome.answer["made"]
    return count


def test_each_run_finds_the_store_empty_and_leaves_no_key(server: RedisServer) -> None:
    assert [made(plan(server.url)) for _ in range(2)] == [1, 1]

    with redis.Redis.from_url(server.url) as client:
        assert client.dbsize() == 0


def test_a_redis_that_goes_away_in_the_middle_costs_a_second_making_and_nothing_else(server: RedisServer) -> None:
    async def lose_it(context: SystemContext, flags: Any) -> Outcome:
        server.kill()
        return await look_up(context, flags)

    assert made(plan(server.url, lose_it)) == 2


def test_an_address_where_no_redis_answers_is_told_before_anything_runs(server: RedisServer) -> None:
    check_redis(server.url)
    server.kill()

    with pytest.raises(UnavailableError, match=rf"no Redis answers at 127.0.0.1:{server.port} \(.*\); start it, or"):
        check_redis(server.url.replace("redis://", "redis://user:hidden@"))
    with pytest.raises(InputError, match=r"--redis: .*; give an address such as redis://127.0.0.1:6379/0"):
        check_redis("http://127.0.0.1:1")
