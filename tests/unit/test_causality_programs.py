"""Random programs whose true causes are known: every edge is right, and none is invented."""

from __future__ import annotations

import asyncio

import pytest
from support.random_programs import Cause, Program


def test_all_causes_of_200_random_programs_are_found_and_no_others() -> None:
    waits = 0
    for seed in range(200):
        expected, found = Program(seed).run()
        assert found == expected, f"seed {seed}"
        waits += sum(map(len, found.values()))
    assert waits > 8_000


@pytest.mark.slow
def test_all_causes_of_1000_random_programs_are_found_and_no_others() -> None:
    kinds: set[tuple[str, str]] = set()
    for seed in range(1_000):
        expected, found = Program(seed).run()
        assert found == expected, f"seed {seed}"
        kinds |= {(cause.kind, cause.resource) for causes in found.values() for cause in causes}
    assert kinds >= {
        ("lock", "Lock"), ("lock", "Semaphore"), ("lock", "Event"), ("lock", "Condition"), ("lock", "Barrier"),
        ("queue", "Queue"), ("task", "gather"), ("task", "TaskGroup"), ("task", "wait"), ("task", "shield"),
        ("task", "as_completed"), ("timer", "sleep"), ("timer", "timeout"), ("timer", "timer"), ("future", "future"),
        ("unknown", "unknown"),
    }  # fmt: skip


def test_a_program_whose_truth_is_bent_does_not_pass() -> None:
    class Bent(Program):
        async def main(self) -> None:
            await super().main()
            await asyncio.sleep(1)
            self.expected["main"].append(Cause("timer", "sleep", "nobody"))

    expected, found = Bent(1).run()
    assert found != expected
