"""`kill -9` of a program that writes: what it reported as done must be there afterwards."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from spanwise_pipeline import Writer

if TYPE_CHECKING:
    import random

JOB = Path(__file__).with_name("writer_job.py")


def kill_one(folder: Path, chance: random.Random) -> int:
    """Kill the program after a random number of reports; return how many writes it had reported as done.

    Raises:
        AssertionError: a write that was reported as done is missing, torn, or there twice.
    """
    wanted = chance.randint(1, 60)
    with subprocess.Popen([sys.executable, str(JOB), str(folder)], stdout=subprocess.PIPE, text=True) as job:
        assert job.stdout is not None
        told = [int(job.stdout.readline()) for _ in range(wanted)]
        job.kill()
        told += [int(line) for line in job.stdout.read().splitlines() if line]

    async def reopen() -> None:
        async with Writer(folder):
            pass

    asyncio.run(reopen())
    last = told[-1]
    for number in range(last + 1):
        document = json.loads((folder / f"match-{number}.json").read_text(encoding="utf-8"))
        assert document == {"number": number}
    orders = [json.loads(line)["number"] for line in (folder / "orders.jsonl").read_text(encoding="utf-8").splitlines()]
    assert orders == list(range(len(orders)))
    assert len(orders) > last
    return last + 1
