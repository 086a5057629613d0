from __future__ import annotations

import asyncio
from typing import Any

import pytest

import spanwise
from spanwise.testing import capture, captured_telemetry, run_virtual
from spanwise_pipeline import Cache, CacheStatistics, Clock
from spanwise_pipeline.caches.keys import key_of


class Source:
    """Makes values slowly and counts how often; `error` makes it fail."""

    def __init__(self, clock: Clock, *, seconds: float = 2.0, error: Exception | None = None) -> None:
        self._clock = clock
        self._seconds = seconds
        self.error = error
        self.made = 0
        self.cancelled = 0

    async def load(self) -> str:
        self.made += 1
        number = self.made
        try:
            await self._clock.sleep(self._seconds)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error is not None:
            raise self.error
        return f"value {number}"


def make(*, capacity: int = 8, ttl: float = 300.0, speed: float = 1.0, **source: Any) -> tuple[Cache[str], Source]:
    clock = Clock(speed)
    return Cache("market", capacity=capacity, ttl=ttl, clock=clock), Source(clock, **source)


def counts(cache: Cache[str]) -> tuple[int, int, int]:
    reading = cache.statistics()
    return reading.hits, reading.misses, reading.coalesced


def test_the_second_lookup_is_a_hit_and_takes_no_time() -> None:
    cache, source = make()

    async def main() -> list[str]:
        return [await cache.get({"ticker": "A"}, source.load) for _ in range(3)]

    assert run_virtual(main) == (["value 1"] * 3, 2.0)
    assert (counts(cache), cache.statistics().hit_rate) == ((2, 1, 0), 2 / 3)


def test_statistics_and_repr_say_how_the_cache_stands() -> None:
    cache, source = make(capacity=5)

    async def main() -> tuple[CacheStatistics, str]:
        await cache.get({"ticker": "A"}, source.load)
        return cache.statistics(), repr(cache)

    expected = CacheStatistics("market", capacity=5, entries=1, hits=0, misses=1, coalesced=0)
    assert run_virtual(main)[0] == (expected, f"<Cache market: {expected}>")
    assert make()[0].statistics().hit_rate == 0.0


@pytest.mark.parametrize("speed", [1.0, 20.0])
def test_a_value_lives_for_its_ttl_in_system_time(speed: float) -> None:
    cache, source = make(ttl=300.0, speed=speed)
    clock = Clock(speed)

    async def main() -> list[str]:
        values = [await cache.get({}, source.load)]
        await clock.sleep(299)
        values.append(await cache.get({}, source.load))
        await clock.sleep(2)
        values.append(await cache.get({}, source.load))
        return values

    values, seconds = run_virtual(main)

    assert values == ["value 1", "value 1", "value 2"]
    assert seconds == pytest.approx((2 + 299 + 2 + 2) / speed)


def test_the_least_recently_used_value_makes_room() -> None:
    cache, source = make(capacity=2)

    async def main() -> list[str]:
        tickers = ["A", "B", "A", "C", "A", "B"]
        return [await cache.get({"ticker": ticker}, source.load) for ticker in tickers]

    assert run_virtual(main)[0] == ["value 1", "value 2", "value 1", "value 3", "value 1", "value 4"]
    assert counts(cache) == (2, 4, 0)


def test_callers_at_the_same_time_share_one_making() -> None:
    cache, source = make()

    async def main() -> list[str]:
        return await asyncio.gather(*(cache.get({}, source.load) for _ in range(50)))

    assert run_virtual(main) == (["value 1"] * 50, 2.0)
    assert (source.made, counts(cache), cache.statistics().hit_rate) == (1, (0, 1, 49), 0.98)


def test_cancelling_the_leader_cancels_nobody_else() -> None:
    cache, source = make()

    async def main() -> list[str]:
        leader = asyncio.create_task(cache.get({}, source.load))
        await asyncio.sleep(0.5)
        followers = [asyncio.create_task(cache.get({}, source.load)) for _ in range(3)]
        await asyncio.sleep(0.5)
        leader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leader
        return await asyncio.gather(*followers)

    assert run_virtual(main) == (["value 1"] * 3, 2.0)
    assert (source.made, source.cancelled) == (1, 0)


