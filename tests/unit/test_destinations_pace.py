"""Sending holds back while spans come fast, and not for ever."""

from __future__ import annotations

import pytest

from spanwise.destinations import sending


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds of the clock that sending reads; the last one counts."""
    now = [100.0]
    monkeypatch.setattr("spanwise.destinations.sending.time.monotonic", lambda: now[-1])
    return now


def recorded(clock: list[float], pace: sending._Pace, seconds: float, rate: float) -> None:
    """Let spans come at a `rate` a second, in batches every 50 ms."""
    for _ in range(round(seconds / 0.05)):
        clock.append(clock[-1] + 0.05)
        pace.count(round(rate * 0.05))


def test_a_burst_is_known_by_its_rate_and_is_over_when_no_span_comes(clock: list[float]) -> None:
    pace = sending._Pace()
    recorded(clock, pace, 1, rate=2_000)
    assert not pace.is_burst()
    recorded(clock, pace, 1, rate=50_000)
    assert pace.is_burst()
    clock.append(clock[-1] + 0.6)
    assert not pace.is_burst()


def test_what_goes_on_for_longer_than_a_burst_is_not_waited_for(clock: list[float]) -> None:
    pace = sending._Pace()
    recorded(clock, pace, 9, rate=50_000)
    assert pace.is_burst()
    recorded(clock, pace, 3, rate=50_000)
    assert not pace.is_burst()
    recorded(clock, pace, 1, rate=100)
    recorded(clock, pace, 1, rate=50_000)
    assert pace.is_burst()
