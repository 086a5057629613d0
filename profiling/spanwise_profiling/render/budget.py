"""What the buckets of a wall-clock budget are called, and which of them a report shows, in which order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.text import Text

from spanwise_profiling.render.glyphs import UNICODE, Glyphs
from spanwise_profiling.render.numbers import seconds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from spanwise_profiling.profile import Bucket, Profile

MEANINGS: Final[Mapping[Bucket, str]] = {
    "model_prefill": "model, to the first chunk",
    "model_decode": "model, from there on",
    "model": "model, not streamed",
    "tool": "tools",
    "retrieval": "retrieval",
    "cache_lookup": "cache lookups",
    "wait_rate_limit": "held by a rate limit",
    "wait_concurrency": "held by a concurrency cap",
    "wait_retry": "back-off before a retry",
    "wait_circuit": "circuit breaker open",
    "connect": "waiting for a connection",
    "loop_blocked": "event loop was blocked",
    "gc": "garbage collector",
    "queue": "in a queue or for a lock",
    "cpu": "computing here",
    "coordination": "between steps",
    "human": "waiting for a person",
    "unknown": "not known",
}
"""Few enough words for a line of a report; what they mean exactly is told in docs/profile.md."""
WORDS: Final[Mapping[str, tuple[Bucket, ...]]] = {
    "model: writing": ("model_decode",),
    "model: first token": ("model_prefill",),
    "model: not streamed": ("model",),
    "tools and data": ("tool", "retrieval", "cache_lookup"),
    "rate limit": ("wait_rate_limit",),
    "concurrency limit": ("wait_concurrency",),
    "pauses before retries": ("wait_retry",),
    "circuit breaker open": ("wait_circuit",),
    "opening connections": ("connect",),
    "queues and locks": ("queue",),
    "blocked event loop": ("loop_blocked",),
    "computing here": ("cpu", "gc"),
    "between steps": ("coordination",),
    "a person": ("human",),
    "not recorded": ("unknown",),
}
"""Buckets in words, for a report that is read once; every bucket is in one of them."""
WAITS: Final[frozenset[Bucket]] = frozenset(
    {"wait_rate_limit", "wait_concurrency", "wait_retry", "wait_circuit", "connect", "queue", "human"}
)
"""The buckets in which nothing worked."""
_NAME, _SHARE, _MEANING = max(map(len, MEANINGS)), 5, max(map(len, MEANINGS.values()))


def filled(budget_ns: Mapping[Bucket, int]) -> list[tuple[Bucket, int]]:
    """Return the buckets that hold anything, the fullest first."""
    return sorted((pair for pair in budget_ns.items() if pair[1]), key=lambda pair: (-pair[1], pair[0]))


def in_words(budget_ns: Mapping[Bucket, int]) -> list[tuple[str, int]]:
    """Return nanoseconds by the words of `WORDS`, the most first, without those that have none."""
    sums = [(words, sum(budget_ns.get(bucket, 0) for bucket in buckets)) for words, buckets in WORDS.items()]
    return sorted((pair for pair in sums if pair[1]), key=lambda pair: -pair[1])


def share_of(length_ns: int, profile: Profile) -> str:
    """Return a length as per cent of the run, such as `37 %`; `<1 %` where it would round to nothing."""
    return per_cent(length_ns / profile.run.duration_ns if profile.run.duration_ns else 0.0)


def per_cent(share: float) -> str:
    """Return a share (0 to 1) as `37 %`; `<1 %` where it would round to nothing."""
    return "<1 %" if 0 < share < 0.005 else f"{100 * share:.0f} %"  # noqa: PLR2004 - what rounds to 0


def budget_bars(profile: Profile, width: int, *, glyphs: Glyphs = UNICODE) -> Text:
    """Return a line a bucket: name, seconds, share of the run, bar, meaning; the bars add up to one whole bar."""
    run = profile.run
    return bars([(name, run.scaled(length)) for name, length in filled(profile.budget_ns)], width, glyphs=glyphs)


def bars(budget: Sequence[tuple[Bucket, float]], width: int, *, glyphs: Glyphs = UNICODE) -> Text:
    """Return the lines of `budget_bars` for buckets with their scaled seconds, in the order given."""
    cells = max(8, width - _NAME - 9 - _SHARE - _MEANING - 5)
    whole = sum(length for _, length in budget)
    text = Text(no_wrap=True, overflow="ignore")
    for name, length in budget:
        share = length / whole if whole else 0.0
        bar = (glyphs.wait if name in WAITS else glyphs.bar) * round(share * cells) or glyphs.dot
        text.append(f"{name:<{_NAME}} {seconds(length):>9} {per_cent(share):>{_SHARE}} ")
        text.append(f"{bar:<{cells}} ", style="yellow" if name in WAITS else "cyan")
        text.append(f"{MEANINGS[name]}\n", style="dim")
    text.rstrip()
    return text
