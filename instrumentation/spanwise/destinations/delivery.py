"""Delivers spans in order: tries until they are taken, and narrows a refused request down to the spans at fault.

Waiting between tries grows, with full jitter, so that many processes do not come back at once; a receiver that says
when to come back is obeyed. Time is a parameter: a day of outage is a test of milliseconds.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final, Protocol

from spanwise.destinations.batches import portions, request

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spanwise.destinations.batches import Entry
    from spanwise.destinations.transport import Reply, Transport

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 30.0
_DOUBLINGS: Final = 16


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

    def deliver(self, entries: Sequence[Entry], account: Account) -> bool:
        """Settle all `entries` in `account`; false where it was told to stop, or gave up, before the last."""
        parts = list(portions(entries))[::-1]
        while parts:
            part = parts.pop()
            to_send = sum(entry.wire is not None for entry in part)
            if not to_send:
                _book(part, 0, None, account)
                continue
            reply = self._sent(part, account)
            if reply is None:
                return False
            if reply.verdict == "accepted":
                _book(part, to_send, reply, account)
            elif len(part) > 1:
                half = len(part) // 2
                parts += [part[half:], part[:half]]
            else:
                account.keep(part[0], reply.reason)
                account.settle(set_aside=1)
        return True

    def _sent(self, part: Sequence[Entry], account: Account) -> Reply | None:
        """Send until there is a verdict; none where delivering stops."""
        body = request(part)
        while True:
            reply = self._transport.send(body)
            if reply.verdict != "later":
                self._failed = 0
                account.problem("")
                return reply
            account.problem(reply.reason)
            if not self._wait(reply):
                return None

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


def _book(part: Sequence[Entry], sent: int, reply: Reply | None, account: Account) -> None:
    """Settle a part of which `sent` spans were accepted, and those between them that were not to be sent."""
    rejected = min(reply.rejected, sent) if reply is not None else 0
    if reply is not None and rejected:
        account.keep(None, reply.reason or "rejected by the receiver", rejected)
    faulty = [entry for entry in part if entry.fault]
    for entry in faulty:
        account.keep(entry, entry.fault)
    expired = sum(entry.is_expired for entry in part)
    account.settle(
        delivered=sent - rejected,
        set_aside=rejected + len(faulty),
        filtered=len(part) - sent - len(faulty) - expired,
        expired=expired,
    )
