"""The cache beyond memory: stale values, bytes, a shared store, one maker among processes, meaning, shadow mode."""

from __future__ import annotations

import asyncio
import hashlib
import os
from typing import TYPE_CHECKING, Any

import pytest

from spanwise.testing import capture, run_virtual
from spanwise_pipeline import (
    Cache,
    Clock,
    JsonCodec,
    LocalStore,
    Reply,
    Semantic,
    ToolCall,
    TypedCodec,
    file_hash,
)

if TYPE_CHECKING:
    from pathlib import Path

A = {"ticker": "A"}
LATENCY = 0.001


class Source:
    """Makes `value 1`, `value 2`, … in two seconds each, and counts them."""

    def __init__(self, clock: Clock, *, seconds: float = 2.0) -> None:
        self._clock = clock
        self._seconds = seconds
        self.made = 0

    async def load(self) -> str:
        self.made += 1
        number = self.made
        await self._clock.sleep(self._seconds)
        return f"value {number}"


def now() -> float:
    return asyncio.get_running_loop().time()


def cached(clock: Clock, **settings: Any) -> Cache[Any]:
    return Cache("market", clock=clock, **{"capacity": 8, "ttl": 300.0, **settings})


def results(spans: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [
        (span["attributes"]["spanwise.cache.tier"], span["attributes"]["spanwise.cache.result"])
        for span in spans
        if span["name"] == "cache_lookup market"
    ]


# Stale while a new value is made


def test_a_stale_value_is_served_at_once_while_one_new_value_is_made() -> None:
    clock = Clock()
    cache, source = cached(clock, ttl=10.0, stale=20.0), Source(clock)

    async def main() -> list[Any]:
        seen: list[Any] = [await cache.get(A, source.load)]
        await asyncio.sleep(11.0)
        began = now()
        seen += [await cache.get(A, source.load) for _ in range(3)]
        seen.append(now() - began)
        await cache.settle()
        seen.append(await cache.get(A, source.load))
        return seen

    with capture() as spans:
        found, _ = run_virtual(main)

    assert found == ["value 1", "value 1", "value 1", "value 1", 0.0, "value 2"]
    assert source.made == 2
    assert [result for _, result in results(spans())] == ["miss", "stale", "stale", "stale", "hit"]
    reading = cache.statistics()
    assert (reading.hits, reading.misses, reading.stale) == (1, 1, 3)
    assert reading.hit_rate == 0.8


def test_a_value_beyond_its_stale_time_is_made_anew() -> None:
    clock = Clock()
    cache, source = cached(clock, ttl=10.0, stale=20.0), Source(clock)

    async def main() -> str:
        await cache.get(A, source.load)
        await asyncio.sleep(31.0)
        return str(await cache.get(A, source.load))

    assert run_virtual(main)[0] == "value 2"
    assert cache.statistics().misses == 2


def test_a_background_value_that_fails_leaves_the_stale_one_and_closing_ends_it() -> None:
    clock = Clock()
    cache, source = cached(clock, ttl=10.0, stale=20.0), Source(clock)

    async def fails() -> str:
        await clock.sleep(1.0)
        raise OSError("away")

    async def main() -> list[Any]:
        await cache.get(A, source.load)
        await asyncio.sleep(11.0)
        seen: list[Any] = [await cache.get(A, fails)]
        await cache.settle()
        seen.append(await cache.get(A, source.load))
        await cache.close()
        seen.append(len(asyncio.all_tasks()))
        return seen

    assert run_virtual(main)[0] == ["value 1", "value 1", 1]


# Bounds


def test_memory_is_bounded_in_bytes() -> None:
    cache = cached(Clock(), capacity=100, max_bytes=100)

    async def main() -> list[int]:
        sizes: list[int] = []
        for number in range(20):
            await cache.get({"n": number}, lambda: text(38))
            sizes.append(cache.statistics().bytes)
        return [*sizes, cache.statistics().entries]

    async def text(length: int) -> str:
        return "x" * length

    sizes, _ = run_virtual(main)

    assert sizes == [40, *[80] * 19, 2]


def test_a_value_larger_than_all_is_handed_out_and_not_kept() -> None:
    cache = cached(Clock(), max_bytes=100)

    async def large() -> str:
        return "x" * 1000

    async def main() -> tuple[int, int]:
        value = await cache.get(A, large)
        return len(value), cache.statistics().entries

    assert run_virtual(main)[0] == (1000, 0)


# A store that processes share


def test_another_process_s_value_is_a_hit_of_the_store_and_then_of_memory() -> None:
    clock = Clock()
    store = LocalStore(clock, latency=LATENCY)
    first, second = cached(clock, store=store), cached(clock, store=store)
    source = Source(clock)

    async def main() -> list[str]:
        values = [await first.get(A, source.load, tokens_of=len)]
        await asyncio.sleep(100.0)
        return values + [await second.get(A, source.load) for _ in range(2)]

    with capture() as spans:
        found, _ = run_virtual(main)

    assert (found, source.made) == (["value 1"] * 3, 1)
    assert results(spans()) == [("memory", "miss"), ("store", "hit"), ("memory", "hit")]
    shared = [span["attributes"] for span in spans() if span["attributes"].get("spanwise.cache.tier") == "store"]
    assert shared[0]["spanwise.cache.age"] == pytest.approx(100.0, abs=0.1)
    assert shared[0]["spanwise.cache.saved_seconds"] == pytest.approx(2.0)
    assert shared[0]["spanwise.cache.saved_tokens"] == 7
    assert (second.statistics().hits, second.statistics().shared_hits) == (2, 1)


@pytest.mark.parametrize("speed", [1.0, 20.0])
def test_a_value_from_the_store_keeps_its_age(speed: float) -> None:
    clock = Clock(speed)
    store = LocalStore(clock)
    first, second = cached(clock, store=store, ttl=100.0), cached(clock, store=store, ttl=100.0)
    source = Source(clock)

    async def main() -> list[str]:
        await first.get(A, source.load)
        await clock.sleep(90.0)
        values = [await second.get(A, source.load)]
        await clock.sleep(20.0)
        return [*values, await second.get(A, source.load)]

    assert run_virtual(main)[0] == ["value 1", "value 2"]


def test_processes_that_ask_at_once_make_a_value_once() -> None:
    clock = Clock()
    store = LocalStore(clock, latency=LATENCY)
    caches = [cached(clock, store=store, lease=1.0) for _ in range(5)]
    source = Source(clock, seconds=10.0)

    async def main() -> set[str]:
        return set(await asyncio.gather(*(cache.get(A, source.load) for cache in caches for _ in range(3))))

    found, seconds = run_virtual(main)

    assert (found, source.made) == ({"value 1"}, 1)
    assert seconds == pytest.approx(10.0, abs=0.3)


def test_a_value_whose_maker_fell_silent_is_made_by_the_next() -> None:
    clock = Clock()
    store = LocalStore(clock, latency=LATENCY)
    cache, source = cached(clock, store=store, lease=5.0), Source(clock)

    async def main() -> str:
        key = await dead_maker(store)
        assert key
        return str(await cache.get(A, source.load))

    async def dead_maker(store: LocalStore) -> str | None:
        from spanwise_pipeline.caches.keys import key_of  # noqa: PLC0415 - of this test alone

        return await store.lease(f"market:{key_of(A)}:lease", 5.0)

    found, seconds = run_virtual(main)

    assert found == "value 1"
    assert 5.0 < seconds < 5.0 + 2.0 + 0.5


def test_a_maker_that_is_cancelled_or_fails_gives_its_lease_up() -> None:
    clock = Clock()
    store = LocalStore(clock, latency=LATENCY)
    first, second = cached(clock, store=store, lease=600.0), cached(clock, store=store, lease=600.0)
    source = Source(clock)

    async def fails() -> str:
        raise OSError("away")

    async def main() -> str:
        task = asyncio.create_task(first.get(A, source.load))
        await asyncio.sleep(1.0)
        task.cancel()
        await asyncio.wait([task])
        with pytest.raises(OSError, match="away"):
            await first.get(A, fails)
        return str(await second.get(A, source.load))

    found, seconds = run_virtual(main)

    assert found == "value 2"
    assert seconds == pytest.approx(3.0, abs=0.3)


class Broken(LocalStore):
    """A store that fails or hangs from a moment on."""

    def __init__(self, clock: Clock, *, hangs: bool) -> None:
        super().__init__(clock, latency=LATENCY)
        self._hangs = hangs
        self.broken = False
        self.asked = 0

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name not in {"get", "set", "delete", "clear", "lease", "renew", "release"} or not self.broken:
            return found

        async def fail(*_: Any) -> Any:
            self.asked += 1
            if self._hangs:
                await asyncio.sleep(3600.0)
            raise ConnectionError("the store is away")

        return fail


@pytest.mark.parametrize("hangs", [False, True])
def test_a_store_that_is_away_or_slow_costs_little_and_fails_nobody(*, hangs: bool) -> None:
    clock = Clock()
    store = Broken(clock, hangs=hangs)
    cache, source = cached(clock, store=store, patience=0.1), Source(clock, seconds=0.0)

    async def main() -> list[str]:
        values = [await cache.get({"n": 0}, source.load)]
        store.broken = True
        values += [await cache.get({"n": number}, source.load) for number in range(20)]
        store.broken = False
        await asyncio.sleep(2.0)
        return [*values, await cache.get({"n": 21}, source.load)]

    found, seconds = run_virtual(main)

    assert found == ["value 1", "value 1", *(f"value {n}" for n in range(2, 21)), "value 21"]
    assert (cache.statistics().store_errors, store.asked) == (1, 1)
    assert seconds < 2.5


def test_bytes_of_another_program_are_as_if_they_were_not_there() -> None:
    clock = Clock()
    store = LocalStore(clock)
    cache, source = cached(clock, store=store), Source(clock)

    async def main() -> str:
        from spanwise_pipeline.caches.keys import key_of  # noqa: PLC0415 - of this test alone

        await store.set(f"market:{key_of(A)}", b"\x80 nonsense", 100.0)
        return str(await cache.get(A, source.load))

    assert run_virtual(main)[0] == "value 1"
    assert cache.statistics().store_errors == 1


def test_a_value_that_the_codec_cannot_take_is_handed_out_with_a_warning() -> None:
    clock = Clock()
    cache = cached(clock, store=LocalStore(clock))

    async def odd() -> object:
        return {1, 2}

    async def main() -> list[Any]:
        return [await cache.get(A, odd) for _ in range(2)]

    with pytest.warns(RuntimeWarning, match="cache 'market' cannot share a value: .* give it a codec"):
        assert run_virtual(main)[0] == [{1, 2}, {1, 2}]


def test_typed_values_come_back_as_they_were() -> None:
    reply = Reply("text", (ToolCall("a", "weather", {"city": "Paris"}),), "stop", 12, 3, cached_tokens=8)
    codec = TypedCodec(Reply)

    assert codec.decode(codec.encode(reply)) == reply
    with pytest.raises(ValueError, match="Expected"):
        codec.decode(b'{"text": 1}')
    assert JsonCodec().decode(JsonCodec().encode({"a": ["ä", 1.5, None]})) == {"a": ["ä", 1.5, None]}


# Forgetting on purpose, and making before it is asked for


def test_an_invalidated_value_is_gone_from_every_tier() -> None:
    clock = Clock()
    store = LocalStore(clock)
    first, second = cached(clock, store=store), cached(clock, store=store)
    source = Source(clock)

    async def main() -> list[str]:
        await first.get(A, source.load)
        await first.get({"ticker": "B"}, source.load)
        await first.invalidate(A)
        return [await second.get(A, source.load), await second.get({"ticker": "B"}, source.load)]

    assert run_virtual(main)[0] == ["value 3", "value 2"]


def test_a_value_that_is_invalidated_while_it_is_made_is_handed_out_and_not_kept() -> None:
    clock = Clock()
    cache, source = cached(clock, store=LocalStore(clock)), Source(clock)

    async def main() -> list[str]:
        task = asyncio.create_task(cache.get(A, source.load))
        await asyncio.sleep(1.0)
        await cache.invalidate(A)
        return [await task, await cache.get(A, source.load)]

    assert run_virtual(main)[0] == ["value 1", "value 2"]


def test_a_cleared_cache_has_nothing_in_any_tier_and_others_keep_theirs() -> None:
    clock = Clock()
    store = LocalStore(clock)
    market, source = cached(clock, store=store), Source(clock)
    other: Cache[str] = Cache("other", capacity=8, ttl=300.0, clock=clock, store=store)

    async def main() -> list[str]:
        await market.get(A, source.load)
        await other.get(A, source.load)
        await market.clear()
        fresh: Cache[str] = Cache("other", capacity=8, ttl=300.0, clock=clock, store=store)
        return [await market.get(A, source.load), await fresh.get(A, source.load)]

    assert run_virtual(main)[0] == ["value 3", "value 2"]


def test_values_are_made_before_they_are_asked_for_and_only_those_that_are_missing() -> None:
    clock = Clock()
    cache, source = cached(clock, capacity=64), Source(clock)

    async def main() -> list[Any]:
        await cache.get({"n": 0}, source.load)
        wanted = [({"n": number}, source.load) for number in range(9)]
        began = now()
        made = await cache.precompute(wanted, at_once=4)
        again = await cache.precompute(wanted, at_once=4)
        return [made, again, now() - began, cache.statistics().misses]

    assert run_virtual(main)[0] == [8, 0, 4.0, 1]


def test_what_cannot_be_made_before_is_told_and_the_rest_is_made() -> None:
    clock = Clock()
    cache, source = cached(clock), Source(clock)

    async def fails() -> str:
        raise OSError("away")

    async def main() -> int:
        with pytest.raises(ExceptionGroup, match="1 of 3 values of cache 'market' were not made"):
            await cache.precompute([({"n": 1}, source.load), ({"n": 2}, fails), ({"n": 3}, source.load)])
        return cache.statistics().entries

    assert run_virtual(main)[0] == 2


# Shadow mode


def test_shadow_mode_serves_nothing_and_predicts_hits_and_wrong_ones() -> None:
    clock = Clock()
    cache = cached(clock, shadow=True)
    values = {"steady": ["s"] * 5, "moving": list("abcde")}

    async def main() -> list[str]:
        seen: list[str] = []
        for number in range(5):
            for name in values:

                async def load(name: str = name, number: int = number) -> str:
                    return values[name][number]

                seen.append(await cache.get({"name": name}, load))
        return seen

    with capture() as spans:
        found, _ = run_virtual(main)

    assert found == ["s", "a", "s", "b", "s", "c", "s", "d", "s", "e"]
    reading = cache.statistics()
    assert (reading.bypassed, reading.shadow_hits, reading.shadow_wrong) == (10, 8, 4)
    assert (reading.predicted_hit_rate, reading.hits, reading.hit_rate) == (0.8, 0, 0.0)
    assert {result for _, result in results(spans())} == {"bypass"}


# By meaning


VECTORS = {"price of MSFT": [1.0, 0.0], "MSFT price": [0.99, 0.05], "news on MSFT": [0.0, 1.0]}


async def embed(text: str) -> list[float]:
    if text not in VECTORS:
        raise ValueError("no vector")
    return VECTORS[text]


def by_meaning(clock: Clock, **settings: Any) -> Cache[Any]:
    semantic = Semantic(embed, threshold=0.95, text_of=lambda inputs: str(inputs["question"]), **settings)
    return cached(clock, semantic=semantic)


def test_a_question_that_means_the_same_is_a_hit_by_meaning() -> None:
    clock = Clock()
    cache, source = by_meaning(clock), Source(clock)

    async def main() -> list[str]:
        return [await cache.get({"question": question}, source.load) for question in VECTORS]

    with capture() as spans:
        found, _ = run_virtual(main)

    assert found == ["value 1", "value 1", "value 2"]
    kinds = [span["attributes"]["spanwise.cache.kind"] for span in spans()]
    assert kinds == ["exact", "semantic", "exact"]
    assert (cache.statistics().hits, cache.statistics().semantic_hits) == (1, 1)


def test_inputs_that_must_be_the_same_are_not_judged_by_meaning() -> None:
    clock = Clock()
    cache, source = by_meaning(clock, same=("day",)), Source(clock)

    async def main() -> list[str]:
        asked = [("price of MSFT", 1), ("MSFT price", 2), ("MSFT price", 1)]
        return [await cache.get({"question": question, "day": day}, source.load) for question, day in asked]

    assert run_virtual(main)[0] == ["value 1", "value 2", "value 1"]


def test_without_an_embedding_the_lookup_is_a_miss() -> None:
    clock = Clock()
    cache, source = by_meaning(clock), Source(clock)

    async def main() -> str:
        return str(await cache.get({"question": "unheard of"}, source.load))

    assert run_virtual(main)[0] == "value 1"


def test_a_value_that_was_invalidated_is_not_found_by_meaning() -> None:
    clock = Clock()
    cache, source = by_meaning(clock), Source(clock)

    async def main() -> str:
        await cache.get({"question": "price of MSFT"}, source.load)
        await cache.invalidate({"question": "price of MSFT"})
        return str(await cache.get({"question": "MSFT price"}, source.load))

    assert run_virtual(main)[0] == "value 2"


def test_a_threshold_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="threshold must be above 0 and at most 1"):
        Semantic(embed, threshold=1.2)


# Files


def test_a_file_s_hash_follows_its_content_and_is_not_computed_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "prices.csv"
    path.write_bytes(b"one")
    first = file_hash(path)
    read: list[Any] = []
    digest = hashlib.file_digest

    def counting(*given: Any) -> Any:
        read.append(given)
        return digest(*given)

    monkeypatch.setattr(hashlib, "file_digest", counting)

    assert file_hash(str(path)) == first
    assert read == []
    path.write_bytes(b"two")
    os.utime(path, ns=(1, 1))
    assert file_hash(path) != first
    assert len(read) == 1
    with pytest.raises(FileNotFoundError):
        file_hash(tmp_path / "none")
