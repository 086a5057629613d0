"""How far the clocks of hosts are apart, estimated from calls between them.

A call that a client on one host makes and a server on another answers must lie within it. Each such pair bounds the
server's offset from both sides (Cristian's method); over all pairs of two hosts the bounds are intersected, and the
middle of what is left is the offset: the same delay is assumed on the way there and back. Where bounds contradict one
another (a clock that drifts, a call that was not waited for), the median of the pairs' own middles is taken.

Clocks are only taken to disagree where one clock could not have shown it: a span that began before its parent, or a
server that began after its client had its answer. A server that ends after its client proves nothing, because it may
have gone on with other work. Two services without a recorded host may run on one machine, so that a few milliseconds
are no proof there.
"""

from __future__ import annotations

from collections import defaultdict
from statistics import median_low
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from spanwise.journal.reader import SpanRecord

HOSTS: Final = ("host.id", "host.name", "k8s.node.name", "k8s.pod.name", "container.id", "service.instance.id")
_SERVER: Final = 2
_FOREVER: Final = 1 << 63
_UNSURE_NS: Final = 10_000_000
"""What two services without a recorded host may differ by, for all that rounding and coarse timers do."""
_Bounds: TypeAlias = tuple[int, int]
_Pairs: TypeAlias = "defaultdict[tuple[str, str], list[_Bounds]]"


def host_of(span: SpanRecord) -> str:
    """Return the name of the host whose clock `span` was timed by; of its service where no host is recorded."""
    for name in (*HOSTS, "service.name"):
        value = span.resource.get(name)
        if isinstance(value, str) and value:
            return value
    return ""


def hosts_of(spans: Iterable[SpanRecord]) -> Mapping[int, str]:
    """Return the host's name by the identity of a span's resource, which spans of one request share."""
    return {id(span.resource): host_of(span) for span in {id(span.resource): span for span in spans}.values()}


def offsets(
    tops: Sequence[SpanRecord], children: Mapping[str, Sequence[SpanRecord]], spans: Mapping[str, SpanRecord]
) -> dict[str, int]:
    """Return by how many nanoseconds the spans of a host must be moved to agree with those of the first top's host.

    Args:
        tops: Where to begin.
        children: Span id to children.
        spans: Span id to the span, whose times count.
    """
    hosts = hosts_of(spans.values())
    if len(set(hosts.values())) <= 1:
        return {}
    pairs: _Pairs = defaultdict(list)
    proven: set[tuple[str, str]] = set()
    stack = [span.span_id for span in tops]
    while stack:
        parent = spans[stack.pop()]
        for child in children.get(parent.span_id, ()):
            called = spans[child.span_id]
            between = hosts[id(parent.resource)], hosts[id(called.resource)]
            _compare(parent, called, between, pairs)
            if _is_proof(parent, called):
                proven.add((min(between), max(between)))
            stack.append(child.span_id)
    found = {hosts: _offset(bounds) if hosts in proven else 0 for hosts, bounds in pairs.items()}
    return _from(host_of(tops[0]), found) if any(found.values()) else {}


def _is_proof(parent: SpanRecord, child: SpanRecord) -> bool:
    """Whether `child` and `parent` cannot have been timed by the same clock."""
    unsure = 0 if _is_host_known(parent) and _is_host_known(child) else _UNSURE_NS
    if child.start_ns < parent.start_ns - unsure:
        return True
    # A client that gave up may have been answered later.
    return child.kind == _SERVER and not parent.is_error and child.start_ns > parent.end_ns + unsure


def _is_host_known(span: SpanRecord) -> bool:
    return any(span.resource.get(name) for name in HOSTS)


def _compare(parent: SpanRecord, child: SpanRecord, hosts: tuple[str, str], pairs: _Pairs) -> None:
    """Add what a call between two hosts says of the one that is later in the alphabet."""
    here, there = hosts
    if here == there:
        return
    low, high = parent.start_ns - child.start_ns, _FOREVER
    # Only an answer that fits into its call must have ended with it; anything else may have gone on alone.
    if child.kind == _SERVER and child.duration_ns <= parent.duration_ns:
        high = parent.end_ns - child.end_ns
    pairs[min(here, there), max(here, there)].append((low, high) if here < there else (-high, -low))


def _offset(bounds: Sequence[_Bounds]) -> int:
    """Return what the clock of the second of two hosts must be moved by; 0 where nothing contradicts its times."""
    within = max(low for low, _ in bounds), min(high for _, high in bounds)
    return median_low(map(_needed, bounds)) if within[0] > within[1] else _needed(within)


def _needed(bounds: _Bounds) -> int:
    low, high = bounds
    if low <= 0 <= high:
        return 0
    if high == _FOREVER or low == -_FOREVER:
        return low if high == _FOREVER else high
    return (low + high) // 2


def _from(reference: str, between: Mapping[tuple[str, str], int]) -> dict[str, int]:
    """Return the offsets of all hosts that calls connect with `reference`, without those that agree with it."""
    found = {reference: 0}
    frontier = [reference]
    while frontier:
        here = frontier.pop(0)
        for there, offset in _neighbours(here, between):
            if there not in found:
                found[there] = found[here] + offset
                frontier.append(there)
    return {host: offset for host, offset in found.items() if offset}


def _neighbours(here: str, between: Mapping[tuple[str, str], int]) -> Iterable[tuple[str, int]]:
    for (one, other), offset in between.items():
        if one == here:
            yield other, offset
        elif other == here:
            yield one, -offset
