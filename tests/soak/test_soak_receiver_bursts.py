"""200,000 spans at once, at a receiver that takes a second a request and at the real collector; beside it, the SDK.

How long it takes is printed and not asserted: it is the machine's affair, too; the goal is 1.05 x.
"""

from __future__ import annotations

import os
from statistics import median
from typing import TYPE_CHECKING

import pytest
from support import journal_files
from support.receiver_bursts import burst_at, slow_receiver
from support.servers import start_stack

from spanwise.journal import ledger as ledgers

if TYPE_CHECKING:
    from pathlib import Path

SPANS, ROUNDS = 200_000, int(os.environ.get("SPANWISE_SOAK_ROUNDS", "7"))
GROWTH = 128.0
"""MiB that the process may grow by."""


def compared(folder: Path, endpoint: str, what: str) -> None:
    """Take turns with and without the destination; nothing may be lost, and memory is bounded."""
    times: dict[str, list[float]] = {"journal": [], "destination": []}
    growths: list[float] = []
    for number in range(ROUNDS):
        for kind, address in (("journal", ""), ("destination", endpoint)):
            journal = folder / f"{kind}-{number}"
            told = burst_at("spanwise", SPANS, journal, address)
            assert (told["started"], told["journaled"], told["dropped"]) == (SPANS + 1, SPANS + 1, {})
            times[kind].append(told["seconds"])
            growths.append(told["growth_mib"])
            if address:
                check(journal)
    ratio = median(times["destination"]) / median(times["journal"])
    print(
        f"{SPANS:,} spans at {what}: 0 lost, {median(times['destination']):.2f} s against "
        f"{median(times['journal']):.2f} s with the journal only ({ratio:.3f} x; the goal is 1.05 x), "
        f"memory grows by {max(growths):.0f} MiB"
    )
    assert max(growths) <= GROWTH


def check(journal: Path) -> None:
    """Check that each span of a journal is delivered or pending, and nothing else."""
    counts = ledgers.read(journal)
    fates = counts.destinations["otlp"]
    assert fates["delivered"] + fates["pending"] == sum(fates.values()) == counts.journaled
    assert len(journal_files.spans(journal)) == counts.journaled


def in_a_loop(folder: Path, endpoint: str, what: str) -> None:
    """From the thread of an event loop each span is journaled or counted as dropped."""
    told = burst_at("loop", SPANS, folder, endpoint)
    dropped = told["dropped"].get("buffer_full", 0)
    print(
        f"{SPANS:,} spans from the thread of a loop at {what}: {told['seconds']:.2f} s, {dropped:,} dropped and "
        f"counted, memory grows by {told['growth_mib']:.0f} MiB"
    )
    assert told["dropped"].keys() <= {"buffer_full"}
    assert told["started"] == told["journaled"] + dropped == SPANS + 1
    assert told["growth_mib"] <= GROWTH
    check(folder)


def beside(folder: Path, endpoint: str, what: str) -> None:
    told = burst_at("sdk", SPANS, folder, endpoint)
    lost = 1 - told["delivered"] / SPANS
    print(f"the SDK's batch processor at {what}: {lost:.0%} of {SPANS:,} spans lost, {told['seconds']:.2f} s")


@pytest.mark.timeout(1800)
def test_a_burst_at_a_receiver_that_takes_a_second_a_request(tmp_path: Path) -> None:
    with slow_receiver() as endpoint:
        compared(tmp_path, endpoint, "a receiver that takes 1 s a request")
        in_a_loop(tmp_path / "loop", endpoint, "a receiver that takes 1 s a request")
        beside(tmp_path, endpoint, "a receiver that takes 1 s a request")


@pytest.mark.servers
@pytest.mark.timeout(1800)
def test_a_burst_at_the_real_collector(tmp_path: Path) -> None:
    with start_stack(tmp_path / "stack") as stack:
        compared(tmp_path, stack.otlp_http, "the real collector")
        in_a_loop(tmp_path / "loop", stack.otlp_http, "the real collector")
        beside(tmp_path, stack.otlp_http, "the real collector")
