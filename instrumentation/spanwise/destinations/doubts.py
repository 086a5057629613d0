"""Tells a span that a receiver will never take from a receiver that takes nothing just now.

Both give the same answer: 500, or none in time. So a span that fails alone is tried again beside the spans behind it:
it and one of the others take turns. Whenever another span was accepted since the span last failed, its next failure is
a refusal. After `REFUSALS` of them it is set aside. Where nothing is accepted, nothing is refused.

The turns are O S S O S O O S …, with O for another span: the Thue-Morse sequence, which gives both sides equal chances
at every rhythm. Strict turns would always meet the same one of two receivers behind one address.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from spanwise.destinations.batches import Entry

REFUSALS: Final = 10
"""How often a span fails, after others were accepted, before it is set aside."""


@dataclass(slots=True)
class _Doubt:
    accepted_before: int
    """Requests that had been accepted when the span last failed."""
    refusals: int = 0


class Doubts:
    """What is known of spans that failed alone, and of those that were sent ahead of them; by their encoded bytes."""

    def __init__(self) -> None:
        self._accepted = 0
        self._doubts: dict[bytes, _Doubt] = {}
        self._ahead: set[bytes] = set()
        self._turn = 0
        self._tried_ahead = 0

    def accepted(self) -> None:
        """Note that the receiver accepted a request."""
        self._accepted += 1

    def next_is_another(self) -> bool:
        """Whether the next turn is that of another span than the one in doubt."""
        self._turn += 1
        return self._turn.bit_count() % 2 == 1

    def another(self, others: Sequence[Entry]) -> Entry:
        """Return the one of `others` to send ahead: each in its turn, for one of them may be at fault, too."""
        self._tried_ahead += 1
        return others[self._tried_ahead % len(others)]

    def failed(self, entry: Entry) -> bool:
        """Note that a span failed alone; true where it was refused often enough to be set aside."""
        doubt = self._doubts.setdefault(_key(entry), _Doubt(self._accepted))
        if self._accepted > doubt.accepted_before:
            doubt.accepted_before = self._accepted
            doubt.refusals += 1
        return doubt.refusals >= REFUSALS

    def about(self, entry: Entry) -> bool:
        """Whether a span has failed alone, and was not settled since."""
        return bool(self._doubts) and _key(entry) in self._doubts

    def send_ahead(self, entry: Entry, before: Entry) -> None:
        """Note that a span was accepted while `before`, which stands before it, is not."""
        self._ahead.add(_key(entry))
        if doubt := self._doubts.get(_key(before)):
            doubt.accepted_before = self._accepted
            doubt.refusals += 1

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
