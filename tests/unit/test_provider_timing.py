from __future__ import annotations

from itertools import pairwise

import pytest

from spanwise_pipeline.provider.profile import Model
from spanwise_pipeline.provider.timing import Latency, chunk_plan, latency

MODEL = Model(time_to_first_token_s=1.0, time_per_token_s=0.1, prefill_s_per_1k_tokens=2.0, cached_prefill_share=0.25)


def test_latency_is_first_token_prefill_and_tokens() -> None:
    times = latency(MODEL, prompt=500, cached=0, completion=30, factor=1.0, speed=1.0)

    assert (times.first_s, times.total_s) == pytest.approx((2.0, 5.0))


def test_cached_tokens_cost_their_share_of_prefill() -> None:
    times = latency(MODEL, prompt=500, cached=400, completion=0, factor=1.0, speed=1.0)

    assert times.first_s == pytest.approx(1.0 + 2.0 * (100 + 100) / 1000)


def test_noise_multiplies_and_speed_divides_everything() -> None:
    times = latency(MODEL, prompt=500, cached=0, completion=30, factor=1.5, speed=10.0)

    assert (times.first_s, times.total_s) == pytest.approx((0.3, 0.75))


def test_a_slow_stream_sends_a_chunk_for_each_token_and_ends_at_its_latency() -> None:
    assert chunk_plan(Latency(1.0, 1.4), 4) == [
        (1.0, 0),
        (pytest.approx(1.1), 1),
        (pytest.approx(1.2), 2),
        (pytest.approx(1.3), 3),
        (1.4, 4),
    ]


def test_a_fast_stream_puts_several_tokens_into_a_chunk_each_10_ms() -> None:
    plan = chunk_plan(Latency(0.1, 0.2), 1000)
    gaps = [later - earlier for (earlier, _), (later, _) in pairwise(plan)]

    assert len(plan) == 11
    assert min(gaps) >= 0.010 - 1e-9
    assert [sent for _, sent in plan] == [*range(0, 1000, 100), 1000]


@pytest.mark.parametrize("tokens", [0, 1, 5])
def test_a_stream_shorter_than_a_gap_is_one_chunk(tokens: int) -> None:
    assert chunk_plan(Latency(0.5, 0.505 if tokens else 0.5), tokens) == [(0.505 if tokens else 0.5, tokens)]
