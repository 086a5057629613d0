from __future__ import annotations

import pytest

from spanwise_pipeline.provider.errors import ApiError
from spanwise_pipeline.provider.limits import Limits, duration
from spanwise_pipeline.provider.profile import Model

MODEL = Model(requests_per_minute=60, tokens_per_minute=6000)


def refused(limits: Limits, tokens: int, now: float) -> ApiError:
    with pytest.raises(ApiError) as caught:
        limits.charge("m", MODEL, tokens, now)
    return caught.value


def test_headers_say_what_is_left_and_when_it_is_full() -> None:
    assert Limits(1.0).charge("m", MODEL, 1000, 0.0) == {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "1s",
        "x-ratelimit-limit-tokens": "6000",
        "x-ratelimit-remaining-tokens": "5000",
        "x-ratelimit-reset-tokens": "10s",
    }


def test_without_limits_there_are_no_headers() -> None:
    assert Limits(1.0).charge("m", Model(), 10**9, 0.0) == {}


def test_what_is_too_much_is_refused_until_the_bucket_has_filled() -> None:
    limits = Limits(1.0)
    limits.charge("m", MODEL, 5500, 0.0)

    error = refused(limits, 1000, 0.0)

    assert (error.status, error.type, error.code) == (429, "tokens", "rate_limit_exceeded")
    assert error.message == (
        "Rate limit reached for m on tokens per min: Limit 6000, Used 5500, Requested 1000. Please try again in 5s."
    )
    assert (error.headers["retry-after"], error.headers["retry-after-ms"]) == ("5", "5000")
    assert limits.charge("m", MODEL, 1000, 5.0)["x-ratelimit-remaining-tokens"] == "0"


def test_a_refused_request_takes_nothing() -> None:
    limits = Limits(1.0)
    limits.charge("m", MODEL, 5500, 0.0)
    refused(limits, 1000, 0.0)

    assert limits.charge("m", MODEL, 500, 0.0)["x-ratelimit-remaining-requests"] == "58"


def test_waits_are_told_in_real_time_and_buckets_fill_in_system_time() -> None:
    limits = Limits(20.0)
    limits.charge("m", MODEL, 6000, 0.0)

    error = refused(limits, 1500, 0.0)

    assert (error.headers["retry-after"], error.headers["retry-after-ms"]) == ("1", "750")
    assert error.headers["x-ratelimit-reset-tokens"] == "3s"
    assert limits.charge("m", MODEL, 1500, 0.75)["x-ratelimit-remaining-tokens"] == "0"


def test_what_the_bucket_can_never_hold_is_refused_as_too_large() -> None:
    error = refused(Limits(1.0), 6001, 0.0)

    assert error.message == "Request too large for m on tokens per min: Limit 6000, Requested 6001."


def test_models_have_buckets_of_their_own() -> None:
    limits = Limits(1.0)
    limits.charge("m", MODEL, 6000, 0.0)

    assert limits.charge("other", MODEL, 6000, 0.0)["x-ratelimit-remaining-tokens"] == "0"


def test_the_61st_request_of_a_minute_is_refused() -> None:
    limits = Limits(1.0)
    for _ in range(60):
        limits.charge("m", MODEL, 1, 0.0)

    assert refused(limits, 1, 0.0).type == "requests"


def test_durations_are_spelled_as_openai_spells_them() -> None:
    assert [duration(s) for s in (0.0, 0.0171, 1.2, 60, 360, 61.5)] == ["0ms", "18ms", "1.2s", "1m0s", "6m0s", "1m1.5s"]
