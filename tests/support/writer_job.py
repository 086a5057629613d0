"""Writes as fast as it can and prints each write that was reported as done; to be killed in the middle."""

from __future__ import annotations

import asyncio
import sys

from spanwise_pipeline import Receipt, Writer


async def main(folder: str) -> None:
    async with Writer(folder, most=7, interval=0.001, queue=50) as writer:
        for number in range(1_000_000):
            receipts: list[Receipt] = [
                await writer.write(f"match-{number}.json", {"number": number}),
                await writer.append("orders.jsonl", {"number": number}),
            ]
            if number % 3 == 0:
                await asyncio.gather(*map(_done, receipts))
                sys.stdout.write(f"{number}\n")
                sys.stdout.flush()


async def _done(receipt: Receipt) -> None:
    await receipt


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
