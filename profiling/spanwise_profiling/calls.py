"""What one call of a model or a tool used, and that it is one call, whoever recorded it and however often.

Tools disagree on what a count is: some leave cached tokens out of the input, or reasoning out of the output; some write
counts as text or as floats; some write -1 for unknown. Two instrumentations that record the same call give two spans
for it, one inside the other. All that is settled here, once, so that sums, prices and the path need not know.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeAlias

from spanwise import conventions as c
from spanwise_profiling.sources import values

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from spanwise.journal.reader import Attributes, AttributeValue, SpanRecord

    _Key: TypeAlias = tuple[str, str]
    """Trace and span id."""

COUNTS: Final = (
    c.USAGE_INPUT_TOKENS,
    c.USAGE_OUTPUT_TOKENS,
    c.USAGE_CACHE_READ_INPUT_TOKENS,
    c.USAGE_CACHE_WRITE_INPUT_TOKENS,
    c.USAGE_REASONING_OUTPUT_TOKENS,
)
"""Attributes that count tokens. Input holds what was read from and written to the cache, output holds reasoning."""
_CALLS: Final = frozenset({"chat", "embeddings", "execute_tool"})
_OTHERS: Final = frozenset({"invoke_workflow", "invoke_agent", "retrieval"})
"""What may hold calls of its own: a call inside an agent inside a call is another call."""
_TOLD_BY_ONE: Final = (*COUNTS, c.RESPONSE_MODEL, c.RESPONSE_TIME_TO_FIRST_CHUNK, c.RESPONSE_ID, c.PROVIDER_NAME)


def are_sound(attributes: Attributes) -> bool:
    """Return whether the counts of a span in our names are numbers that can be right."""
    told = [attributes.get(name, 0) for name in COUNTS]
    counts = [count for count in told if type(count) is int and count >= 0]
    if len(counts) < len(told) or c.RESPONSE_TIME_TO_FIRST_CHUNK in attributes:
        return False
    given, made, cached, written, reasoning = counts
    return cached + written <= given and reasoning <= made


def counted(told: Mapping[str, Iterable[object]], total: int | None) -> dict[str, int]:
    """Return the counts of a call by our names.

    Args:
        told: For each of `COUNTS` what a span says of it, the best source first. The first that is more than 0 counts.
        total: All tokens of the call, if that is known.

    Returns:
        The counts that are known. Cached tokens that the input leaves out, and reasoning that the output leaves out,
        are added: for certain where a part is more than the whole, else where only then the sum is the total.
    """
    found = {name: _better(sources) for name, sources in told.items()}
    given, made, cached, written, reasoning = (found[name] or 0 for name in COUNTS)
    sums = [
        (given + beside_input, made + beside_output)
        for beside_input in _beside(given, cached + written)
        for beside_output in _beside(made, reasoning)
    ]
    given, made = next((both for both in sums if sum(both) == total), sums[0])
    whole = {c.USAGE_INPUT_TOKENS: given, c.USAGE_OUTPUT_TOKENS: made}
    return {name: whole.get(name, count or 0) for name, count in found.items() if count is not None or whole.get(name)}


def _beside(whole: int, part: int) -> tuple[int, ...]:
    """Return what may have to be added to `whole` because it leaves `part` out, the likeliest first."""
    return (part,) if part > whole else (0, part)


def _better(sources: Iterable[object]) -> int | None:
    counts = [count for source in sources if (count := values.count(source)) is not None]
    return next((count for count in counts if count), counts[0] if counts else None)


def first_chunk(told: AttributeValue, duration_ns: int) -> float | None:
    """Return the seconds to the first chunk of a call that took `duration_ns`; some tools write milliseconds.

    None where it is no time, or longer than the call in either unit.
    """
    if isinstance(told, bool) or not isinstance(told, int | float) or not 0 <= told < float("inf"):
        return None
    if not duration_ns:
        return float(told)
    return next((seconds for seconds in (float(told), told / 1e3) if seconds <= duration_ns / 1e9), None)


def once(records: Sequence[SpanRecord]) -> list[SpanRecord]:
    """Return `records`, in which each call of a model or a tool is one span; others that tell of it are plain spans.

    Of a call within a call the outer one stays, because it has the retries in it, and learns what only the inner one
    knows. It is no call itself where it knows of no tokens and an inner one does, or where it holds several calls that
    know their tokens. Calls of tools are one where they have the same tool. Of calls with the same response id in a
    trace, the first that knows its tokens stays.
    """
    spans = {_key(record): record for record in records}
    outer = _outer_calls(spans)
    changed: dict[_Key, SpanRecord] = {}
    if outer:
        _settle_nested(spans, outer, changed)
    _settle_repeated([changed.get(key, record) for key, record in spans.items()], changed)
    return [changed.get(_key(record), record) for record in records] if changed else list(records)


def _key(record: SpanRecord) -> _Key:
    return record.trace_id, record.span_id


def _operation(record: SpanRecord) -> AttributeValue:
    return record.attributes.get(c.OPERATION_NAME)


def _what(record: SpanRecord) -> tuple[AttributeValue, AttributeValue]:
    operation = _operation(record)
    return operation, record.attributes.get(c.TOOL_NAME) if operation == "execute_tool" else None


def _is_informed(record: SpanRecord) -> bool:
    return bool(record.attributes.get(c.USAGE_INPUT_TOKENS) or record.attributes.get(c.USAGE_OUTPUT_TOKENS))


def _outer_calls(spans: Mapping[_Key, SpanRecord]) -> dict[_Key, _Key]:
    """Return the nearest call of the same kind above each call, save where an agent or another call is between them."""
    above: dict[_Key, _Key | None] = {}
    """For each span the nearest call that it is in or is."""
    found: dict[_Key, _Key] = {}
    for key, record in spans.items():
        if _operation(record) in _CALLS:
            outer = _nearest((record.trace_id, record.parent_id or ""), spans, above)
            if outer is not None and outer != key and _what(spans[outer]) == _what(record):
                found[key] = outer
    return found


def _nearest(key: _Key, spans: Mapping[_Key, SpanRecord], above: dict[_Key, _Key | None]) -> _Key | None:
    passed: list[_Key] = []
    nearest: _Key | None = None
    while (record := spans.get(key)) is not None:
        if key in above:
            nearest = above[key]
            break
        passed.append(key)
        above[key] = None  # parents may go in a circle
        if _operation(record) in _CALLS:
            nearest = key
        if nearest is not None or _operation(record) in _OTHERS:
            break
        key = record.trace_id, record.parent_id or ""
    above.update(dict.fromkeys(passed, nearest))
    return nearest


def _settle_nested(
    spans: Mapping[_Key, SpanRecord], outer: Mapping[_Key, _Key], changed: dict[_Key, SpanRecord]
) -> None:
    """Decide for all calls that hold others, the innermost first, which of them stay calls."""
    inner: defaultdict[_Key, list[_Key]] = defaultdict(list)
    for key, holder in outer.items():
        inner[holder].append(key)
    kept: dict[_Key, list[_Key]] = {}
    depths = {holder: _depth(holder, outer) for holder in inner}
    for holder in sorted(inner, key=lambda key: -depths[key]):
        calls = [key for member in inner[holder] for key in kept.get(member, [member])]
        informed = [key for key in calls if _is_informed(changed.get(key, spans[key]))]
        record = spans[holder]
        if len(informed) > 1 or (informed and not _is_informed(record)):
            changed[holder] = _plain(record)
            kept[holder] = calls
            continue
        changed[holder] = _completed(record, [changed.get(key, spans[key]) for key in calls])
        changed.update({key: _plain(spans[key]) for key in calls})
        kept[holder] = [holder]


def _depth(key: _Key, outer: Mapping[_Key, _Key]) -> int:
    """Return how many calls a call is in; calls in a circle are as deep as there are calls."""
    depth = 0
    while (holder := outer.get(key)) is not None and depth <= len(outer):
        key, depth = holder, depth + 1
    return depth


def _settle_repeated(records: Iterable[SpanRecord], changed: dict[_Key, SpanRecord]) -> None:
    """Let one call of those stay that tell of the same response."""
    answered: defaultdict[tuple[str, object, str], list[SpanRecord]] = defaultdict(list)
    for record in records:
        response = record.attributes.get(c.RESPONSE_ID)
        if _operation(record) in _CALLS and isinstance(response, str) and response:
            answered[record.trace_id, _operation(record), response].append(record)
    for members in answered.values():
        if len(members) > 1:
            stays = next((record for record in members if _is_informed(record)), members[0])
            others = [record for record in members if record is not stays]
            changed[_key(stays)] = _completed(stays, others)
            changed.update({_key(record): _plain(record) for record in others})


def _plain(record: SpanRecord) -> SpanRecord:
    """Return a span that is no call, and has no tokens of its own."""
    left_out = (c.OPERATION_NAME, *COUNTS)
    return replace(
        record, attributes={name: value for name, value in record.attributes.items() if name not in left_out}
    )


def _completed(record: SpanRecord, others: Iterable[SpanRecord]) -> SpanRecord:
    """Return a call with what it does not know itself and others that recorded it do."""
    attributes = dict(record.attributes)
    for other in others:
        for name in _TOLD_BY_ONE:
            if name in other.attributes and not attributes.get(name):
                attributes[name] = other.attributes[name]
    return replace(record, attributes=attributes)
