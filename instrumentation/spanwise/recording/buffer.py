"""Ended spans that wait to be written, bounded in bytes, at next to no cost for the thread that ends one.

An ordinary span counts as a fixed number of bytes, so that the bound is a length of the queue; what its long texts
take beyond that was added up when they were set. Whoever ends a span compares the length with `room`.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from spanwise.otel.span import OwnSpan
from spanwise.otel.values import LONG, weight_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from opentelemetry.sdk.trace import ReadableSpan

ORDINARY_BITS: Final = 10
ORDINARY: Final = 1 << ORDINARY_BITS
"""Bytes that a span without long values counts as; one with two attributes takes about 600."""


class Buffer:
    """The queue.

    Args:
        limit: bytes that it may hold.
        pressed: whether every span is an occasion to write: `room` is always 0 then.
    """

    __slots__ = ("_behind", "_closed", "_foreign", "_limit", "_pressed", "ended", "heavy", "room")

    def __init__(self, limit: int, *, pressed: bool = False) -> None:
        self.ended: deque[ReadableSpan] = deque()
        self.room = 0
        """How many spans `ended` may hold before whoever ends one has to do more than append."""
        self._limit = limit
        self._pressed = pressed
        self._behind = False
        self._closed = False
        self.heavy = 0
        """Bytes of the spans' long values."""
        self._foreign: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self.ended)

    @property
    def is_full(self) -> bool:
        """Whether one more ordinary span would be beyond the limit."""
        return (len(self) + 1) * ORDINARY + self.heavy > self._limit

    def open(self) -> None:
        """Begin to say how much room there is: until then there is none, so that somebody starts the writing."""
        self._resize()

    def close(self) -> None:
        """Have no room any more."""
        self._closed = True
        self.room = 0

    def press(self, *, behind: bool) -> None:
        """Say whether writing lags: then whoever ends a span has to help, or at least to look."""
        self._behind = behind
        self._resize()

    def hold_foreign(self, span: ReadableSpan) -> None:
        """Count the texts of a span of another library that is about to be appended."""
        weight = _foreign_weight(span)
        if weight:
            self._foreign[id(span)] = weight
            self.heavy += weight
            self.room -= weight >> ORDINARY_BITS

    def take(self, most: int) -> tuple[ReadableSpan, ...]:
        """Take out `most` of the spans that wait, the oldest first; one thread at a time."""
        ended = self.ended
        return tuple([ended.popleft() for _ in range(min(most, len(ended)))])

    def release(self, spans: Iterable[ReadableSpan]) -> None:
        """Forget the long values of spans that were taken out."""
        for span in spans:
            weight = span.weight if type(span) is OwnSpan else self._foreign.pop(id(span), 0)
            if weight:
                self.heavy -= weight
        self._resize()

    def _resize(self) -> None:
        none = self._closed or self._pressed or self._behind
        self.room = 0 if none else max(0, (self._limit - self.heavy) // ORDINARY)


def _foreign_weight(span: ReadableSpan) -> int:
    return weight_of(span.attributes) + sum(LONG + weight_of(event.attributes) for event in span.events)
