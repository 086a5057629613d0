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
    "model_prefill": Ink("Model: until first chunk", "#5bbefd", "#b2cfff", "the model read the prompt"),
    "model_decode": Ink("Model: writing", "#243ebd", "#4a6df0", "the model wrote its answer"),
    "model": Ink("Model: not streamed", "#4c87f8", "#6498f9", "model calls that came back in one piece"),
    "tool": Ink("Tools", "#0e8c41", "#44764f", "tools ran"),
    "retrieval": Ink("Retrieval", "#85b286", "#6fcb74", "documents were looked for"),
    "cache_lookup": Ink("Cache lookups", "#a4ee9e", "#9cfdf0", "caches were asked"),
    "wait_rate_limit": Ink(
        "Wait: rate limit", "#bf4215", "#e24d26", "requests or tokens a minute were used up", hatched=True
    ),
    "wait_concurrency": Ink(
        "Wait: free slot", "#cd7c1d", "#e7972c", "as many calls as allowed were under way", hatched=True
    ),
    "wait_retry": Ink(
        "Wait: before a retry", "#842a2b", "#953f2e", "a call had failed and was to be tried again", hatched=True
    ),
    "wait_circuit": Ink(
        "Wait: open circuit", "#5b0f24", "#770924", "a service that failed was left alone", hatched=True
    ),
    "connect": Ink("Wait: connection", "#e5d27b", "#f9c20e", "a connection was made or waited for", hatched=True),
    "loop_blocked": Ink("Event loop blocked", "#8b0f49", "#9f3a8e", "a span kept the loop from all others"),
    "gc": Ink("Garbage collector", "#c37bbb", "#ffadbf", "every thread stood still"),
    "queue": Ink("Wait: queue", "#9c8677", "#9f9180", "work lay in a queue", hatched=True),
    "cpu": Ink("CPU", "#622681", "#9e6dbb", "this program computed"),
    "coordination": Ink("Coordination", "#67697c", "#9399aa", "between calls, for no reason that was recorded"),
    "human": Ink("People", "#bab92c", "#c7e593", "somebody was asked", hatched=True),
    "unknown": Ink("Unknown", "#c3c3c5", "#434a55", "nothing was recorded that would say"),
}


def stylesheet() -> str:
    """Return a custom property for each bucket, and a class that fills with it."""
    inks = INKS.items()
    properties = "".join(f"--b-{bucket}:light-dark({ink.light},{ink.dark});" for bucket, ink in inks)
    classes = "".join(f".b-{bucket}{{fill:var(--b-{bucket});background:var(--b-{bucket})}}" for bucket in INKS)
    return f":root{{{properties}}}{classes}"
