from __future__ import annotations

import math
import statistics

import pytest

from spanwise_pipeline.provider.draws import Draw, Draws
from spanwise_pipeline.provider.errors import ApiError
from spanwise_pipeline.provider.profile import Failures

BODY = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}


def test_the_draw_is_by_seed_key_and_how_often_they_were_seen() -> None:
    draws = Draws()
    named = BODY | {"seed": 3, "metadata": {"agent": "trader", "step": "decide"}}

    assert [draws.next(named), draws.next(named), draws.next(named | {"seed": 4})] == [
        Draw(3, "trader/decide", 0),
        Draw(3, "trader/decide", 1),
        Draw(4, "trader/decide", 0),
    ]


def test_requests_with_the_same_key_share_draws_whatever_their_prompts() -> None:
    one = Draws().next(BODY | {"metadata": {"agent": "a"}})
    two = Draws().next({"model": "other", "messages": [], "metadata": {"agent": "a", "extra": "x"}})

    assert one == two == Draw(0, "a/", 0)


def test_without_a_name_the_key_is_the_body_without_its_seed() -> None:
    draws = Draws()
    first = draws.next(BODY)

    assert draws.next(dict(reversed(BODY.items()))) == Draw(0, first.key, 1)
    assert draws.next(BODY | {"seed": 9}) == Draw(9, first.key, 0)
    assert draws.next(BODY | {"model": "other"}).key != first.key


def test_a_seed_that_is_no_integer_is_refused() -> None:
    with pytest.raises(ApiError) as caught:
        Draws().next(BODY | {"seed": "one"})

    assert (caught.value.status, caught.value.param) == (400, "seed")


def test_noise_is_lognormal_with_median_one() -> None:
    factors = [Draw(seed, "k", 0).lognormal("latency", 0.3) for seed in range(4000)]
    logarithms = [math.log(factor) for factor in factors]

    assert statistics.median(factors) == pytest.approx(1, abs=0.02)
    assert statistics.stdev(logarithms) == pytest.approx(0.3, rel=0.05)
    assert Draw(1, "k", 0).lognormal("latency", 0.0) == 1


def test_failures_come_at_their_rates() -> None:
    failures = Failures(error_500=0.1, stall=0.2, drop=0.3, malformed=0.15)
    kinds = [Draw(seed, "k", 0).failure(failures) for seed in range(5000)]

    shares = {kind: kinds.count(kind) / len(kinds) for kind in set(kinds)}

    expected = {"error_500": 0.1, "stall": 0.2, "drop": 0.3, "malformed": 0.15, None: 0.25}
    assert shares == {kind: pytest.approx(share, abs=0.02) for kind, share in expected.items()}
