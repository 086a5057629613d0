"""Requests and tokens a minute: order, fairness, what is reserved, what headers teach, and no refusal at saturation."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

import openai
import pytest

import spanwise
from spanwise.testing import capture, run_virtual
from spanwise_pipeline import (
    AdaptiveLimit,
    Clock,
    ConcurrencyLimit,
    ModelClient,
    ModelLimits,
    RateLimit,
    RateStatistics,
    RequestTooLargeError,
    Reserve,
    Retries,
)
from spanwise_pipeline.in_process import InProcessTransport
from spanwise_pipeline.limits.queue import FairQueue
from spanwise_pipeline.limits.reserving import Estimator, counted
from spanwise_pipeline.provider.app import create_app
from spanwise_pipeline.provider.profile import Model, Profile

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


def rate(clock: Clock | None = None, **settings: Any) -> RateLimit:
    return RateLimit("m", clock=clock or Clock(), **{"margin": 1.0, **settings})


def now() -> float:
    return asyncio.get_running_loop().time()


def admitted(limit: RateLimit, *calls: tuple[str, float], runs: tuple[str, ...] = ()) -> dict[str, float]:
    """When each call (name, tokens) is admitted, where they come in this order."""
    found: dict[str, float] = {}

    async def call(name: str, tokens: float) -> None:
        await limit.reserve(tokens)
        found[name] = now()

    async def of_run(run: str) -> None:
        with spanwise.workflow(run):
            await asyncio.gather(*(call(name, tokens) for name, tokens in calls if name.startswith(run)))

    async def main() -> None:
        if runs:
            await asyncio.gather(*(of_run(run) for run in runs))
        else:
            await asyncio.gather(*(call(name, tokens) for name, tokens in calls))

    with capture():
        run_virtual(main)
    return found


def test_what_is_there_is_admitted_at_once_and_the_rest_as_the_bucket_fills() -> None:
    limit = rate(tokens_per_minute=600)

    assert admitted(limit, ("a", 600), ("b", 100), ("c", 50)) == {"a": 0.0, "b": 10.0, "c": 15.0}


def test_a_small_request_does_not_overtake_a_large_one() -> None:
    limit = rate(tokens_per_minute=600)

    found = admitted(limit, ("all", 600), ("large", 300), *((f"small {n}", 1) for n in range(20)))

    assert found["large"] == 30.0
    assert list(found) == ["all", "large", *(f"small {n}" for n in range(20))]


def test_requests_are_limited_beside_tokens() -> None:
    limit = rate(requests_per_minute=6, tokens_per_minute=1e6)

    found = admitted(limit, *((str(n), 1) for n in range(8)))

    assert [found[str(n)] for n in range(8)] == [0.0] * 6 + [10.0, 20.0]


def test_the_margin_is_the_share_of_the_limit_that_is_used() -> None:
    found = admitted(rate(tokens_per_minute=600, margin=0.5), ("a", 300), ("b", 100))

    assert found == {"a": 0.0, "b": 20.0}


def test_limits_are_in_system_time() -> None:
    limit = rate(Clock(20.0), tokens_per_minute=600)

    assert admitted(limit, ("a", 600), ("b", 200)) == {"a": 0.0, "b": pytest.approx(1.0)}


def test_runs_take_turns_by_what_they_took() -> None:
    limit = rate(tokens_per_minute=600)
    calls = [(f"big {n}", 100.0) for n in range(12)] + [(f"small {n}", 50.0) for n in range(4)]

    found = admitted(limit, *calls, runs=("big", "small"))

    served = sorted(found, key=found.__getitem__)
    assert set(served[:6]) == {f"big {n}" for n in range(6)}  # they came first, and all was there
    assert served[6:] == [
        *["big 6", "small 0", "small 1", "big 7", "small 2", "small 3", "big 8", "big 9", "big 10", "big 11"]
    ]


def test_a_run_that_comes_late_is_not_behind_all_that_wait() -> None:
    queue: FairQueue[str] = FairQueue()
    for n in range(100):
        queue.push(f"a{n}", "a", 10)
    served = [queue.pop() for _ in range(50)]
    queue.push("b0", "b", 10)
    queue.push("b1", "b", 10)

    assert served == [f"a{n}" for n in range(50)]
    assert [queue.pop() for _ in range(5)] == ["b0", "a50", "b1", "a51", "a52"]


def test_the_queue_serves_each_entry_once_however_they_leave() -> None:
    for seed in range(200):
        draw = random.Random(seed)
        queue: FairQueue[list[int]] = FairQueue()
        waiting: list[list[int]] = []
        served: dict[int, list[int]] = {}
        for number in range(60):
            action = draw.random()
            if action < 0.5:
                entry = [number, draw.randrange(3)]
                queue.push(entry, entry[1], draw.choice([1, 5, 50]))
                waiting.append(entry)
            elif waiting and action < 0.75:
                entry = queue.pop()
                waiting.remove(entry)
                served.setdefault(entry[1], []).append(entry[0])
            elif waiting:
                entry = draw.choice(waiting)
                waiting.remove(entry)
                assert queue.remove(entry)
                assert not queue.remove(entry)
            assert len(queue) == len(waiting)
        assert all(order == sorted(order) for order in served.values())


def test_a_cancelled_waiter_gives_its_turn_up_and_is_charged_nothing() -> None:
    limit = rate(tokens_per_minute=600)

    async def main() -> list[float]:
        await limit.reserve(600)
        tasks = [asyncio.create_task(limit.reserve(tokens)) for tokens in (300, 100)]
        await asyncio.sleep(1.0)
        tasks[0].cancel()
        await asyncio.wait(tasks)
        return [now(), limit.statistics().charged_tokens]

    assert run_virtual(main)[0] == [10.0, 700.0]


def test_a_waiter_that_is_cancelled_as_it_is_admitted_gives_back_what_it_was_charged() -> None:
    limit = rate(tokens_per_minute=600)

    async def main() -> tuple[float, int]:
        await limit.reserve(600)
        task = asyncio.create_task(limit.reserve(100))
        asyncio.get_running_loop().call_later(10.0, task.cancel)
        await asyncio.wait([task])
        reading = limit.statistics()
        return reading.charged_tokens, reading.admitted

    assert run_virtual(main)[0] in ((600.0, 1), (700.0, 2))


def test_a_call_that_no_minute_lets_through_is_refused_at_once() -> None:
    async def main() -> None:
        await rate(tokens_per_minute=1000, margin=0.9).reserve(901)

    with pytest.raises(RequestTooLargeError, match=r"limit 'm' reserves 901 tokens, and a minute lets 900"):
        run_virtual(main)


def test_a_wait_is_recorded_with_the_limit_s_name() -> None:
    limit = rate(tokens_per_minute=600)

    async def main() -> None:
        with spanwise.agent("risk"):
            await limit.reserve(600)
            await limit.reserve(100)

    with capture() as spans:
        run_virtual(main)
    [wait] = [span for span in spans() if span["name"].startswith("wait ")]

    assert wait["name"] == "wait m"
    assert wait["attributes"]["spanwise.wait.kind"] == "rate_limit"
    assert (limit.statistics().waits, limit.statistics().admitted) == (1, 2)


def test_the_limit_says_how_it_stands() -> None:
    limit = rate(requests_per_minute=60, tokens_per_minute=600, margin=0.5)
    seen: list[Any] = []

    async def main() -> None:
        await limit.reserve(100)
        task = asyncio.create_task(limit.reserve(300))
        await asyncio.sleep(0)
        seen.extend([limit.statistics(), repr(limit)])
        await task

    run_virtual(main)

    reading = RateStatistics(
        "m", requests_per_minute=30.0, tokens_per_minute=300.0, requests_left=29.0, tokens_left=200.0, waiting=1,
        waits=1, admitted=1, charged_tokens=100.0, refused=0,
    )  # fmt: skip
    assert seen == [reading, "<RateLimit m: 29/30 requests, 200/300 tokens with 1 waiting>"]
    assert reading.saturation == pytest.approx(1 / 3)
    assert repr(RateLimit("x", clock=Clock())) == "<RateLimit x: not known>"


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"margin": 0}, "margin must be above 0"), ({"margin": 1.1}, "at most 1"),
     ({"tokens_per_minute": 0}, "tokens_per_minute must be above 0"),
     ({"requests_per_minute": -1}, "requests_per_minute must be above 0")],
)  # fmt: skip
def test_limits_that_make_no_sense_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rate(**settings)


# What is reserved, and what is learnt


def asking(text: str = "x" * 400, **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": text}], **more}


def test_a_reservation_is_the_prompt_and_what_the_answer_may_take() -> None:
    estimator = Estimator(Reserve(default_output=77))

    assert counted(asking()) == 101 + 4 + 3
    assert estimator.output(asking(max_tokens=500), "s") == 500
    assert estimator.output(asking(max_completion_tokens=400), "s") == 400
    assert estimator.output(asking(), "s") == 77


def test_a_percentile_of_what_the_step_wrote_is_reserved_once_it_is_known() -> None:
    estimator = Estimator(Reserve(percentile=0.9, least=10))
    for output in range(10, 110, 10):
        assert estimator.output(asking(max_tokens=500), "s") == 500
        estimator.learn(asking(), "s", 107, output)

    assert estimator.output(asking(max_tokens=500), "s") == 100
    assert estimator.output(asking(max_tokens=60), "s") == 60
    assert estimator.output(asking(max_tokens=500), "another step") == 500


def test_the_prompt_s_estimate_learns_from_what_is_reported() -> None:
    estimator = Estimator(Reserve())
    estimator.learn(asking(), "s", 216, 1)

    assert estimator.prompt(asking("y" * 40)) == pytest.approx(2.0 * counted(asking("y" * 40)))


def test_a_counter_of_one_s_own_is_used() -> None:
    assert Estimator(Reserve(prompt_tokens=lambda _: 5)).prompt(asking()) == 5


def test_what_was_not_used_is_given_back_where_the_provider_charges_what_was_used() -> None:
    limit = rate(tokens_per_minute=600)

    async def main() -> float:
        first = await limit.reserve(600)
        waiting = asyncio.create_task(limit.reserve(500))
        await asyncio.sleep(0)
        first.settle(100)
        await waiting
        return now()

    assert run_virtual(main)[0] == 0.0
    assert limit.statistics().charged_tokens == 600.0


def test_headers_teach_a_limit_that_was_not_known() -> None:
    limit = RateLimit("m", clock=Clock(), margin=0.5)

    async def main() -> RateStatistics:
        reservation = await limit.reserve(10)
        reservation.compare({"x-ratelimit-limit-tokens": "1000", "x-ratelimit-limit-requests": "60"})
        return limit.statistics()

    reading, _ = run_virtual(main)

    assert (reading.requests_per_minute, reading.tokens_per_minute) == (30.0, 500.0)


def test_headers_lower_a_limit_that_was_set_too_high_and_raise_none() -> None:
    limit = rate(tokens_per_minute=1000)

    async def main() -> list[float | None]:
        reservation = await limit.reserve(10)
        reservation.compare({"x-ratelimit-limit-tokens": "2000"})
        higher = limit.statistics().tokens_per_minute
        reservation.compare({"x-ratelimit-limit-tokens": "500"})
        return [higher, limit.statistics().tokens_per_minute]

    assert run_virtual(main)[0] == [1000.0, 500.0]


def test_others_who_use_the_key_are_seen_in_the_headers() -> None:
    limit = rate(tokens_per_minute=1000)

    async def main() -> float | None:
        first = await limit.reserve(100)
        second = await limit.reserve(100)
        first.compare({"x-ratelimit-remaining-tokens": "600"})  # ours holds 800: others took 200 at least
        second.compare({"x-ratelimit-remaining-tokens": "500"})  # and 100 more, as the second call is in it
        second.compare({"x-ratelimit-remaining-tokens": "900"})  # never more than we think
        second.compare({"x-ratelimit-remaining-tokens": "nonsense"})
        return limit.statistics().tokens_left

    assert run_virtual(main)[0] == pytest.approx(500.0)


def test_calls_that_arrive_in_another_order_are_not_taken_for_others() -> None:
    limit = rate(tokens_per_minute=1000)

    async def main() -> float | None:
        reservations = [await limit.reserve(100) for _ in range(8)]
        await asyncio.sleep(6.0)  # 100 flow in
        left = 1000.0
        for reservation in reversed(reservations):
            left -= 100.0
            reservation.compare({"x-ratelimit-remaining-tokens": str(left)})
        return limit.statistics().tokens_left

    assert run_virtual(main)[0] == pytest.approx(300.0)


# Under the client, against the simulated provider


def simulated(**limits: Any) -> Profile:
    model = Model(time_to_first_token_s=1.0, time_per_token_s=0.01, sigma=0.0, **limits)
    return Profile("limited", default_model=model)


class Counting:
    """The provider's application, which counts the answers by status and the tokens that it charged."""

    def __init__(self, profile: Profile) -> None:
        self._app = create_app(profile)
        self.statuses: dict[int, int] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def counted_send(message: Any) -> None:
            if message["type"] == "http.response.start":
                self.statuses[message["status"]] = self.statuses.get(message["status"], 0) + 1
            await send(message)

        await self._app(scope, receive, counted_send)


