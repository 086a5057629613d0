"""Tokens and money: per call, agent and model, with what was asked twice.

A call's tokens are those that the provider counted; cached ones are part of the input. Speeds are the system's: scaled
as all durations are. A sum that holds a call of unknown cost is unknown itself, and says how many calls that were.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from spanwise import conventions as c
from spanwise_profiling import kinds
from spanwise_profiling.calls import COUNTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from spanwise.journal.reader import SpanRecord
    from spanwise_profiling.prices import Prices
    from spanwise_profiling.runs import Run

_CALLS: Final = ("chat", "embeddings")
_COUNTED: Final = (c.USAGE_INPUT_TOKENS, c.USAGE_OUTPUT_TOKENS)
_FIRST_PREFIX: Final = 1024
_CHARACTERS_A_TOKEN: Final = 4


@dataclass(frozen=True, slots=True)
class CallUsage:
    """One call of a model; seconds are scaled."""

    span_id: str
    agent: str
    """Empty outside of agents."""
    model: str
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    written_tokens: int
    """Of the input, written into the provider's prompt cache."""
    reasoning_tokens: int
    """Of the output, spent on reasoning."""
    seconds: float
    decode_seconds: float | None
    """From the first chunk to the end; None where it was not streamed."""
    cost: float | None
    """In the table's currency; None where it is not known."""

    @property
    def tokens_per_second(self) -> float:
        """Output tokens over the whole call; 0 for a call of no length."""
        return self.output_tokens / self.seconds if self.seconds else 0.0

    @property
    def decode_tokens_per_second(self) -> float | None:
        """Output tokens over the time after the first chunk; None where that is not known."""
        return self.output_tokens / self.decode_seconds if self.decode_seconds else None


@dataclass(frozen=True, slots=True)
class Sum:
    """The calls of one agent, of one model, or of all."""

    name: str
    calls: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    written_tokens: int
    reasoning_tokens: int
    tokens_per_second: float
    """Output tokens over the calls' durations, each counted whole."""
    decode_tokens_per_second: float | None
    cost: float | None
    """None where that of at least one call is not known."""
    unpriced: int
    """Calls of unknown cost."""


@dataclass(frozen=True, slots=True)
class Repeated:
    """Calls that asked the same."""

    span_ids: tuple[str, ...]
    """By start; the first one is no repeat."""
    input_tokens: int
    """Of the repeats."""
    output_tokens: int


@dataclass(frozen=True, slots=True)
class Usage:
    """What a run used."""

    currency: str
    calls: tuple[CallUsage, ...]
    """By start."""
    agents: tuple[Sum, ...]
    """By tokens, most first."""
    models: tuple[Sum, ...]
    total: Sum
    identical: tuple[Repeated, ...]
    repeated_prefix_tokens: int
    """About how many tokens of prompts began as an earlier prompt of the same model had, known to a factor of two."""


def usage_of(run: Run, prices: Prices) -> Usage:
    """Return the tokens of `run` and what they cost."""
    spans = [(agent, span) for agent, span in _model_calls(run)]
    spans.sort(key=lambda one: (one[1].start_ns, one[1].span_id))
    calls = tuple(_call(run, agent, span, prices) for agent, span in spans)
    return Usage(
        currency=prices.currency,
        calls=calls,
        agents=_sums(calls, "agent"),
        models=_sums(calls, "model"),
        total=_sum("", calls),
        identical=tuple(_identical([span for _, span in spans])),
        repeated_prefix_tokens=_repeated_prefixes(span for _, span in spans),
    )


def _model_calls(run: Run) -> Iterator[tuple[str, SpanRecord]]:
    above: list[str] = []
    for depth, span in run.walk():
        del above[depth:]
        kind = kinds.kind_of(span)
        above.append((kinds.subject_of(span) or span.name) if kind == "agent" else above[-1] if above else "")
        if kind in _CALLS:
            yield above[-1], span


