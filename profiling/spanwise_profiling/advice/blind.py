"""Rules that cannot look, because the recording lacks what they read: silence about those is no good news.

A rule is blind where the run has what it is about (model calls, a cache) and nothing of it carries the attribute that
the rule compares. A run without model calls has nothing to find, and no rule is blind there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from spanwise import conventions as c
from spanwise_profiling.profile import Blind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from spanwise.journal.reader import SpanRecord
    from spanwise_profiling.advice.view import View
    from spanwise_profiling.kinds import Kind

_FINGERPRINTS: Final = "SPANWISE_FINGERPRINTS=true"
_CAUSALITY: Final = "SPANWISE_CAUSALITY=on"
_BY_TEXT: Final = (
    "sequential-calls", "idle-barrier", "repeated-context", "unused-output", "unread-tool-result",
)  # fmt: skip
_BY_QUESTION: Final = ("duplicate-calls", "repeated-runs")
_ASKING: Final[tuple[Kind, ...]] = ("chat", "embeddings", "tool", "retrieval")


def blind_rules(view: View) -> tuple[Blind, ...]:
    """Return which rules could not look in this run, by what they lack."""
    return tuple(_blind(view))


def _blind(view: View) -> Iterator[Blind]:
    prompts = _lacking(view, ("chat",), c.REQUEST_SOURCES, _BY_TEXT)
    prompts += _lacking(view, ("chat",), c.REQUEST_PREFIX_HASHES, ("uncached-prefix",))
    prompts += _lacking(view, _ASKING, c.REQUEST_HASH, _BY_QUESTION)
    if prompts:
        yield Blind(prompts, "prompt fingerprints", _FINGERPRINTS)
    if any(True for _ in view.of_kind("chat")) and not _waits_are_recorded(view):
        yield Blind(("low-limit", "blocking-call"), "recorded waits", _CAUSALITY)
    connections = _lacking(view, ("chat", "embeddings"), c.CONNECTION_NEW, ("connection-churn",))
    if connections:
        yield Blind(connections, "new connections", "spanwise_pipeline's ModelClient records them")
    tokens = _lacking(view, ("chat",), c.USAGE_INPUT_TOKENS, ("growing-context",))
    if tokens:
        yield Blind(tokens, "token counts", "call.usage(input_tokens=…)")
    keys = _lacking(view, ("cache",), c.CACHE_KEY_HASH, ("missed-cache",))
    if keys:
        yield Blind(keys, "keys of cache lookups", "cache_lookup(…, key_hash=…)")


def _lacking(view: View, wanted: Iterable[Kind], attribute: str, rules: tuple[str, ...]) -> tuple[str, ...]:
    """Return `rules` where there are spans of the kinds `wanted`, and none of them has the `attribute`."""
    spans = list(view.of_kind(*wanted))
    return rules if spans and not any(attribute in span.attributes for span in spans) else ()


def _waits_are_recorded(view: View) -> bool:
    return any(True for _ in view.of_kind("wait")) or any(map(_tells_of_the_loop, view.spans.values()))


def _tells_of_the_loop(span: SpanRecord) -> bool:
    known = (c.LOOP_BLOCKED_SECONDS, c.CPU_SECONDS, c.WAIT_SHORT_SECONDS)
    return any(attribute in span.attributes for attribute in known)
