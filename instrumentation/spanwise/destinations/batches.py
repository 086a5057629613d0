"""What goes into one request: spans out of journaled payloads, filtered and encoded, each with its fate still open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from spanwise.otlp import protobuf

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from spanwise.content.outlet import Outlet

    Json: TypeAlias = Mapping[str, Any]

MOST_SPANS: Final = 2_048
MOST_BYTES: Final = 3 * 2**20
"""Largest request, unless a single span is larger: a receiver over gRPC takes 4 MiB."""


class Entry(NamedTuple):
    """One journaled span on its way to a destination."""

    wire: tuple[bytes, bytes, bytes] | None
    """Encoded resource, scope and span; none for a span that is not sent."""
    given: tuple[Json, Json, Json] | None
    """The ResourceSpans, ScopeSpans and span that it was in, as they are in the journal."""
    fault: str = ""
    """Why it cannot be sent; empty where it can, or is not to be."""
    is_expired: bool = False
    """Whether it was deleted before it could be sent."""

    @property
    def weight(self) -> int:
        """Bytes of it in a request."""
        return len(self.wire[2]) if self.wire is not None else 0

    def alone(self) -> dict[str, Any] | None:
        """Return it as an ExportTraceServiceRequest in OTLP/JSON; none where the journal's text could not be read."""
        if self.given is None:
            return None
        of_resource, of_scope, span = self.given
        return {"resourceSpans": [{**of_resource, "scopeSpans": [{**of_scope, "spans": [span]}]}]}


EXPIRED: Final = Entry(None, None, is_expired=True)
NOT_MEANT: Final = Entry(None, None)
"""One that the destination does not get, whatever it says."""


def entries(payload: bytes, count: int, outlet: Outlet) -> list[Entry]:
    """Return the spans of a payload that was written with `count` of them, in order.

    What cannot be read or encoded has a fault; those that were purged since have expired.
    """
    try:
        found = [
            entry for of_resource in protobuf.parsed(payload)["resourceSpans"] for entry in _of(of_resource, outlet)
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return [Entry(None, None, f"cannot be read: {error}")] * count
    return found + [EXPIRED] * (count - len(found))


def _of(of_resource: Json, outlet: Outlet) -> Iterator[Entry]:
    resource = protobuf.resource(of_resource)
    for of_scope in of_resource["scopeSpans"]:
        scope = protobuf.scope(of_scope)
        for span in of_scope["spans"]:
            yield _entry((of_resource, of_scope, span), resource, scope, outlet)


def _entry(given: tuple[Json, Json, Json], resource: bytes, scope: bytes, outlet: Outlet) -> Entry:
    try:
        admitted = outlet.admitted(given[2])
        return Entry(None if admitted is None else (resource, scope, protobuf.span(admitted)), given)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return Entry(None, given, f"cannot be encoded: {error}")


def request(some: Sequence[Entry]) -> bytes:
    """Return the request that holds those of `some` that are to be sent."""
    return protobuf.request(entry.wire for entry in some if entry.wire is not None)


def portions(some: Sequence[Entry], most: int = MOST_SPANS) -> Iterator[Sequence[Entry]]:
    """Yield `some` in requests of at most `most` that a receiver takes; a span that is too large alone is one."""
    begin, weight = 0, 0
    for position, entry in enumerate(some):
        if position > begin and (weight + entry.weight > MOST_BYTES or position - begin >= most):
            yield some[begin:position]
            begin, weight = position, 0
        weight += entry.weight
    if begin < len(some):
        yield some[begin:]