def saturating(
    provider: Any, calls: int, limits: Callable[[Clock], ModelLimits | None], **settings: Any
) -> tuple[list[Any], float]:
    async def main() -> list[Any]:
        clock = Clock()
        client = ModelClient(
            base_url="http://x/v1", api_key="k", clock=clock, limits=limits(clock),
            transport=InProcessTransport(provider), **settings,
        )  # fmt: skip
        draw = random.Random(7)

        def chat(number: int) -> Coroutine[Any, Any, Any]:
            words = " ".join("word" for _ in range(draw.randrange(10, 300)))
            text = f"a = {number}\nState a.\n{words}"
            return client.chat(model="m", messages=[{"role": "user", "content": text}], max_tokens=600, step="s")

        try:
            return await asyncio.gather(*(chat(n) for n in range(calls)), return_exceptions=True)
        finally:
            await client.close()

    return run_virtual(main)


def test_at_saturation_nothing_is_refused_and_the_makespan_is_the_bound() -> None:
    provider = Counting(simulated(requests_per_minute=2400, tokens_per_minute=60_000))
    made: list[RateLimit] = []

    def limits(clock: Clock) -> ModelLimits:
        made.append(RateLimit("m", clock=clock, requests_per_minute=2400, tokens_per_minute=60_000))
        return ModelLimits(rate=made[0])

    answers, seconds = saturating(provider, 400, limits, retries=Retries(attempts=1))

    charged = made[0].statistics().charged_tokens
    bound = (charged - 0.9 * 60_000) / (0.9 * 60_000) * 60
    assert [answer for answer in answers if isinstance(answer, BaseException)] == []
    assert provider.statuses == {200: 400}
    assert bound <= seconds <= 1.02 * bound
    assert bound > 180.0