def _call(run: Run, agent: str, span: SpanRecord, prices: Prices) -> CallUsage:
    model = kinds.text_of(span, c.RESPONSE_MODEL) or kinds.subject_of(span) or ""
    counted = {name: kinds.number_of(span, name) for name in COUNTS}
    sent, received, cached, written, reasoning = (int(number or 0) for number in counted.values())
    first = kinds.number_of(span, c.RESPONSE_TIME_TO_FIRST_CHUNK)
    price = prices.of(model, span.start_ns) or prices.of(kinds.subject_of(span) or "", span.start_ns)
    known = price is not None and any(counted[name] is not None for name in _COUNTED)
    return CallUsage(
        span_id=span.span_id,
        agent=agent,
        model=kinds.subject_of(span) or model,
        input_tokens=sent,
        cached_tokens=cached,
        output_tokens=received,
        written_tokens=written,
        reasoning_tokens=reasoning,
        seconds=run.scaled(span.duration_ns),
        decode_seconds=None if first is None else max(0.0, run.scaled(span.duration_ns) - first * run.scale),
        cost=price.of(sent, cached, received, written) if known and price is not None else None,
    )


def _sums(calls: Sequence[CallUsage], by: str) -> tuple[Sum, ...]:
    grouped: defaultdict[str, list[CallUsage]] = defaultdict(list)
    for call in calls:
        grouped[call.agent if by == "agent" else call.model].append(call)
    sums = [_sum(name, members) for name, members in grouped.items()]
    return tuple(sorted(sums, key=lambda one: (-one.input_tokens - one.output_tokens, one.name)))


def _sum(name: str, calls: Sequence[CallUsage]) -> Sum:
    output = sum(call.output_tokens for call in calls)
    seconds = sum(call.seconds for call in calls)
    streamed = [call for call in calls if call.decode_seconds]
    decoding = sum(call.decode_seconds or 0.0 for call in streamed)
    costs = [call.cost for call in calls if call.cost is not None]
    return Sum(
        name=name,
        calls=len(calls),
        input_tokens=sum(call.input_tokens for call in calls),
        cached_tokens=sum(call.cached_tokens for call in calls),
        output_tokens=output,
        written_tokens=sum(call.written_tokens for call in calls),
        reasoning_tokens=sum(call.reasoning_tokens for call in calls),
        tokens_per_second=output / seconds if seconds else 0.0,
        decode_tokens_per_second=sum(call.output_tokens for call in streamed) / decoding if decoding else None,
        cost=sum(costs) if len(costs) == len(calls) else None,
        unpriced=len(calls) - len(costs),
    )


def _identical(spans: Iterable[SpanRecord]) -> Iterator[Repeated]:
    asked: defaultdict[str, list[SpanRecord]] = defaultdict(list)
    for span in spans:
        digest = kinds.text_of(span, c.REQUEST_HASH)
        if digest is not None and (kinds.number_of(span, c.RETRY_ATTEMPT) or 1) == 1:
            asked[digest].append(span)
    for members in asked.values():
        if len(members) > 1:
            yield Repeated(
                tuple(span.span_id for span in members),
                sum(int(kinds.number_of(span, c.USAGE_INPUT_TOKENS) or 0) for span in members[1:]),
                sum(int(kinds.number_of(span, c.USAGE_OUTPUT_TOKENS) or 0) for span in members[1:]),
            )


def _repeated_prefixes(spans: Iterable[SpanRecord]) -> int:
    seen: set[tuple[str, int, str]] = set()
    tokens = 0
    for span in spans:
        model = kinds.subject_of(span) or ""
        keys = [(model, i, one) for i, one in enumerate((kinds.text_of(span, c.REQUEST_PREFIX_HASHES) or "").split())]
        longest = max((i for _, i, one in keys if (model, i, one) in seen), default=None)
        tokens += 0 if longest is None else (_FIRST_PREFIX << longest) // _CHARACTERS_A_TOKEN
        seen.update(keys)
    return tokens
