"""Prompts that are longer than they would have to be, or read anew each time, and what reading them takes.

What a token of the prompt costs is estimated from the run itself: the slope of the time to the first chunk over the
tokens that were not cached, a straight line through the calls of one model (Theil-Sen: the median of the slopes
between pairs, which a few slow answers do not bend).
"""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations, islice, pairwise
from statistics import median
from typing import TYPE_CHECKING, Final

from spanwise import conventions as c
from spanwise_profiling import kinds
from spanwise_profiling.advice.saving import saving_of
from spanwise_profiling.advice.words import counted, listed
from spanwise_profiling.profile import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from spanwise.journal.reader import SpanRecord
    from spanwise_profiling.advice.view import View

CHARACTERS_A_TOKEN: Final = 4
_LEAST_CALLS: Final = 3
_LEAST_SPREAD: Final = 200
"""Tokens that two calls must differ by to say anything about what a token takes."""
_PAIRS: Final = 20_000
_CACHEABLE: Final = 2
"""Index of the hash of the first 4 KiB: providers cache prompts from about 1,024 tokens on."""
_FIRST_PREFIX: Final = 1024
_REPEATED_TOKENS: Final = 2_000
_REPEATED_SHARE: Final = 0.3
_TURNS: Final = 4
_GROWN: Final = 2.0


def uncached_prefixes(view: View) -> Iterator[Finding]:
    """Yield a finding where prompts began as earlier ones did, and the provider read that beginning again."""
    rates = seconds_a_token(view)
    seen: set[tuple[str, int, str]] = set()
    cuts: dict[str, int] = {}
    shared_tokens = 0
    for call in _in_order(view):
        model = kinds.subject_of(call) or ""
        hashes = (kinds.text_of(call, c.REQUEST_PREFIX_HASHES) or "").split()
        length = max((i for i, one in enumerate(hashes) if (model, i, one) in seen), default=-1)
        seen |= {(model, i, one) for i, one in enumerate(hashes)}
        tokens = (_FIRST_PREFIX << length) // CHARACTERS_A_TOKEN if length >= _CACHEABLE else 0
        spared = tokens - (kinds.number_of(call, c.USAGE_CACHE_READ_INPUT_TOKENS) or 0)
        if tokens and spared * 2 > tokens:
            shared_tokens += tokens
            cuts[call.span_id] = _prefill(call, int(spared), rates)
    finding = Finding(
        id="uncached-prefix",
        title=f"Let the provider cache the beginning of {counted(len(cuts), 'prompt')}",
        why=f"They begin as an earlier one did, and the model read those {shared_tokens:,} tokens again.",
        fix="what stays the same first, what changes last",
        evidence=view.evidence(
            (view.spans[span_id] for span_id in cuts), "begins as an earlier prompt", meant=view.on_path(cuts)
        ),
        saves_ns=_saving(view, cuts),
        confidence="medium",
        here="put what stays the same first in the messages, and what changes last",
        elsewhere="put instructions, tools and documents first and alike; use the provider's prompt cache",
    )
    if view.matters(finding.saves_ns):
        yield finding


def repeated_context(view: View) -> Iterator[Finding]:
    """Yield a finding where the same texts went whole into the prompts of several agents."""
    sent: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for call, reads in view.reads.items():
        for writer, read in reads.items():
            sent[writer][call] = read.characters
    again: defaultdict[str, int] = defaultdict(int)
    for writer, held in sent.items():
        others = {one: size for one, size in held.items() if view.agents[one] != view.agents[writer]}
        for one in islice(sorted(others, key=lambda one: (view.spans[one].start_ns, one)), 1, None):
            again[one] += others[one] // CHARACTERS_A_TOKEN
    tokens, total = sum(again.values()), view.run.totals.input_tokens
    if tokens < _REPEATED_TOKENS or tokens < _REPEATED_SHARE * total:
        return
    rates = seconds_a_token(view)
    cuts = {call: _prefill(view.spans[call], size, rates) for call, size in again.items()}
    agents = listed(dict.fromkeys(view.agents[call] or view.label(view.spans[call]) for call in again))
    yield Finding(
        id="repeated-context",
        title="Hand on less text from agent to agent",
        why=f"About {tokens:,} of {total:,} input tokens are texts that another prompt had held, sent to {agents}.",
        fix="pass figures and decisions on, not whole answers",
        evidence=view.evidence(
            (view.spans[call] for call in cuts), "holds text that another prompt held", meant=view.on_path(cuts)
        ),
        saves_ns=_saving(view, cuts),
        confidence="medium",
        here="hand on what the next step needs (figures, a decision) in place of the whole text",
        elsewhere="pass structured results between agents, not transcripts; summarise once and pass the summary",
    )