def test_cancelling_a_follower_cancels_nobody_else() -> None:
    cache, source = make()

    async def main() -> str:
        leader = asyncio.create_task(cache.get({}, source.load))
        await asyncio.sleep(0.5)
        follower = asyncio.create_task(cache.get({}, source.load))
        await asyncio.sleep(0.5)
        follower.cancel()
        with pytest.raises(asyncio.CancelledError):
            await follower
        return await leader

    assert run_virtual(main) == ("value 1", 2.0)
    assert source.cancelled == 0


def test_when_all_are_cancelled_the_making_ends_and_the_next_caller_begins_anew() -> None:
    cache, source = make()

    async def main() -> str:
        callers = [asyncio.create_task(cache.get({}, source.load)) for _ in range(3)]
        await asyncio.sleep(1)
        for caller in callers:
            caller.cancel()
        await asyncio.wait(callers)
        return await cache.get({}, source.load)

    assert run_virtual(main) == ("value 2", 3.0)
    assert (source.made, source.cancelled) == (2, 1)


def test_the_last_caller_to_be_cancelled_waits_until_the_making_has_ended() -> None:
    cache, _ = make()
    ended: list[float] = []

    async def slow_to_end() -> str:
        try:
            await asyncio.sleep(100)
        finally:
            await asyncio.sleep(5)
            ended.append(asyncio.get_running_loop().time())
        return "never"

    async def main() -> set[str]:
        caller = asyncio.create_task(cache.get({}, slow_to_end))
        for _ in range(2):
            await asyncio.sleep(1)
            caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        return {task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()}

    assert run_virtual(main) == (set(), 6.0)
    assert ended == [6.0]


def test_an_error_goes_to_all_who_wait_and_is_not_kept() -> None:
    broken = LookupError("no data")
    cache, source = make(error=broken)

    async def main() -> tuple[list[Any], str]:
        errors = await asyncio.gather(*(cache.get({}, source.load) for _ in range(3)), return_exceptions=True)
        source.error = None
        return errors, await cache.get({}, source.load)

    assert run_virtual(main) == (([broken] * 3, "value 2"), 4.0)


def test_an_error_after_everybody_left_disturbs_nobody() -> None:
    cache, _ = make()

    async def fails_when_cancelled() -> str:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            raise LookupError("while cleaning up") from None
        return "never"

    async def main() -> int:
        caller = asyncio.create_task(cache.get({}, fails_when_cancelled))
        await asyncio.sleep(1)
        caller.cancel()
        await asyncio.wait([caller])
        return cache.statistics().entries

    assert run_virtual(main) == (0, 1.0)


def test_the_key_depends_on_names_and_values_not_on_their_order() -> None:
    assert key_of({"a": 1, "b": [2, 3]}) == key_of({"b": [2, 3], "a": 1})
    assert len({key_of({"a": 1}), key_of({"a": 2}), key_of({"b": 1}), key_of({"a": "1"}), key_of({})}) == 5
    assert len(key_of({"ticker": "é"})) == 64


def test_what_is_not_named_as_an_input_cannot_spoil_the_key() -> None:
    cache, _ = make()

    async def fetch(request_id: int) -> str:
        async def load() -> str:
            return f"made for request {request_id}"

        return await cache.get({"ticker": "A"}, load)

    async def main() -> list[str]:
        return [await fetch(request_id) for request_id in range(3)]

    assert run_virtual(main)[0] == ["made for request 0"] * 3


