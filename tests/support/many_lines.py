"""Files of many odd and sound lines of OTLP/JSON, and a comparison of the columns that are made of them."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

from support.traces import agent, cache_lookup, chat, identifier, line_of, span, step, tool, wait, workflow

from spanwise import conventions as c
from spanwise_profiling import columns_join
from spanwise_profiling.columns import Builder, Columns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from spanwise.journal.reader import SpanRecord

_MAKERS: tuple[Callable[..., SpanRecord], ...] = (agent, cache_lookup, chat, span, step, tool, wait, workflow)
_ODD_VALUES = {"intValue": str(1 << 40)}, {"doubleValue": 7.5}, {"stringValue": "7"}, {"intValue": -3}
_DAMAGE = ('{"resourceSpans": 7}\n', "\n", "no JSON\n", '{"resourceSpans":[{}]}\n', '{"other": 1}\n')


def lines(seed: int, count: int) -> bytes:
    """Return `count` lines of random spans of few traces, damaged ones among them; the last one may be cut off."""
    draw = random.Random(seed)
    first = line_of(workflow(1, 0, 9))
    content = "".join([first, _DAMAGE[0], *(_line(draw) for _ in range(count - 2))])
    return content[: len(content) - draw.choice((0, 0, 1, 30))].encode()


def _line(draw: random.Random) -> str:
    if draw.random() < 0.2:
        return draw.choice(_DAMAGE)
    document = json.loads(line_of(*(_span(draw) for _ in range(draw.randint(1, 6)))))
    (of_resource,) = document["resourceSpans"]
    of_resource["resource"]["attributes"] = [
        {"key": "service.name", "value": {"stringValue": draw.choice(("desk", "risk", "ü"))}}
    ]
    for wire in of_resource["scopeSpans"][0]["spans"]:
        _bend(wire, draw)
    return json.dumps(document, separators=draw.choice(((",", ":"), (", ", ": ")))) + "\n"


def _span(draw: random.Random) -> SpanRecord:
    start, parent = draw.randint(0, 99), draw.choice((None, draw.randint(1, 40)))
    return draw.choice(_MAKERS)(
        draw.randint(1, 60), start, start + draw.randint(-1, 20), parent=parent, trace=draw.randint(1, 5)
    )


def _bend(wire: dict[str, Any], draw: random.Random) -> None:
    added = {
        c.RESPONSE_TIME_TO_FIRST_CHUNK: {"doubleValue": draw.random()}, c.USAGE_INPUT_TOKENS: draw.choice(_ODD_VALUES),
        c.AGENT_NAME: {"stringValue": f"agent {draw.randint(1, 9)}"}, c.CPU_SECONDS: {"doubleValue": 0.5},
        "openinference.span.kind": {"stringValue": "LLM"}, "note": {"stringValue": "x" * draw.randint(0, 300)},
    }  # fmt: skip
    wire["attributes"] += [
        {"key": name, "value": added[name]} for name in draw.sample(sorted(added), draw.randint(0, 3))
    ]
    if draw.random() < 0.3:
        reason = {"key": c.LINK_REASON, "value": {"stringValue": draw.choice(("waits_on", "elsewhere"))}}
        target = identifier(draw.randint(1, 60))
        wire["links"] = [{"traceId": wire["traceId"], "spanId": target, "attributes": [reason]}]
    if draw.random() < 0.05:
        wire.update(draw.choice(({"startTimeUnixNano": str(1 << 70)}, {"spanId": "odd"}, {"status": {"code": 99}})))


def columns_of(records: Iterable[SpanRecord]) -> Columns:
    """Return `records`, whose attributes are in our names, as columns."""
    builder = Builder()
    for record in records:
        builder.add(record)
    return columns_join.joined(builder)


def contents(table: Columns) -> dict[str, object]:
    """Return all that `table` holds, for comparison: arrays as their type and numbers."""
    values: dict[str, Any] = {name: getattr(table, name) for name in Columns.__slots__}
    return {
        name: (str(value.dtype), value.tolist()) if hasattr(value, "dtype") else value for name, value in values.items()
    }
