from __future__ import annotations

import asyncio
import time

import pytest

from spanwise.testing import run_virtual
from spanwise_pipeline import Clock, in_thread


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