def growing_context(view: View) -> Iterator[Finding]:
    """Yield a finding for each agent whose prompts grew with every turn."""
    rates = seconds_a_token(view)
    turns: defaultdict[str, list[SpanRecord]] = defaultdict(list)
    for call in _in_order(view):
        if kinds.number_of(call, c.USAGE_INPUT_TOKENS) is not None:
            turns[view.parents[call.span_id]].append(call)
    for parent, calls in turns.items():
        sizes = [int(kinds.number_of(call, c.USAGE_INPUT_TOKENS) or 0) for call in calls]
        grows = all(a < b for a, b in pairwise(sizes))
        if len(calls) < _TURNS or not grows or sizes[-1] < _GROWN * sizes[0]:
            continue
        cuts = {call.span_id: _prefill(call, size - sizes[0], rates) for call, size in zip(calls, sizes, strict=True)}
        finding = Finding(
            id="growing-context",
            title=f"Trim the history of {view.label(view.spans[parent]) if parent else 'the run'}",
            why=f"It sent {sizes[0]:,} tokens in its first and {sizes[-1]:,} in its last of {len(calls)} turns.",
            fix="keep the last turns and a summary of those before",
            evidence=view.evidence(calls, "turn", meant=view.on_path(cuts)),
            saves_ns=_saving(view, cuts),
            confidence="low",
            here="keep the last turns and a summary of those before in the messages",
            elsewhere="trim or summarise the history; drop results of tools that were used already",
        )
        if view.matters(finding.saves_ns) or sum(sizes) - len(sizes) * sizes[0] >= _REPEATED_TOKENS:
            yield finding


def seconds_a_token(view: View) -> dict[str, float]:
    """Return per model what an uncached token of the prompt adds to the time to the first chunk, 0 where unknown."""
    points: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)
    for call in view.of_kind("chat"):
        first = kinds.number_of(call, c.RESPONSE_TIME_TO_FIRST_CHUNK)
        tokens = kinds.number_of(call, c.USAGE_INPUT_TOKENS)
        if first is not None and tokens is not None:
            cached = kinds.number_of(call, c.USAGE_CACHE_READ_INPUT_TOKENS) or 0
            points[kinds.subject_of(call) or ""].append((int(tokens - cached), first))
    return {model: max(0.0, _slope(known)) for model, known in points.items() if len(known) >= _LEAST_CALLS}


def _slope(points: Sequence[tuple[int, float]]) -> float:
    pairs = islice(combinations(points, 2), _PAIRS)
    slopes = [(y2 - y1) / (x2 - x1) for (x1, y1), (x2, y2) in pairs if abs(x2 - x1) >= _LEAST_SPREAD]
    return median(slopes) if slopes else 0.0


def _prefill(call: SpanRecord, tokens: int, rates: Mapping[str, float]) -> int:
    """Return the nanoseconds that so many tokens of this call's prompt took, at most all up to its first chunk."""
    first = kinds.number_of(call, c.RESPONSE_TIME_TO_FIRST_CHUNK) or 0.0
    reading = min(first, max(0, tokens) * rates.get(kinds.subject_of(call) or "", 0.0))
    return min(round(reading * 1e9), call.duration_ns)


def _in_order(view: View) -> list[SpanRecord]:
    return sorted(view.of_kind("chat"), key=lambda span: (span.start_ns, span.span_id))


def _saving(view: View, cuts: Mapping[str, int]) -> int:
    bound = sum(min(cut, view.bucket_ns(span_id, "model_prefill", "model")) for span_id, cut in cuts.items())
    return min(saving_of(view, cuts=cuts), bound)