def test_without_a_limit_the_same_calls_fail() -> None:
    provider = Counting(simulated(requests_per_minute=2400, tokens_per_minute=60_000))

    answers, _ = saturating(provider, 400, lambda _: None, retries=Retries(attempts=3, longest_asked=10.0))

    assert provider.statuses[429] > 200
    assert sum(isinstance(answer, openai.RateLimitError) for answer in answers) > 200


def test_a_limit_that_is_not_known_is_learnt_from_the_answers() -> None:
    provider = Counting(simulated(tokens_per_minute=60_000))
    limit: list[RateLimit] = []

    def limits(clock: Clock) -> ModelLimits:
        limit.append(RateLimit("m", clock=clock))
        return ModelLimits(rate=limit[0], concurrency=ConcurrencyLimit("places", 8))

    answers, _ = saturating(provider, 200, limits, retries=Retries(attempts=1))

    assert provider.statuses == {200: 200}
    assert [answer for answer in answers if isinstance(answer, BaseException)] == []
    assert limit[0].statistics().tokens_per_minute == 54_000


def test_a_refusal_pauses_all_calls_and_is_charged_nothing() -> None:
    provider = Counting(simulated(tokens_per_minute=3_000))
    limit: list[RateLimit] = []

    def limits(clock: Clock) -> ModelLimits:  # a limit that is set twice as high as it is
        limit.append(RateLimit("m", clock=clock, tokens_per_minute=6_000, margin=1.0))
        return ModelLimits(rate=limit[0])

    answers, _ = saturating(provider, 12, limits, retries=Retries(attempts=20))

    assert [answer for answer in answers if isinstance(answer, BaseException)] == []
    assert limit[0].statistics().refused == provider.statuses[429]
    assert provider.statuses[429] <= 8  # those that were on their way when the first was refused
    assert limit[0].statistics().tokens_per_minute == 3_000


