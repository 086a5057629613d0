"""What a limit can be set on, read from one run's profile. Seconds are the system's (scaled).

A measure gives values: one for each run, or one for each call in it. A ratio gives two numbers that are added up over
all runs before one is divided by the other. Both can be of one subject, such as a cache, or of all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from spanwise import conventions as c
from spanwise_profiling import kinds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from spanwise_profiling.profile import Profile
    from spanwise_profiling.runs import Run

    Values: TypeAlias = Callable[[Profile, str | None], Sequence[float] | None]
    Parts: TypeAlias = Callable[[Profile, str | None], tuple[float, float]]

_ANSWERED: Final = ("hit", "coalesced")


class Measure(NamedTuple):
    """Numbers that a run comes to."""

    title: str
    unit: str
    values: Values
    """`None` where the recording does not say."""
    of: str = "run"
    """What has one value: a run, or a call."""


class Ratio(NamedTuple):
    """A share of something, over all runs."""

    title: str
    of: str
    """What the denominator counts, as a plural."""
    parts: Parts
    """Numerator and denominator."""


def _of_run(title: str, unit: str, value: Callable[[Run], float]) -> Measure:
    """Return a measure with one value for each run."""

    def values(profile: Profile, _subject: str | None) -> Sequence[float]:
        return [value(profile.run)]

    return Measure(title, unit, values)


def _cost(profile: Profile, _subject: str | None) -> Sequence[float] | None:
    cost = profile.usage.total.cost if profile.usage is not None else None
    return None if cost is None else [cost]


def _lookups(profile: Profile, cache: str | None) -> tuple[float, float]:
    """Return how many lookups were answered, and how many asked: one that bypasses the cache does not ask."""
    results = [
        kinds.text_of(span, c.CACHE_RESULT)
        for _, span in profile.run.walk()
        if cache in (None, kinds.text_of(span, c.CACHE_NAME))
    ]
    asked = [result for result in results if result not in (None, "bypass")]
    return sum(result in _ANSWERED for result in asked), len(asked)


MEASURES: Final[Mapping[str, Measure]] = {
    "seconds": _of_run("duration", "s", lambda run: run.seconds),
    "tokens": _of_run("tokens", "tokens", lambda run: run.totals.tokens),
    "input_tokens": _of_run("input tokens", "tokens", lambda run: run.totals.input_tokens),
    "output_tokens": _of_run("output tokens", "tokens", lambda run: run.totals.output_tokens),
    "cost": Measure("cost", "", _cost),
    "model_calls": _of_run("model calls", "", lambda run: run.totals.llm_calls),
    "tool_calls": _of_run("tool calls", "", lambda run: run.totals.tool_calls),
    "retries": _of_run("retries", "", lambda run: run.totals.retries),
    "errors": _of_run("errors", "", lambda run: run.totals.errors),
    "tokens_per_second": _of_run("tokens a second", "tokens/s", lambda run: run.tokens_per_second),
}
"""By the key of a limit."""
RATIOS: Final[Mapping[str, Ratio]] = {
    "cache_hit_rate": Ratio("cache hit rate", "lookups", _lookups),
}
"""Likewise."""
