from __future__ import annotations

import asyncio
import time

import pytest

from spanwise.testing import run_virtual
from spanwise_pipeline import Clock, in_thread
from spanwise_pipeline.clock import remember_loop


def test_sleeping_takes_system_seconds_over_the_speed() -> None:
    clock = Clock(20.0)

    async def main() -> tuple[float, float]:
        began = clock.now()
        await clock.sleep(10.0)
        return clock.now() - began, asyncio.get_running_loop().time()

    assert run_virtual(main)[0] == pytest.approx((10.0, 0.5))


def test_threads_sleep_on_the_same_clock() -> None:
    clock = Clock(4.0)

    async def main() -> None:
        await asyncio.gather(in_thread(clock.sleep_in_thread, 8.0), clock.sleep(12.0))

    assert run_virtual(main)[1] == pytest.approx(3.0)


def test_outside_a_loop_the_clock_and_its_threads_use_real_time() -> None:
    clock = Clock(1000.0)
    before = time.monotonic() * 1000.0

    clock.sleep_in_thread(1.0)

    assert clock.now() - before >= 1.0
    assert clock.real(5.0) == 0.005


@pytest.mark.parametrize("speed", [0.0, -1.0])
def test_a_speed_that_is_not_above_zero_is_refused(speed: float) -> None:
    with pytest.raises(ValueError, match=f"speed must be above 0, this is {speed}"):
        Clock(speed)


def be_busy(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def test_a_block_in_a_thread_takes_at_least_its_seconds_and_its_own_work_counts() -> None:
    clock = Clock(100.0)

    def work(seconds: float) -> float:
        began = time.monotonic()
        with clock.at_least_in_thread(seconds):
            be_busy(0.02)
        return (time.monotonic() - began) * clock.speed

    assert work(5.0) >= 5.0
    assert work(0.5) >= 2.0


def test_on_a_virtual_clock_own_work_takes_no_time() -> None:
    clock = Clock()

    def work() -> None:
        with clock.at_least_in_thread(3.0):
            be_busy(0.01)

    assert run_virtual(lambda: in_thread(work))[1] == 3.0


def test_blocking_the_loop_s_thread_on_its_own_clock_is_refused() -> None:
    clock = Clock()

    async def main() -> None:
        await in_thread(clock.sleep_in_thread, 1.0)
        remember_loop()
        with pytest.raises(RuntimeError, match="on the event loop's thread; run the function in a pool"):
            clock.sleep_in_thread(1.0)

    run_virtual(main)
