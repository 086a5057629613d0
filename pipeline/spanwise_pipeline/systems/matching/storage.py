"""The run's folder on slow storage: the capacity file, a file for each match and purchase order, and the status.

Files are written one by one, each lasting before its writer goes on, or behind the agents in batches. Either way a
registration is reported as done only once all its files are on disk.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final

from spanwise_pipeline import Writer, fetch, in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from spanwise_pipeline import Clock, Receipt
    from spanwise_pipeline.systems.matching.flags import MatchingFlags

CAPACITY: Final = "capacity.json"
STATUS: Final = "status.json"
LOAD_SECONDS: Final = 0.33
"""System seconds that reading the offers, the incentives or the registrations takes."""
CAPACITY_SECONDS: Final = 0.55
"""System seconds that reading the capacity file takes."""
READ_SECONDS: Final = 0.15
"""System seconds that reading any other file takes."""
WRITE_SECONDS: Final = 0.25
"""System seconds that writing a file takes."""
BATCH_SECONDS: Final = 0.4
"""System seconds that writing a batch of files takes."""


def match_file(registration: str) -> str:
    """Return the name of a registration's match."""
    return f"matches/{registration}.json"


def order_file(registration: str) -> str:
    """Return the name of a registration's purchase order."""
    return f"purchase_orders/PO-{registration}.json"


def writer_of(folder: Path, clock: Clock, flags: MatchingFlags) -> Writer:
    """Return the writer of a run's folder, to be opened."""
    if flags.batch_writes:
        return Writer(folder, clock=clock, append_seconds=BATCH_SECONDS)
    return Writer(folder, most=1, clock=clock, append_seconds=WRITE_SECONDS)


class Files:
    """Reads and writes the documents of one run, through an open writer."""

    def __init__(self, folder: Path, writer: Writer, clock: Clock, flags: MatchingFlags) -> None:
        self._folder = folder
        self._writer = writer
        self._clock = clock
        self._batched = flags.batch_writes
        self._receipts: dict[str, Receipt] = {}
        """Of the last queued write of each file."""
        self._held: dict[str, Any] = {}
        """Documents of a run that writes in batches, as they will be on disk."""

    async def read(self, name: str, seconds: float) -> Any:
        """Return the document of a file, as all writes before have left it."""
        await self.settle(name)
        return await fetch(name, {"file": name}, lambda: self._read(name, seconds))

    async def again(self, name: str) -> Any:
        """Return a document that this run has written: what is held of it, else from the file."""
        return self._held[name] if name in self._held else await self.read(name, READ_SECONDS)

    async def write(self, documents: Mapping[str, object]) -> None:
        """Write files: all are on disk afterwards, or queued where writes are batched."""
        for name, document in documents.items():
            if self._batched:
                self._held[name] = document
                self._receipts[name] = await self._writer.write(name, document)
            else:
                await (await self._writer.write(name, document))

    async def settle(self, *names: str) -> None:
        """Wait until what was written to these files is on disk; raises `WriteError` where that failed."""
        receipts = [self._receipts[name] for name in names if name in self._receipts]
        if not all(receipt.done() for receipt in receipts):
            await self._writer.flush()
        for receipt in receipts:
            await receipt

    async def _read(self, name: str, seconds: float) -> Any:
        return await lasting(self._clock, seconds, _document, self._folder / name)


async def lasting(clock: Clock, seconds: float, function: Callable[[Any], Any], given: Any) -> Any:
    """Return what a blocking function makes of `given`, after the time that slow storage takes for it."""
    async with asyncio.TaskGroup() as group:
        group.create_task(clock.sleep(seconds))
        reading = group.create_task(in_thread(function, given))
    return reading.result()


def _document(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
