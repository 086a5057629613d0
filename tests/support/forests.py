"""Spans of any kind, nesting and time, for what has to hold whatever they look like."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from support.traces import agent, chat, identifier, span, step, tool, wait, workflow

from spanwise import conventions as c
from spanwise.journal.reader import LinkRecord

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from spanwise.journal.reader import SpanRecord

MAKERS: list[Callable[..., SpanRecord]] = [agent, chat, chat, tool, step, wait, span]


def forest(draw: random.Random) -> list[SpanRecord]:
    """Return spans of any kind, nesting and time, with fingerprints that may say anything."""
    spans = [workflow(1, 0, draw.choice([0, 5, 20]))]
    for number in range(2, draw.randrange(3, 40)):
        start = draw.choice([draw.uniform(-1, 20), float(draw.randrange(20))])
        end = start + draw.choice([0, -1, draw.uniform(0, 10), draw.randrange(10)])
        make = draw.choice(MAKERS)
        made = make(number, start, end, parent=draw.choice([None, 99, *range(1, number + 2)]))
        sources = [f"{identifier(draw.randrange(1, number + 3))}:9:{draw.randrange(99)}" for _ in range(2)]
        about: dict[str, Any] = {
            c.REQUEST_SOURCES: " ".join(sources),
            c.RESPONSE_NEW_CHARACTERS: draw.randrange(2000), c.REQUEST_HASH: draw.choice("abc"),
            c.REQUEST_PREFIX_HASHES: "a b c d"[: draw.randrange(8)], c.RETRY_SCHEDULED: draw.random() < 0.2,
            c.RESPONSE_TIME_TO_FIRST_CHUNK: draw.choice([0.5, 7.0, "soon"]), c.STEP_ROLE: draw.choice(["a", "critic"]),
            c.CONNECTION_NEW: True, c.CONNECTION_SECONDS: draw.choice([0.1, -3, 1e300]), c.TOOL_CALL_ID: "call",
        }  # fmt: skip
        chosen = {name: value for name, value in about.items() if draw.random() < 0.5}
        links = (LinkRecord(identifier(1, 32), identifier(draw.randrange(1, number + 3)), {}),)
        spans.append(
            replace(made, attributes={**made.attributes, **chosen}, links=links, status_code=draw.choice([0, 0, 2]))
        )
    draw.shuffle(spans)
    return spans