def lookups(spans: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [span for span in spans if span["name"] == "cache_lookup market"]


def test_a_lookup_is_a_span_that_says_how_it_ended() -> None:
    cache, source = make(ttl=300.0, speed=20.0)

    async def main() -> None:
        await cache.get({"ticker": "A"}, source.load, tokens_of=len)
        await Clock(20.0).sleep(40)
        await cache.get({"ticker": "A"}, source.load, tokens_of=len)

    with capture() as spans:
        run_virtual(main)
    common = {
        "spanwise.cache.name": "market",
        "spanwise.cache.tier": "memory",
        "spanwise.cache.kind": "exact",
        "spanwise.cache.key_hash": key_of({"ticker": "A"})[:16],
        "spanwise.cache.ttl": 15.0,
    }

    miss, hit = (span["attributes"] for span in lookups(spans()))
    assert miss == {**common, "spanwise.cache.result": "miss"}
    assert hit == {
        **common,
        "spanwise.cache.result": "hit",
        "spanwise.cache.age": pytest.approx(2.0),
        "spanwise.cache.saved_seconds": pytest.approx(0.1),
        "spanwise.cache.saved_tokens": 7,
    }


def test_who_waits_for_another_one_s_making_has_a_wait_linked_to_it() -> None:
    cache, source = make()

    async def caller(name: str) -> None:
        with spanwise.tool(name):
            await cache.get({}, source.load)

    async def main() -> None:
        await asyncio.gather(caller("leader"), caller("follower"))

    with capture() as spans:
        run_virtual(main)
    names = {span["span_id"]: span["name"] for span in spans()}
    waits = [span for span in spans() if span["name"] == "wait market"]

    assert [span["attributes"]["spanwise.cache.result"] for span in lookups(spans())] == ["miss", "coalesced"]
    assert [names[span["parent_id"]] for span in waits] == ["execute_tool follower"]
    assert [names[link] for span in waits for link, _ in span["links"]] == ["execute_tool leader"]
    assert waits[0]["attributes"]["spanwise.wait.kind"] == "future"


def test_the_making_s_spans_lie_below_the_caller_and_not_below_the_lookup() -> None:
    cache, _ = make()

    async def load() -> str:
        with spanwise.step("fetch"):
            return "value"

    async def main() -> None:
        with spanwise.tool("prices"):
            await cache.get({}, load)

    with capture() as spans:
        run_virtual(main)
    names = {span["span_id"]: span["name"] for span in spans()}

    parents = {span["name"]: names.get(span["parent_id"]) for span in spans()}
    assert parents == {
        "execute_tool prices": None,
        "cache_lookup market": "execute_tool prices",
        "step fetch": "execute_tool prices",
    }


def test_lookups_are_counted_by_result_with_what_they_saved() -> None:
    cache, source = make()

    async def main() -> None:
        await asyncio.gather(*(cache.get({}, source.load, tokens_of=len) for _ in range(3)))
        await cache.get({}, source.load, tokens_of=len)

    with captured_telemetry() as (telemetry, _):
        run_virtual(main)
        assert telemetry.metrics is not None
        samples = [sample for family in telemetry.metrics.registry.collect() for sample in family.samples]

    found = {
        (sample.name, sample.labels.get("spanwise_cache_result")): sample.value
        for sample in samples
        if sample.name.startswith("spanwise_cache_") and sample.name.endswith("_total")
    }
    assert found == {
        ("spanwise_cache_lookups_total", "miss"): 1.0,
        ("spanwise_cache_lookups_total", "coalesced"): 2.0,
        ("spanwise_cache_lookups_total", "hit"): 1.0,
        ("spanwise_cache_saved_seconds_total", None): pytest.approx(2.0),
        ("spanwise_cache_saved_tokens_total", None): 7.0,
    }


@pytest.mark.parametrize(("capacity", "ttl"), [(0, 1.0), (1, 0.0)])
def test_a_cache_that_could_keep_nothing_is_refused(capacity: int, ttl: float) -> None:
    with pytest.raises(ValueError, match="cache 'market' needs a capacity of at least 1 and a ttl above 0"):
        Cache("market", capacity=capacity, ttl=ttl, clock=Clock())
