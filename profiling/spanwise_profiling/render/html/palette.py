"""One colour, one pattern and one name for each bucket, the same in every report.

Blue is the model, green are calls, orange to red are waits (hatched, so that they can be told without colour), violet
and pink are this program's own work, and what nobody knows is grey. Names stand beside the colours wherever they
appear. A test holds the distances as people with each kind of colour blindness see them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spanwise_profiling.profile import Bucket


@dataclass(frozen=True, slots=True)
class Ink:
    """How one bucket looks and reads."""

    label: str
    light: str
    """On a light page, `#rrggbb`."""
    dark: str
    """On a dark page."""
    meaning: str
    """What the clock was spent on; a short phrase."""
    hatched: bool = False
    """Waiting, not working."""


INKS: Final[Mapping[Bucket, Ink]] = {
    "model_prefill": Ink("Model: until first chunk", "#86b6ee", "#9cc4f2", "the model read the prompt"),
    "model_decode": Ink("Model: writing", "#1f5fb4", "#3d7fd9", "the model wrote its answer"),
    "model": Ink("Model: not streamed", "#4a8ad8", "#6aa3e8", "model calls that came back in one piece"),
    "tool": Ink("Tools", "#00795c", "#12a07c", "tools ran"),
    "retrieval": Ink("Retrieval", "#3fae8c", "#5ccbaa", "documents were looked for"),
    "cache_lookup": Ink("Cache lookups", "#93d2bb", "#a6e2cd", "caches were asked"),
    "wait_rate_limit": Ink(
        "Wait: rate limit", "#c2410c", "#f2773a", "requests or tokens a minute were used up", hatched=True
    ),
    "wait_concurrency": Ink(
        "Wait: free slot", "#e58a1f", "#f5a94a", "as many calls as allowed were under way", hatched=True
    ),
    "wait_retry": Ink(
        "Wait: before a retry", "#8f2d1c", "#cf5a45", "a call had failed and was to be tried again", True
    ),
    "wait_circuit": Ink(
        "Wait: open circuit", "#5f1a2b", "#a8465e", "a service that failed was left alone", hatched=True
    ),
    "connect": Ink("Wait: connection", "#d9ab2b", "#e8c352", "a connection was made or waited for", hatched=True),
    "loop_blocked": Ink("Event loop blocked", "#a1217c", "#d653ae", "a span kept the loop from all others"),
    "gc": Ink("Garbage collector", "#e08cc6", "#f2b0dd", "every thread stood still"),
    "queue": Ink("Wait: queue", "#a88355", "#c9a577", "work lay in a queue", hatched=True),
    "cpu": Ink("CPU", "#6a4fb3", "#937ae0", "this program computed"),
    "coordination": Ink("Coordination", "#75808c", "#8e99a6", "between calls, for no reason that was recorded"),
    "human": Ink("People", "#b7a800", "#d9cb3a", "somebody was asked", hatched=True),
    "unknown": Ink("Unknown", "#b9c0c8", "#56606b", "nothing was recorded that would say"),
}


def stylesheet() -> str:
    """Return a custom property for each bucket, and a class that fills with it."""
    inks = INKS.items()
    properties = "".join(f"--b-{bucket}:light-dark({ink.light},{ink.dark});" for bucket, ink in inks)
    classes = "".join(f".b-{bucket}{{fill:var(--b-{bucket});background:var(--b-{bucket})}}" for bucket in INKS)
    return f":root{{{properties}}}{classes}"
