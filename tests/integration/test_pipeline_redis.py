"""Caches in a real Redis: shared by processes, made once, and served from memory and the source where Redis is away."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
import redis
from support.redis_server import RedisServer, redis_server
from support.servers import eventually

from spanwise_pipeline import Cache, Clock, RedisStore

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from pathlib import Path

pytestmark = pytest.mark.servers
A = {"ticker": "A"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as running:
        yield running


def with_store(url: str, main: Callable[[RedisStore], Coroutine[Any, Any, Any]], **settings: Any) -> Any:
    async def run() -> Any:
        store = RedisStore(url, prefix=f"test-{time.time_ns()}:", **settings)
        try:
            return await main(store)
        finally:
            await store.close()

    return asyncio.run(run())


def cached(store: RedisStore, name: str = "market", **settings: Any) -> Cache[Any]:
    return Cache(name, clock=Clock(), store=store, **{"capacity": 4096, "ttl": 60.0, **settings})


async def fetched() -> str:
    await asyncio.sleep(0.02)
    return "27.95 ä"


def test_what_one_cache_made_another_finds(server: RedisServer) -> None:
    async def main(store: RedisStore) -> list[Any]:
        first, second = cached(store), cached(store)
        values = [await first.get(A, fetched), await second.get(A, fetched)]
        return [*values, second.statistics().shared_hits, second.statistics().store_errors]

    assert with_store(server.url, main) == ["27.95 ä", "27.95 ä", 1, 0]


def test_a_hundred_lookups_of_one_turn_are_one_round_trip(server: RedisServer) -> None:
    async def main(store: RedisStore) -> tuple[int, int]:
        for number in range(0, 100, 2):
            await store.set(str(number), b"x", 60.0)
        client: Any = store._client
        before = (await client.info("commandstats"))["cmdstat_mget"]["calls"] if await seen(client) else 0
        found = await asyncio.gather(*(store.get(str(number)) for number in range(100)))
        after = (await client.info("commandstats"))["cmdstat_mget"]["calls"]
        return after - before, sum(one is not None for one in found)

    async def seen(client: Any) -> bool:
        return "cmdstat_mget" in await client.info("commandstats")

    assert with_store(server.url, main) == (1, 50)


def test_entries_leave_redis_when_their_time_is_over(server: RedisServer) -> None:
    async def main(store: RedisStore) -> list[int]:
        cache = cached(store, ttl=0.3, stale=0.2)
        await cache.get(A, fetched)
        client: Any = store._client
        [key] = [key async for key in client.scan_iter(match=f"{store._prefix}*")]
        left = await client.pttl(key)
        await asyncio.sleep(0.6)
        return [400 < left <= 500, await client.exists(key)]

    assert with_store(server.url, main) == [True, 0]


def test_clearing_forgets_this_cache_s_entries_and_no_others(server: RedisServer) -> None:
    async def main(store: RedisStore) -> list[int]:
        market, other = cached(store, patience=30.0), cached(store, "market*", patience=30.0)
        await asyncio.gather(*(market.get({"n": number}, fetched) for number in range(1200)))
        await other.get(A, fetched)
        assert await other.clear()
        client: Any = store._client
        kept = len([key async for key in client.scan_iter(match=f"{store._prefix}*", count=1000)])
        assert await market.clear()
        return [kept, len([key async for key in client.scan_iter(match=f"{store._prefix}*", count=1000)])]

    assert with_store(server.url, main, timeout=30.0) == [1200, 0]


MAKER = """
import asyncio, json, sys
from spanwise_pipeline import Cache, Clock, RedisStore

async def main():
    store = RedisStore(sys.argv[1], prefix=sys.argv[2])
    cache = Cache("market", capacity=64, ttl=60.0, clock=Clock(), store=store, lease=1.0)
    made = 0
    async def load(n):
        nonlocal made
        made += 1
        await asyncio.sleep(2.5)
        return n
    print("ready", flush=True)
    sys.stdin.readline()
    values = await asyncio.gather(*(cache.get({"n": n % 4}, lambda n=n: load(n % 4)) for n in range(40)))
    await store.close()
    print(json.dumps({"made": made, "right": values == [n % 4 for n in range(40)]}))

