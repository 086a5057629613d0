"""Delivers spans in order: tries until they are taken, and narrows a failing request down to the spans at fault.

Waiting between tries grows, with full jitter, so that many processes do not come back at once; a receiver that says
when to come back is obeyed. What fails is sent again in halves, for the fault may be a span's, or the size's. A span
that fails alone is set aside at once where the receiver says that it is at fault, else after some refusals (`doubts`).
Time is a parameter: a day of outage is a test of milliseconds.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final, Protocol

from spanwise.destinations.batches import MOST_SPANS, portions, request
from spanwise.destinations.doubts import Doubts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spanwise.destinations.batches import Entry
    from spanwise.destinations.transport import Reply, Transport

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 30.0
_DOUBLINGS: Final = 16
_FEWEST_SPANS: Final = 64
"""What a request is begun with at least; in halves, it can become smaller."""
_GOOD_REQUESTS: Final = 16
"""How many of the largest size that is tried are accepted before a larger one is tried."""


class Time(Protocol):
    """What delivering needs to know of time."""

    def now(self) -> float:
        """Return seconds since some moment."""
        ...

    def rest(self, seconds: float, *, obeying: bool) -> bool:
        """Wait; false where delivering is to stop. A flush may end it early unless a receiver is obeyed."""
        ...


class Account(Protocol):
    """Where the fate of spans is written down, in their order."""

    def settle(self, *, delivered: int = 0, set_aside: int = 0, filtered: int = 0, expired: int = 0) -> None:
        """Note what became of the next spans."""
        ...

    def keep(self, entry: Entry | None, reason: str, number: int = 1) -> None:
        """Keep what is set aside, where a person finds it; no entry where it is not known which ones they are."""
        ...

    def problem(self, reason: str) -> None:
        """Note why nothing is delivered at the moment; empty once it is."""
        ...


class Delivery:
    """The way over one transport.

    Args:
        transport: a connection.
        time: for pauses.
        patience: seconds without success after which it gives up; without it, never.
        chance: for the jitter.
    """

    def __init__(
        self, transport: Transport, time: Time, *, patience: float | None = None, chance: random.Random | None = None
    ) -> None:
        self._transport = transport
        self._time = time
        self._patience = patience
        self._chance = chance or random.Random()  # noqa: S311 - jitter
        self._failed = 0
        self._failing_since = 0.0
        self._doubts = Doubts()
        self._most = MOST_SPANS
        self._good = 0

    def deliver(self, entries: Sequence[Entry], account: Account) -> bool:
        """Settle `entries` in `account`, in their order; false where it was told to stop, or gave up, before the last.

        What is not settled after a true answer is to be given again: a span that fails, and behind which there is
        none to compare it with. Other spans are to have their turn then.
        """
        parts: list[Sequence[Entry]] = [entries]
        while parts:
            part = parts.pop()
            if not self._doubts.left_to_send(part):
                self._book(part, None, account)
            elif self._doubts.about(part[0]) and len(part) > 1:
                parts += [part[1:], part[:1]]
            elif len(pieces := list(portions(part, self._most))) > 1:
                parts += pieces[::-1]
            elif self._doubts.about(part[0]) and self._doubts.next_is_another():
                parts.append(part)
                others = self._doubts.left_to_send(entry for some in parts[::-1] for entry in some)[1:]
                if not others:
                    return True
                if not self._send_ahead(self._doubts.another(others), part[0], account):
                    return False
            else:
                reply = self._sent(part, account)
                if reply is None:
                    return False
                self._take(reply, part, parts, account)
        return True

    def _take(self, reply: Reply, part: Sequence[Entry], parts: list[Sequence[Entry]], account: Account) -> None:
        """Settle a part after a verdict, or put what is to be sent in its place back into `parts`."""
        if reply.verdict == "accepted":
            self._grow(len(part))
            self._book(part, reply, account)
        elif len(part) > 1:
            half = len(part) // 2
            self._most, self._good = min(self._most, max(half, _FEWEST_SPANS)), 0
            parts += [part[half:], part[:half]]
        elif reply.verdict == "refused" or self._doubts.failed(part[0]):
            account.problem("")
            account.keep(part[0], reply.reason)
            account.settle(set_aside=1)
            self._doubts.settle(part)
        else:
            parts.append(part)

    def _grow(self, size: int) -> None:
        """Begin with larger requests again where those of the present size are accepted."""
        self._good += size >= self._most
        if self._good >= _GOOD_REQUESTS:
            self._most, self._good = min(2 * self._most, MOST_SPANS), 0

    def _send_ahead(self, entry: Entry, before: Entry, account: Account) -> bool:
        """Send a span ahead of `before`, to see whether the receiver takes it; false where delivering stops."""
        reply = self._sent([entry], account)
        if reply is not None and reply.verdict == "accepted" and not reply.rejected:
            self._doubts.send_ahead(entry, before)
        return reply is not None

    def _sent(self, part: Sequence[Entry], account: Account) -> Reply | None:
        """Send until there is a verdict; none where delivering stops."""
        to_send = self._doubts.left_to_send(part)
        body = request(to_send)
        while True:
            reply = self._transport.send(body)
            if reply.verdict in {"accepted", "refused"}:
                self._failed = 0
                if reply.verdict == "accepted" and reply.rejected < len(to_send):
                    self._doubts.accepted()
                return reply
            account.problem(reply.reason)
            if not self._wait(reply):
                return None
            if reply.verdict == "doubtful":
                return reply

    def _wait(self, reply: Reply) -> bool:
        now = self._time.now()
        if not self._failed:
            self._failing_since = now
        self._failed += 1
        pause = self._chance.uniform(0, min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(self._failed, _DOUBLINGS)))
        if reply.retry_after is not None:
            pause += reply.retry_after
        if self._patience is not None and now + pause - self._failing_since > self._patience:
            return False
        return self._time.rest(pause, obeying=reply.retry_after is not None)

    def _book(self, part: Sequence[Entry], reply: Reply | None, account: Account) -> None:
        """Settle a part that was accepted, and those in it that were not to be sent, or were sent ahead."""
        rejected = min(reply.rejected, len(self._doubts.left_to_send(part))) if reply is not None else 0
        if reply is not None:
            account.problem("")
        if reply is not None and rejected:
            account.keep(None, reply.reason or "rejected by the receiver", rejected)
        faulty = [entry for entry in part if entry.fault]
        for entry in faulty:
            account.keep(entry, entry.fault)
        expired = sum(entry.is_expired for entry in part)
        taken = sum(entry.wire is not None for entry in part)
        account.settle(
            delivered=taken - rejected,
            set_aside=rejected + len(faulty),
            filtered=len(part) - taken - len(faulty) - expired,
            expired=expired,
        )
        self._doubts.settle(part)
