"""Tells a span that a receiver will never take from a receiver that takes nothing just now.

Both give the same answer: 500, or none in time. So a span that fails alone and other spans are sent by turns that a
coin decides, until others were accepted between its failures often enough. Were it the receiver, however it flaps and
whatever stands before it, each accepted request would have been the span's with one chance in two: `PROOFS` of them are
a proof that is wrong once in a thousand times.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from spanwise.destinations.batches import Entry

PROOFS: Final = 10
"""How many other spans have to be accepted between the failures of one."""


@dataclass(slots=True)
class _Doubt:
    accepted_before: int
    """Requests that had been accepted when the span last failed."""
    proofs: int = 0


class Doubts:
    """What is known of spans that failed alone, and of those that were sent ahead of them; by their encoded bytes."""

    def __init__(self) -> None:
        self._accepted = 0
        self._doubts: dict[bytes, _Doubt] = {}
        self._ahead: set[bytes] = set()

    def accepted(self) -> None:
        """Note that the receiver accepted a request."""
        self._accepted += 1

    def failed(self, entry: Entry) -> bool:
        """Note that a span failed alone; true where the fault is proven to be its own.

        What was accepted meanwhile of other streams, whose turn is not left to chance, counts as one span.
        """
        doubt = self._doubts.setdefault(_key(entry), _Doubt(self._accepted))
        if self._accepted > doubt.accepted_before:
            doubt.accepted_before = self._accepted
            doubt.proofs += 1
        return doubt.proofs >= PROOFS

    def about(self, entry: Entry) -> bool:
        """Whether a span has failed alone, and was not settled since."""
        return bool(self._doubts) and _key(entry) in self._doubts

    def send_ahead(self, entry: Entry, before: Entry) -> None:
        """Note that a span was accepted while `before`, which stands before it, is not: its turn had come by chance."""
        self._ahead.add(_key(entry))
        if doubt := self._doubts.get(_key(before)):
            doubt.accepted_before = self._accepted
            doubt.proofs += 1

    def left_to_send(self, entries: Iterable[Entry]) -> list[Entry]:
        """Return those that are to be sent and were not sent ahead."""
        return [
            entry for entry in entries if entry.wire is not None and not (self._ahead and _key(entry) in self._ahead)
        ]

    def settle(self, entries: Iterable[Entry]) -> None:
        """Forget spans whose fate is settled."""
        if self._doubts or self._ahead:
            for key in map(_key, entries):
                self._doubts.pop(key, None)
                self._ahead.discard(key)


def _key(entry: Entry) -> bytes:
    """Return the encoded span: its ids are in it; nothing where it is not to be sent."""
    return entry.wire[2] if entry.wire is not None else b""
