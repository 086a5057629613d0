"""What a limit can be set on, read from one run's profile. Seconds are the system's (scaled).

A measure gives values: one for each run, or one for each call in it. A ratio gives two numbers that are added up over
all runs before one is divided by the other. Both can be of one subject, such as a cache, or of all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, cast

from spanwise import conventions as c
from spanwise_profiling import kinds

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, Sequence

    from spanwise.journal.reader import SpanRecord
    from spanwise_profiling.profile import Bucket, Profile
    from spanwise_profiling.runs import Run

    Values: TypeAlias = Callable[[Profile, str | None], Sequence[float] | None]
    Parts: TypeAlias = Callable[[Profile, str | None], tuple[float, float]]

_ANSWERED: Final = ("hit", "coalesced")
_CALLS: Final = ("chat", "embeddings")


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


def _spans(profile: Profile, kinds_of: Container[str], subject: str | None) -> list[SpanRecord]:
    """Return the run's spans of these kinds that are of the subject; failed attempts that were tried again are none."""
    return [
        span
        for _, span in profile.run.walk()
        if kinds.kind_of(span) in kinds_of and subject in (None, kinds.subject_of(span)) and not kinds.is_retried(span)
    ]


def _each(
    title: str, kinds_of: Container[str], value: Callable[[Run, SpanRecord], float | None], unit: str = "s"
) -> Measure:
    """Return a measure with one value for each span of these kinds that has one."""

    def values(profile: Profile, subject: str | None) -> Sequence[float]:
        found = (value(profile.run, span) for span in _spans(profile, kinds_of, subject))
        return [one for one in found if one is not None]

    return Measure(title, unit, values, "call")


def _seconds(run: Run, span: SpanRecord) -> float:
    return run.scaled(span.duration_ns)


def _first_chunk(run: Run, span: SpanRecord) -> float | None:
    first = kinds.number_of(span, c.RESPONSE_TIME_TO_FIRST_CHUNK)
    return None if first is None else first * run.scale


def _chunk_gap(run: Run, span: SpanRecord) -> float | None:
    first, chunks = _first_chunk(run, span), kinds.number_of(span, c.STREAM_CHUNKS) or 0
    return (_seconds(run, span) - first) / (chunks - 1) if first is not None and chunks > 1 else None


def _decode_rate(run: Run, span: SpanRecord) -> float | None:
    first, tokens = _first_chunk(run, span), kinds.number_of(span, c.USAGE_OUTPUT_TOKENS)
    decoding = 0.0 if first is None else _seconds(run, span) - first
    return tokens / decoding if tokens and decoding > 0 else None


def _failures(kinds_of: Container[str]) -> Parts:
    def parts(profile: Profile, subject: str | None) -> tuple[float, float]:
        spans = _spans(profile, kinds_of, subject)
        return sum(span.is_error for span in spans), len(spans)

    return parts


def _success(profile: Profile, _subject: str | None) -> tuple[float, float]:
    return float(profile.run.error is None), 1.0


def _retries(profile: Profile, _subject: str | None) -> tuple[float, float]:
    return profile.run.totals.retries, len(_spans(profile, _CALLS, None))


def _prompt_cache(profile: Profile, model: str | None) -> tuple[float, float]:
    spans = _spans(profile, _CALLS, model)
    read, sent = (
        sum(kinds.number_of(span, name) or 0 for span in spans)
        for name in (c.USAGE_CACHE_READ_INPUT_TOKENS, c.USAGE_INPUT_TOKENS)
    )
    return read, sent


def _waited(profile: Profile, bucket: str | None) -> tuple[float, float]:
    spent = dict(profile.budget_ns).get(cast("Bucket", bucket), 0)
    return profile.run.scaled(spent), profile.run.seconds


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
    "agent_seconds": _each("duration", ("agent",), _seconds),
    "tool_seconds": _each("duration", ("tool",), _seconds),
    "model_seconds": _each("duration", _CALLS, _seconds),
    "time_to_first_chunk": _each("time to the first chunk", ("chat",), _first_chunk),
    "chunk_gap": _each("time between chunks", ("chat",), _chunk_gap),
    "decode_tokens_per_second": _each("output tokens a second", ("chat",), _decode_rate, "tokens/s"),
    "tokens_per_second": _of_run("tokens a second", "tokens/s", lambda run: run.tokens_per_second),
}
"""By the key of a limit."""
RATIOS: Final[Mapping[str, Ratio]] = {
    "cache_hit_rate": Ratio("cache hit rate", "lookups", _lookups),
    "prompt_cache_hit_rate": Ratio("prompt cache hit rate", "input tokens", _prompt_cache),
    "success_rate": Ratio("runs without an error", "runs", _success),
    "agent_error_rate": Ratio("failed invocations", "invocations", _failures(("agent",))),
    "tool_error_rate": Ratio("failed tool calls", "calls", _failures(("tool",))),
    "error_rate": Ratio("failed model calls", "calls", _failures(_CALLS)),
    "retries": Ratio("retries", "model calls", _retries),
    "waits": Ratio("time", "seconds", _waited),
}
"""Likewise."""
