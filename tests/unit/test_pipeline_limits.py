from __future__ import annotations

import asyncio

import pytest

import spanwise
from spanwise.testing import capture, run_virtual
from spanwise_pipeline import ConcurrencyLimit, LimitStatistics


async def hold(limit: ConcurrencyLimit, name: str, seconds: float, order: list[tuple[str, float]]) -> None:
    with spanwise.step(name):
        async with limit.slot():
            order.append((name, asyncio.get_running_loop().time()))
            await asyncio.sleep(seconds)


def test_places_are_given_first_come_first_served() -> None:
    limit = ConcurrencyLimit("model", 2)
    order: list[tuple[str, float]] = []

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            for name, seconds in (("a", 5.0), ("b", 1.0), ("c", 1.0), ("d", 1.0)):
                group.create_task(hold(limit, name, seconds, order))

    run_virtual(main)

    assert order == [("a", 0.0), ("b", 0.0), ("c", 1.0), ("d", 2.0)]


def test_statistics_and_repr_say_how_the_limit_stands() -> None:
    limit = ConcurrencyLimit("model", 2)
    seen: list[tuple[LimitStatistics, str]] = []

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            for n in range(5):
                group.create_task(hold(limit, str(n), 1.0, []))
            await asyncio.sleep(0.5)
            seen.append((limit.statistics(), repr(limit)))

    run_virtual(main)

    def reading(*, in_use: int, waiting: int) -> LimitStatistics:
        return LimitStatistics("model", capacity=2, in_use=in_use, waiting=waiting, peak_in_use=2, waits=3)

    assert seen == [(reading(in_use=2, waiting=3), "<ConcurrencyLimit model: 2/2 with 3 waiting>")]
    assert (limit.statistics(), repr(limit)) == (reading(in_use=0, waiting=0), "<ConcurrencyLimit model: 0/2>")


def test_a_wait_is_a_span_below_the_waiter_linked_to_whoever_gave_the_place_up() -> None:
    limit = ConcurrencyLimit("model", 1)

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            for name in ("first", "second"):
                group.create_task(hold(limit, name, 1.0, []))

    with capture() as spans:
        run_virtual(main)
    names = {span["span_id"]: span["name"] for span in spans()}
    waits = [span for span in spans() if span["name"] == "wait model"]

    assert [names[span["parent_id"]] for span in waits] == ["step second"]
    assert waits[0]["attributes"] == {"spanwise.wait.kind": "concurrency", "spanwise.wait.resource": "model"}
    assert [(names[linked], why) for linked, why in waits[0]["links"]] == [
        ("step first", {"spanwise.link.reason": "waits_on"})
    ]


def test_who_does_not_wait_has_no_wait_span() -> None:
    limit = ConcurrencyLimit("model", 1)

    with capture() as spans:
        run_virtual(lambda: hold(limit, "only", 1.0, []))

    assert [span["name"] for span in spans()] == ["step only"]


def test_a_cancelled_waiter_leaves_the_queue() -> None:
    limit = ConcurrencyLimit("model", 1)
    order: list[tuple[str, float]] = []

    async def main() -> None:
        first, second, third = (asyncio.create_task(hold(limit, name, 2.0, order)) for name in ("1", "2", "3"))
        await asyncio.sleep(1)
        second.cancel()
        await asyncio.wait([second])
        assert limit.statistics().waiting == 1
        await asyncio.gather(first, third)

    run_virtual(main)

    assert order == [("1", 0.0), ("3", 2.0)]
    assert (limit.statistics().in_use, limit.statistics().waiting) == (0, 0)


def test_a_place_handed_to_a_waiter_that_is_cancelled_in_the_same_turn_goes_on_to_the_next() -> None:
    limit = ConcurrencyLimit("model", 1)
    order: list[tuple[str, float]] = []

    async def main() -> None:
        release = asyncio.Event()

        async def holder() -> None:
            with spanwise.step("holder"):
                async with limit.slot():
                    await release.wait()

        async def cancel_beside_the_release(victim: asyncio.Task[None]) -> None:
            await release.wait()
            victim.cancel()

        first = asyncio.create_task(holder())
        await asyncio.sleep(0)
        second, third = (asyncio.create_task(hold(limit, name, 1.0, order)) for name in ("2", "3"))
        await asyncio.sleep(0)
        beside = asyncio.create_task(cancel_beside_the_release(second))
        await asyncio.sleep(0)
        release.set()
        await asyncio.wait([first, second, third, beside])
        assert second.cancelled()

    with capture() as spans:
        run_virtual(main)
    names = {span["span_id"]: span["name"] for span in spans()}
    releasers = [names[link] for span in spans() if span["name"] == "wait model" for link, _ in span["links"]]

    assert order == [("3", 0.0)]
    assert limit.statistics().in_use == 0
    assert releasers == ["step holder"]


def test_a_place_is_given_back_when_its_holder_fails() -> None:
    limit = ConcurrencyLimit("model", 1)

    async def fail() -> None:
        async with limit.slot():
            raise LookupError

    with pytest.raises(LookupError):
        run_virtual(fail)

    assert limit.statistics().in_use == 0


def test_any_mix_of_holding_and_cancelling_ends_with_every_place_free() -> None:
    limit = ConcurrencyLimit("model", 3)
    most: list[int] = []

    async def worker(n: int) -> None:
        async with limit.slot():
            most.append(limit.statistics().in_use)
            await asyncio.sleep(1 + n % 3)

    async def main() -> None:
        tasks = [asyncio.create_task(worker(n)) for n in range(60)]
        for n, task in enumerate(tasks):
            if n % 4 == 1:
                asyncio.get_running_loop().call_later(n % 7, task.cancel)
        await asyncio.gather(*tasks, return_exceptions=True)

    run_virtual(main)

    assert max(most) == 3
    assert (limit.statistics().in_use, limit.statistics().waiting) == (0, 0)


def test_a_capacity_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="limit 'model' needs a capacity of at least 1, this is 0"):
        ConcurrencyLimit("model", 0)
