"""200,000 spans at once, at a receiver that takes a second a request and at the real collector; beside it, the SDK."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

import pytest
from support.receiver_bursts import burst_at, slow_receiver
from support.servers import start_stack

from spanwise.journal import ledger as ledgers

if TYPE_CHECKING:
    from pathlib import Path

SPANS, ROUNDS = 200_000, 7


def compared(folder: Path, endpoint: str, what: str) -> None:
    """Take turns with and without the destination; nothing may be lost, and the burst may take 5 % longer."""
    times: dict[str, list[float]] = {"journal": [], "destination": []}
    growths: list[float] = []
    for number in range(ROUNDS):
        for kind, address in (("journal", ""), ("destination", endpoint)):
            journal = folder / f"{kind}-{number}"
            told = burst_at("spanwise", SPANS, journal, address)
            assert (told["started"], told["journaled"]) == (SPANS + 1, SPANS + 1)
            times[kind].append(told["seconds"])
            growths.append(told["growth_mib"])
            if address:
                check(journal)
    ratio = median(times["destination"]) / median(times["journal"])
    print(
        f"{SPANS:,} spans at {what}: 0 lost, {median(times['destination']):.2f} s against "
        f"{median(times['journal']):.2f} s with the journal only ({ratio:.3f} x), "
        f"memory grows by {max(growths):.0f} MiB"
    )
    assert ratio <= 1.05
    assert max(growths) <= 128


def check(journal: Path) -> None:
    counts = ledgers.read(journal)
    fates = counts.destinations["otlp"]
    assert (counts.journaled, sum(fates.values()), fates["set_aside"]) == (SPANS + 1, SPANS + 1, 0)


def beside(folder: Path, endpoint: str, what: str) -> None:
    told = burst_at("sdk", SPANS, folder, endpoint)
    lost = 1 - told["delivered"] / SPANS
    print(f"the SDK's batch processor at {what}: {lost:.0%} of {SPANS:,} spans lost, {told['seconds']:.2f} s")


@pytest.mark.timeout(1800)
def test_a_burst_at_a_receiver_that_takes_a_second_a_request(tmp_path: Path) -> None:
    with slow_receiver() as endpoint:
        compared(tmp_path, endpoint, "a receiver that takes 1 s a request")
        beside(tmp_path, endpoint, "a receiver that takes 1 s a request")


@pytest.mark.servers
@pytest.mark.timeout(1800)
def test_a_burst_at_the_real_collector(tmp_path: Path) -> None:
    with start_stack(tmp_path / "stack") as stack:
        compared(tmp_path, stack.otlp_http, "the real collector")
        beside(tmp_path, stack.otlp_http, "the real collector")