asyncio.run(main())
"""


def started(server: RedisServer, prefix: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", MAKER, server.url, prefix], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_four_processes_that_ask_at_once_make_each_value_once(server: RedisServer) -> None:
    prefix = f"test-{time.time_ns()}:"
    processes = [started(server, prefix) for _ in range(4)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    told = [json.loads(process.communicate(timeout=60)[0]) for process in processes]

    assert sum(one["made"] for one in told) == 4  # although making takes longer than a lease
    assert all(one["right"] for one in told)


def test_a_maker_that_is_killed_loses_its_lease(server: RedisServer) -> None:
    prefix = f"test-{time.time_ns()}:"
    killed, next_one = started(server, prefix), started(server, prefix)
    assert killed.stdin is not None
    killed.stdin.write("\n")
    killed.stdin.flush()
    client: Any = redis.Redis.from_url(server.url)
    leases = eventually(lambda: client.keys(f"{prefix}*lease"), lambda found: len(found) == 4)
    client.close()
    assert len(leases) == 4
    killed.kill()
    killed.communicate()
    told = json.loads(next_one.communicate("\n", timeout=60)[0])

    assert told == {"made": 4, "right": True}


def test_redis_that_is_killed_in_the_middle_fails_nobody_and_is_used_again(tmp_path: Path) -> None:
    with redis_server(tmp_path) as own:

        async def main(store: RedisStore) -> list[Any]:
            cache = cached(store, patience=0.2)
            values = [await cache.get({"n": 0}, fetched)]
            own.kill()
            values += [await cache.get({"n": number}, fetched) for number in range(30)]
            errors = cache.statistics().store_errors
            own.start()
            await asyncio.sleep(1.1)
            values.append(await cache.get({"n": 99}, fetched))
            again = cached(store, patience=0.2)
            values.append(await again.get({"n": 99}, fetched))
            return [set(values), errors >= 1, again.statistics().shared_hits]

        assert with_store(own.url, main, timeout=0.5) == [{"27.95 ä"}, True, 1]


def test_redis_that_is_nowhere_fails_nobody(tmp_path: Path) -> None:
    async def main(store: RedisStore) -> list[Any]:
        cache = cached(store, patience=0.2)
        values = [await cache.get(A, fetched), await cache.get(A, fetched), cache.statistics().store_errors]
        return [*values, await cache.invalidate(A)]

    assert with_store(RedisServer(tmp_path).url, main, timeout=0.2) == ["27.95 ä", "27.95 ä", 1, False]


def test_callers_that_are_cancelled_at_random_lose_nothing_for_the_others(server: RedisServer) -> None:
    async def main(store: RedisStore) -> list[Any]:
        draw = random.Random(7)
        cache = cached(store, patience=10.0)

        async def patient(number: int) -> Any:
            return await cache.get({"n": number % 5}, fetched)

        tasks = [asyncio.create_task(patient(number)) for number in range(200)]
        for _ in range(40):
            await asyncio.sleep(draw.random() * 0.002)
            draw.choice(tasks).cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        wrong = [one for one in done if one != "27.95 ä" and not isinstance(one, asyncio.CancelledError)]
        return [wrong, len(asyncio.all_tasks()) - 1 <= 1, cache.statistics().store_errors]

    assert with_store(server.url, main) == [[], True, 0]


def zipf(draw: random.Random, count: int, exponent: float = 1.1) -> list[int]:
    weights = [1.0 / rank**exponent for rank in range(1, 501)]
    return draw.choices(range(500), weights, k=count)


def test_the_hit_rate_on_a_skewed_workload_is_that_of_its_repeats(server: RedisServer) -> None:
    asked = zipf(random.Random(7), 3000)

    async def main(store: RedisStore) -> tuple[float, int]:
        cache = cached(store, patience=10.0)
        for start in range(0, len(asked), 50):
            await asyncio.gather(*(cache.get({"n": n}, fetched) for n in asked[start : start + 50]))
        reading = cache.statistics()
        return reading.hit_rate, reading.misses

    rate, misses = with_store(server.url, main)

    assert misses == len(set(asked))
    assert rate == 1 - misses / len(asked)
    assert rate > 0.8