def test_what_answers_really_take_lets_more_calls_through_where_usage_is_charged() -> None:
    def seconds(reserve: Reserve) -> float:
        def limits(clock: Clock) -> ModelLimits:
            return ModelLimits(rate=RateLimit("m", clock=clock, tokens_per_minute=6_000), reserve=reserve)

        answers, took = saturating(create_app(simulated()), 100, limits, retries=Retries(attempts=1))
        assert [answer for answer in answers if isinstance(answer, BaseException)] == []
        return took

    most, real = seconds(Reserve()), seconds(Reserve(percentile=0.99, least=5, charged=False))

    assert real < most / 4


# Concurrency that is not known


def adaptive(server_places: int, *, calls: int, refuses: bool = False) -> tuple[AdaptiveLimit, list[int]]:
    """A limit that has sent `calls` to a server with so many places, and its capacity after each."""
    seen: list[int] = []
    made: list[AdaptiveLimit] = []

    async def main() -> None:
        clock = Clock()
        limit = AdaptiveLimit("server", clock=clock, start=4)
        made.append(limit)
        places = asyncio.Semaphore(server_places)

        async def call() -> None:
            async with limit.slot():
                began = clock.now()
                if refuses and places.locked():
                    await clock.sleep(0.1)
                    limit.refused(began)
                else:
                    async with places:
                        await clock.sleep(1.0)
                    limit.answered(clock.now() - began, began)
                seen.append(limit.statistics().capacity)

        await asyncio.gather(*(call() for _ in range(calls)))

    run_virtual(main)
    return made[0], seen


def test_places_grow_while_answers_come_as_fast_and_stop_where_the_queue_begins() -> None:
    _, seen = adaptive(16, calls=3000)

    settled = seen[len(seen) // 2 :]
    assert min(settled) >= 12
    assert max(settled) <= 40


def test_places_shrink_where_the_server_refuses() -> None:
    _, seen = adaptive(16, calls=3000, refuses=True)

    settled = seen[len(seen) // 2 :]
    assert min(settled) >= 8
    assert max(settled) <= 17


def test_places_stay_in_their_bounds() -> None:
    with pytest.raises(ValueError, match="needs 1 <= least <= start <= most"):
        AdaptiveLimit("x", clock=Clock(), start=8, most=4)

    limit = AdaptiveLimit("x", clock=Clock(), start=2, least=2, most=3)
    for n in range(9):
        limit.refused(float(n + 1))
    assert limit.statistics().capacity == 2


def test_a_limit_that_grows_lets_waiters_in_and_one_that_shrinks_drives_nobody_out() -> None:
    limit = ConcurrencyLimit("m", 1)

    async def main() -> list[tuple[int, int]]:
        async def hold() -> None:
            async with limit.slot():
                await asyncio.sleep(10.0)

        tasks = [asyncio.create_task(hold()) for _ in range(4)]
        await asyncio.sleep(1.0)
        limit.set_capacity(3)
        await asyncio.sleep(1.0)
        grown = limit.statistics()
        limit.set_capacity(1)
        await asyncio.sleep(8.5)
        shrunk = limit.statistics()
        await asyncio.wait(tasks)
        return [(grown.in_use, grown.waiting), (shrunk.in_use, shrunk.waiting), (int(now()), 0)]

    assert run_virtual(main)[0] == [(3, 1), (2, 1), (21, 0)]
